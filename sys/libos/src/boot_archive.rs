//! The boot archive, as root lends it: the files of the guests that start with the host.
//!
//! It is the module that Xen has loaded beside root, and nobody writes to it. What is asked for is mapped when it is asked for
//! first, and stays mapped: that takes a millisecond or so for each MiB, once in the life of this domain.

use crate::{kept, start};
use core::ops::Range;

/// The boot archive.
#[derive(Clone, Copy, Debug)]
pub struct BootArchive(());

impl BootArchive {
    pub(crate) fn find() -> Option<Self> {
        (start::boot_info().archive.pages > 0).then_some(Self(()))
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        start::boot_info().archive_bytes as usize
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of it, if there are so many. What is where, its first bytes say: see the crate `description`.
    ///
    /// # Panics
    /// If Xen refuses to map them.
    pub async fn bytes(&self, range: Range<usize>) -> Option<&'static [u8]> {
        kept::archive(range).await
    }

    /// Where in it `bytes` are, if they are a part of it: so that root can be asked to copy them from there.
    pub fn offset_of(&self, bytes: &[u8]) -> Option<u64> {
        let archive = start::boot_info().archive;
        let offset = (bytes.as_ptr() as u64).checked_sub(archive.va)?;
        (offset + bytes.len() as u64 <= self.len() as u64).then_some(offset)
    }
}
