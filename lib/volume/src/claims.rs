//! Who has which volume: one who writes has it alone, those who only read may share it.

use crate::layout::Extent;
use alloc::vec::Vec;
use core::fmt;

/// Whoever claims volumes: a guest's virtual disk.
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

/// Somebody else has what was claimed, or a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// Who.
    pub holder: Holder,
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

#[derive(Clone, Copy, Debug)]
struct Claim {
    holder: Holder,
    extent: Extent,
    reads: bool,
}

/// All claims. A disk and a partition on it are in each other's way.
#[derive(Clone, Debug, Default)]
pub struct Claims(Vec<Claim>);

impl Claims {
    /// Claims what `extents` cover for `holder`, who has nothing yet: to be read only, or to be written too.
    ///
    /// # Errors
    /// [`Conflict`]; then nothing is claimed.
    pub fn claim(
        &mut self,
        holder: Holder,
        extents: impl Iterator<Item = Extent>,
        reads: bool,
    ) -> Result<(), Conflict> {
        let before = self.0.len();
        for extent in extents {
            let in_the_way = |other: &&Claim| other.extent.overlaps(&extent) && !(reads && other.reads);
            if let Some(other) = self.0[..before].iter().find(in_the_way) {
                let conflict = Conflict { holder: other.holder, reads: other.reads };
                self.0.truncate(before);
                return Err(conflict);
            }
            self.0.push(Claim { holder, extent, reads });
        }
        Ok(())
    }

    /// Gives back all that `holder` has.
    pub fn release(&mut self, holder: Holder) {
        self.0.retain(|claim| claim.holder != holder);
    }
}
