//! Volumes: what a guest sees as a whole disk, and where it lies on the disks of a host.
//!
//! | file | subject |
//! |---|---|
//! | `target` | how a volume is named: `disk0`, `disk0/p2`, `partuuid=...` |
//! | `gpt` | partition tables (UEFI 2.10, 5.3), which anybody may have written |
//! | `layout` | where a volume's sectors are |
//! | `claims` | who has which volume, alone or with others |
//!
//! Nothing here reads a disk: a [`gpt::Search`] says which blocks it wants to see.

#![no_std]
extern crate alloc;

pub mod claims;
pub mod gpt;
pub mod layout;
pub mod target;
#[cfg(feature = "testing")]
pub mod testing;

pub use claims::{Claimant, Claims, Conflict, Holder};
pub use gpt::{Partition, Search, TableError};
pub use layout::{DiskId, Extent, Layout};
pub use target::{Target, UnknownTarget, Which};

/// Bytes in a sector: what volumes are counted in, whatever the disk's own blocks are.
pub const SECTOR: u32 = 512;
