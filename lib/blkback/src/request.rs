//! Requests, decoded from what was copied out of a ring, and checked.
//!
//! Two kinds of wrong are told apart. What no frontend in good faith can send is a [`Reason`] to disconnect it. What one may
//! send by mistake, or because the disk has just become smaller, is a [`Refusal`]: that request is answered with an error.

use crate::geometry::{Geometry, SECTOR};
use crate::reason::Reason;
use serde::{Deserialize, Serialize};
use xen_abi::blkif::{
    self, DiscardFlags, DiscardRequest, IndirectRequest, MAX_INDIRECT_PAGES_PER_REQUEST,
    MAX_SEGMENTS_PER_REQUEST, ResponseStatus,
};
use xen_abi::{GrantRef, PAGE_SIZE};
use zerocopy::{FromBytes, IntoBytes};

/// Sectors in a page.
const SECTORS_PER_PAGE: u8 = (PAGE_SIZE / SECTOR) as u8;

/// Segments in a page of them.
pub const SEGMENTS_PER_PAGE: usize = PAGE_SIZE as usize / size_of::<blkif::Segment>();

/// The most segments that an indirect request can have.
pub const MAX_INDIRECT_SEGMENTS: u16 = (MAX_INDIRECT_PAGES_PER_REQUEST * SEGMENTS_PER_PAGE) as u16;

/// Sectors of one of the guest's pages: at least one, and none outside of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    gref: u32,
    first: u8,
    last: u8,
}

impl Segment {
    /// What the frontend has written, checked.
    ///
    /// # Errors
    /// [`Reason::Segment`].
    pub fn new(raw: &blkif::Segment) -> Result<Self, Reason> {
        let (first, last) = (raw.first_sect, raw.last_sect);
        if first <= last && last < SECTORS_PER_PAGE {
            Ok(Self { gref: raw.gref.0, first, last })
        } else {
            Err(Reason::Segment { first, last })
        }
    }

    /// The page.
    pub const fn gref(&self) -> GrantRef {
        GrantRef(self.gref)
    }

    /// Where in the page it begins, in bytes.
    pub const fn offset(&self) -> u32 {
        self.first as u32 * SECTOR as u32
    }

    /// Its length in bytes.
    pub const fn bytes(&self) -> u32 {
        (self.last - self.first + 1) as u32 * SECTOR as u32
    }
}

/// What shall be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Read.
    Read,
    /// Write.
    Write,
    /// Write what comes with it, if anything does, after all before and before all after, with all of it on the medium when it
    /// is answered.
    Barrier,
    /// Let everything answered be on the medium; then write what comes with it, if anything does.
    Flush,
    /// Forget sectors.
    Discard {
        /// How many.
        sectors: u64,
        /// So that nobody can read them again.
        secure: bool,
    },
    /// Something that this backend does not do.
    Unknown,
}

/// Where a request's data are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Data {
    /// In these.
    Direct(heapless::Vec<Segment, MAX_SEGMENTS_PER_REQUEST>),
    /// In segments that these pages of the guest's hold.
    Indirect {
        /// How many there are.
        segments: u16,
        /// Grants of the pages: as many as it takes.
        pages: heapless::Vec<u32, MAX_INDIRECT_PAGES_PER_REQUEST>,
    },
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The frontend's name for it.
    pub id: u64,
    /// The operation as the answer has to repeat it: of an indirect request, the one inside.
    pub code: u8,
    /// What shall be done.
    pub operation: Operation,
    /// The first sector, of 512 bytes.
    pub sector: u64,
    /// Where the data are.
    pub data: Data,
}

/// Why a request is answered with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// This backend or this disk does not do it.
    NotSupported,
    /// The disk cannot be written.
    ReadOnly,
    /// Some of it lies behind the end.
    BeyondEnd {
        /// The first sector.
        sector: u64,
        /// How many.
        sectors: u64,
        /// How many the disk has.
        end: u64,
    },
    /// It does not begin and end where the disk's own sectors do.
    Misaligned {
        /// The size of those, in bytes.
        sector_size: u32,
    },
}

impl Refusal {
    /// What the frontend is told.
    pub const fn status(&self) -> ResponseStatus {
        match self {
            Self::NotSupported => ResponseStatus::NotSupported,
            Self::ReadOnly | Self::BeyondEnd { .. } | Self::Misaligned { .. } => ResponseStatus::Error,
        }
    }
}

impl Request {
    /// Decodes what was copied out of a ring. Of an indirect request, at most `max_indirect` segments were offered; 0 if no such
    /// requests were.
    ///
    /// # Errors
    /// A [`Reason`] to disconnect the frontend.
    pub fn decode(raw: &blkif::Request, max_indirect: u16) -> Result<Self, Reason> {
        let blkif::Request { operation: code, id, sector_number: sector, .. } = *raw;
        let none = || Data::Direct(heapless::Vec::new());
        let request = |operation, data| Ok(Self { id, code, operation, sector, data });
        match blkif::Operation::from_raw(code) {
            Some(blkif::Operation::Read) => request(Operation::Read, direct(raw, 1)?),
            Some(blkif::Operation::Write) => request(Operation::Write, direct(raw, 1)?),
            Some(blkif::Operation::WriteBarrier) => request(Operation::Barrier, direct(raw, 0)?),
            Some(blkif::Operation::FlushDiskcache) => request(Operation::Flush, direct(raw, 0)?),
            Some(blkif::Operation::Discard) => {
                let discard: DiscardRequest = prefix(raw);
                let secure = discard.flag.contains(DiscardFlags::SECURE);
                request(Operation::Discard { sectors: discard.nr_sectors, secure }, none())
            }
            Some(blkif::Operation::Indirect) if max_indirect > 0 => indirect(&prefix(raw), max_indirect),
            Some(blkif::Operation::Indirect | blkif::Operation::Reserved1) | None => {
                request(Operation::Unknown, none())
            }
        }
    }

    /// How many segments the request has.
    pub fn segments(&self) -> usize {
        match &self.data {
            Data::Direct(segments) => segments.len(),
            Data::Indirect { segments, .. } => usize::from(*segments),
        }
    }

    /// Whether data go from the guest to the disk.
    pub const fn writes(&self) -> bool {
        matches!(self.operation, Operation::Write | Operation::Barrier | Operation::Flush)
    }

    /// Checks whether the disk can do it, with these segments.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn check(&self, segments: &[Segment], geometry: &Geometry) -> Result<(), Refusal> {
        let unit = geometry.sector_size;
        let mut sectors = 0;
        match self.operation {
            Operation::Unknown => return Err(Refusal::NotSupported),
            Operation::Discard { .. } if geometry.discard.is_none() => return Err(Refusal::NotSupported),
            Operation::Discard { sectors: count, .. } => sectors = count,
            Operation::Read | Operation::Write | Operation::Barrier | Operation::Flush => {
                for segment in segments {
                    if segment.offset() % unit != 0 || segment.bytes() % unit != 0 {
                        return Err(Refusal::Misaligned { sector_size: unit });
                    }
                    sectors += u64::from(segment.bytes()) / SECTOR;
                }
            }
        }
        if sectors == 0 {
            return Ok(());
        }
        if geometry.read_only && self.operation != Operation::Read {
            return Err(Refusal::ReadOnly);
        }
        let end = geometry.sectors;
        if self.sector.checked_add(sectors).is_none_or(|last| last > end) {
            return Err(Refusal::BeyondEnd { sector: self.sector, sectors, end });
        }
        let per_unit = u64::from(unit) / SECTOR;
        if !self.sector.is_multiple_of(per_unit) || !sectors.is_multiple_of(per_unit) {
            return Err(Refusal::Misaligned { sector_size: unit });
        }
        Ok(())
    }
}

/// The slot, seen as one of the other structures that it may hold.
fn prefix<T: FromBytes + IntoBytes>(raw: &blkif::Request) -> T {
    let mut value = T::new_zeroed();
    let bytes = value.as_mut_bytes();
    bytes.copy_from_slice(&raw.as_bytes()[..bytes.len()]);
    value
}

fn direct(raw: &blkif::Request, min: usize) -> Result<Data, Reason> {
    let (found, max) = (usize::from(raw.nr_segments), MAX_SEGMENTS_PER_REQUEST);
    if found < min || found > max {
        return Err(Reason::Segments { found: found as u16, max: max as u16 });
    }
    let segments: Result<_, _> = raw.seg[..found].iter().map(Segment::new).collect();
    Ok(Data::Direct(segments?))
}

fn indirect(raw: &IndirectRequest, max: u16) -> Result<Request, Reason> {
    let code = raw.indirect_op;
    let operation = match blkif::Operation::from_raw(code) {
        Some(blkif::Operation::Read) => Operation::Read,
        Some(blkif::Operation::Write) => Operation::Write,
        _ => return Err(Reason::IndirectOperation { found: code }),
    };
    let segments = raw.nr_segments;
    if segments == 0 || segments > max.min(MAX_INDIRECT_SEGMENTS) {
        return Err(Reason::Segments { found: segments, max });
    }
    let pages = usize::from(segments).div_ceil(SEGMENTS_PER_PAGE);
    let pages = raw.indirect_grefs[..pages].iter().map(|gref| gref.0).collect();
    let data = Data::Indirect { segments, pages };
    Ok(Request { id: raw.id, code, operation, sector: raw.sector_number, data })
}
