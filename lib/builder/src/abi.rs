//! Frame numbers, addresses and page-table entries.

use bitflags::bitflags;

/// A pseudo-physical frame number: the n-th page of a domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pfn(pub u64);

/// A machine frame number: the n-th page of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mfn(pub u64);

/// A virtual address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VirtAddr(pub u64);

bitflags! {
    /// The flags of an x86-64 page-table entry.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PteFlags: u64 {
        /// The entry maps something.
        const PRESENT = 1;
        /// Writable.
        const RW = 1 << 1;
        /// Reachable from ring 3, where PV kernels run.
        const USER = 1 << 2;
        /// Write-through.
        const PWT = 1 << 3;
        /// Not cached.
        const PCD = 1 << 4;
        /// Was read.
        const ACCESSED = 1 << 5;
        /// Was written.
        const DIRTY = 1 << 6;
        /// No code is fetched from it.
        const NX = 1 << 63;
    }
}
