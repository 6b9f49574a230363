//! What a disk is, as its frontend is told.

/// The sector that all numbers of the protocol count, in bytes, whatever the disk's own sectors are.
pub const SECTOR: u64 = 512;

/// How a disk forgets sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discard {
    /// The unit in which it does, in bytes.
    pub granularity: u32,
    /// Where the first unit begins, in bytes.
    pub alignment: u32,
    /// Whether it can do so such that nobody can read them again.
    pub secure: bool,
}

/// What a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Its size, in sectors of 512 bytes: a multiple of `physical_sector_size`.
    pub sectors: u64,
    /// The unit in which it reads and writes, in bytes: a power of two, from 512 to 4096.
    pub sector_size: u32,
    /// The unit in which it does so best, in bytes: a multiple of `sector_size`.
    pub physical_sector_size: u32,
    /// Whether it cannot be written.
    pub read_only: bool,
    /// Whether it is shown as a CD-ROM.
    pub cdrom: bool,
    /// Whether what is written may be lost with the power until it is flushed.
    pub has_cache: bool,
    /// How it forgets sectors, if it can.
    pub discard: Option<Discard>,
}
