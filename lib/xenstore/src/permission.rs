//! Who may do what with a node: its owner, everybody else, and domains named one by one.

use alloc::vec::Vec;

use smallvec::SmallVec;

use crate::wire::{Decimal, strtol};

/// What a permission allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Access(u8);

impl Access {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// To read the value, the children and the permissions, and to hear of changes.
    pub const READ: Self = Self(1);
    /// To change the value, to create children and to remove the node.
    pub const WRITE: Self = Self(2);
    /// To read and to write.
    pub const BOTH: Self = Self(3);
    /// To replace the permissions. Only owners and the privileged have it; it cannot be granted.
    pub const OWN: Self = Self(4);
    /// Everything.
    pub const ALL: Self = Self(7);

    /// Whether all of `wanted` is allowed.
    pub const fn allows(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Whether any of `wanted` is allowed.
    pub const fn allows_any(self, wanted: Self) -> bool {
        self.0 & wanted.0 != 0
    }

    /// Both of these.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is left of this without `other`.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// The letter of the protocol: `n`, `r`, `w` or `b`.
    pub const fn letter(self) -> u8 {
        b"nrwb"[(self.0 & 3) as usize]
    }

    /// The access that a letter of the protocol stands for.
    pub const fn from_letter(letter: u8) -> Option<Self> {
        Some(match letter {
            b'n' => Self::NONE,
            b'r' => Self::READ,
            b'w' => Self::WRITE,
            b'b' => Self::BOTH,
            _ => return None,
        })
    }
}

/// One entry of a node's permissions. The first entry names the owner, and what it allows goes for everybody who
/// has no entry of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The domain it speaks of. Clients may write any number, so it is wider than a domid.
    pub domid: u32,
    /// What it allows.
    pub access: Access,
    /// Whether it no longer counts, since its domain went away after it was written.
    pub stale: bool,
}

/// All of a node's permissions, the owner's first.
pub type Permissions = SmallVec<[Permission; 4]>;

impl Permission {
    /// Its length in a [`Record`](crate::record::Record): the domid and a byte of flags.
    pub(crate) const SIZE: usize = 5;
    const STALE: u8 = 0x80;

    /// An entry that counts.
    pub const fn new(domid: u32, access: Access) -> Self {
        Self { domid, access, stale: false }
    }

    pub(crate) fn encode(self) -> [u8; Self::SIZE] {
        let [a, b, c, d] = self.domid.to_le_bytes();
        [a, b, c, d, self.access.0 & Access::BOTH.0 | if self.stale { Self::STALE } else { 0 }]
    }

    pub(crate) fn decode(bytes: [u8; Self::SIZE]) -> Self {
        let [a, b, c, d, flags] = bytes;
        Self {
            domid: u32::from_le_bytes([a, b, c, d]),
            access: Access(flags & Access::BOTH.0),
            stale: flags & Self::STALE != 0,
        }
    }

    /// Reads an entry as the C daemon does: a letter, then whatever `strtol` takes with no base given.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let (&letter, domid) = text.split_first()?;
        let access = Access::from_letter(letter)?;
        let (value, taken) = strtol(domid, 0);
        (taken > 0 && taken == domid.len()).then(|| Self::new(value as u32, access))
    }

    /// Writes the entry as clients see it: a letter and the domid as a signed decimal number.
    pub fn print(self, into: &mut Vec<u8>) {
        into.push(self.access.letter());
        let signed = self.domid as i32;
        if signed < 0 {
            into.push(b'-');
        }
        into.extend_from_slice(Decimal::new(u64::from(signed.unsigned_abs())).as_bytes());
    }
}
