//! The block protocol (`io/blkif.h`). Sectors are of 512 bytes, whatever the device's are.

use crate::GrantRef;

/// Segments in a request that has them in its slot.
pub const MAX_SEGMENTS_PER_REQUEST: usize = 11;
/// Pages of segments that a request can name.
pub const MAX_INDIRECT_PAGES_PER_REQUEST: usize = 8;

numbers! {
    /// What is asked for.
    pub enum Operation: u8 {
        /// Read sectors.
        Read = 0,
        /// Write sectors.
        Write = 1,
        /// Write sectors after all writes before, and before all after; and let all be on the medium.
        WriteBarrier = 2,
        /// Let all writes that were answered be on the medium.
        FlushDiskcache = 3,
        /// A command of one vendor's.
        Reserved1 = 4,
        /// Forget sectors.
        Discard = 5,
        /// Read or write sectors, with the segments in pages of their own.
        Indirect = 6,
    }

    /// How it went.
    pub enum ResponseStatus: i16 {
        /// The backend does not do this.
        NotSupported = -2,
        /// It failed.
        Error = -1,
        /// It is done.
        Okay = 0,
    }
}

flags! {
    /// What kind of disk it is: the node `info`.
    pub struct VdiskFlags: u32 {
        /// A CD-ROM.
        const CDROM = 1;
        /// The medium can be taken out.
        const REMOVABLE = 2;
        /// It cannot be written.
        const READONLY = 4;
    }

    /// How sectors are forgotten.
    pub struct DiscardFlags: u8 {
        /// So that nobody can read them again.
        const SECURE = 1;
    }
}

structs! {
    /// Sectors of one page of the frontend's.
    pub struct Segment: 8 {
        /// The page.
        pub gref: GrantRef,
        /// The first of the page's eight sectors.
        pub first_sect: u8,
        /// The last of them.
        pub last_sect: u8,
        /// Unused.
        pub pad: [u8; 2],
    }

    /// A request.
    pub struct Request: 112 {
        /// An [`Operation`].
        pub operation: u8,
        /// How many of `seg` count.
        pub nr_segments: u8,
        /// The number by which the frontend knows the device.
        pub handle: u16,
        /// Unused.
        pub pad: [u8; 4],
        /// The frontend's name for the request.
        pub id: u64,
        /// The first sector on the device.
        pub sector_number: u64,
        /// Where the data are.
        pub seg: [Segment; MAX_SEGMENTS_PER_REQUEST],
    }

    /// A request whose operation is [`Operation::Discard`].
    pub struct DiscardRequest: 32 {
        /// [`Operation::Discard`].
        pub operation: u8,
        /// How.
        pub flag: DiscardFlags,
        /// The number by which the frontend knows the device.
        pub handle: u16,
        /// Unused.
        pub pad: [u8; 4],
        /// The frontend's name for the request.
        pub id: u64,
        /// The first sector on the device.
        pub sector_number: u64,
        /// How many.
        pub nr_sectors: u64,
    }

    /// A request whose operation is [`Operation::Indirect`].
    pub struct IndirectRequest: 64 {
        /// [`Operation::Indirect`].
        pub operation: u8,
        /// [`Operation::Read`] or [`Operation::Write`].
        pub indirect_op: u8,
        /// How many segments there are.
        pub nr_segments: u16,
        /// Unused.
        pub pad0: [u8; 4],
        /// The frontend's name for the request.
        pub id: u64,
        /// The first sector on the device.
        pub sector_number: u64,
        /// The number by which the frontend knows the device.
        pub handle: u16,
        /// Unused.
        pub pad1: [u8; 2],
        /// The pages with the segments.
        pub indirect_grefs: [GrantRef; MAX_INDIRECT_PAGES_PER_REQUEST],
        /// Unused.
        pub pad2: [u8; 4],
    }

    /// The answer to a request.
    pub struct Response: 16 {
        /// The frontend's name for the request.
        pub id: u64,
        /// The request's operation.
        pub operation: u8,
        /// Unused.
        pub pad0: u8,
        /// A [`ResponseStatus`].
        pub status: i16,
        /// Unused.
        pub pad1: [u8; 4],
    }
}
