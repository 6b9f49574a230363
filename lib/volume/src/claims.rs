//! Who has which volume: one who writes has it alone, those who only read may share it.

use crate::layout::Extent;
use alloc::vec::Vec;
use core::fmt;

/// A guest's virtual disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The guest's domain.
    pub domid: u16,
    /// The number of its virtual disk.
    pub device: u32,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "disk {} of domain {}", self.device, self.domid)
    }
}

/// Whoever claims volumes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claimant {
    /// A guest, for one of its disks.
    Guest(Holder),
    /// Whoever writes volumes over the management API. Who that is, the API knows: here they are all one.
    Operator,
}

impl From<Holder> for Claimant {
    fn from(holder: Holder) -> Self {
        Self::Guest(holder)
    }
}

impl fmt::Display for Claimant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest(holder) => holder.fmt(f),
            Self::Operator => f.write_str("an operator"),
        }
    }
}

/// Somebody else has what was claimed, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who.
    pub holder: Claimant,
    /// Whether that one only reads: then it could be shared with others who do.
    pub reads: bool,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { holder, reads } = self;
        if *reads {
            write!(f, "{holder} reads it, so it can be had for reading only (mode=r)")
        } else {
            write!(f, "{holder} has it, and shares it with nobody")
        }
    }
}

impl core::error::Error for Conflict {}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claim {
    holder: Claimant,
    extent: Extent,
    reads: bool,
}

/// All claims. A disk and a partition on it are in each other's way.
#[derive(Clone, Debug, Default)]
pub struct Claims(Vec<Claim>);

impl Claims {
    /// Nobody has anything.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Claims what `extents` cover for `holder`: to be read only, or to be written too. Nobody is in its own way.
    ///
    /// # Errors
    /// [`Conflict`]; then nothing is claimed.
    pub fn claim(
        &mut self,
        holder: impl Into<Claimant>,
        extents: impl Iterator<Item = Extent>,
        reads: bool,
    ) -> Result<(), Conflict> {
        let holder = holder.into();
        let before = self.0.len();
        for extent in extents {
            if let Err(conflict) = self.check(holder, &extent, reads) {
                self.0.truncate(before);
                return Err(conflict);
            }
            let claim = Claim { holder, extent, reads };
            if !self.0.contains(&claim) {
                self.0.push(claim);
            }
        }
        Ok(())
    }

    /// Whether `holder` could claim `extent`.
    ///
    /// # Errors
    /// [`Conflict`].
    pub fn check(&self, holder: Claimant, extent: &Extent, reads: bool) -> Result<(), Conflict> {
        let in_the_way = |other: &&Claim| {
            other.holder != holder && other.extent.overlaps(extent) && !(reads && other.reads)
        };
        match self.0.iter().find(in_the_way) {
            Some(other) => Err(Conflict { holder: other.holder, reads: other.reads }),
            None => Ok(()),
        }
    }

    /// Who has something of `extent`, and whether only to read.
    pub fn holders(&self, extent: Extent) -> impl Iterator<Item = (Claimant, bool)> {
        let claims = self.0.iter().filter(move |claim| claim.extent.overlaps(&extent));
        claims.map(|claim| (claim.holder, claim.reads))
    }

    /// Gives back all that `holder` has.
    pub fn release(&mut self, holder: impl Into<Claimant>) {
        let holder = holder.into();
        self.0.retain(|claim| claim.holder != holder);
    }

    /// Gives back what `holder` has of exactly this extent.
    pub fn release_extent(&mut self, holder: impl Into<Claimant>, extent: &Extent) {
        let holder = holder.into();
        self.0.retain(|claim| claim.holder != holder || claim.extent != *extent);
    }
}
