//! Where the bytes of a request lie: which of the guest's go to which of the driver's pages.

use crate::device::Piece;
use crate::pages::{Copy, Direction, Page};
use crate::request::Segment;
use alloc::vec::Vec;
use xen_abi::{Domid, PAGE_SIZE};

const PAGE: u32 = PAGE_SIZE as u32;

/// How many bytes the segments have together.
pub fn bytes(segments: &[Segment]) -> u32 {
    segments.iter().map(Segment::bytes).sum()
}

/// How many pages of the driver's own hold the segments when they are packed.
pub fn packed_pages(segments: &[Segment]) -> usize {
    bytes(segments).div_ceil(PAGE) as usize
}

/// The packed pages as pieces: full ones, and a last one with what is left.
pub fn packed(pages: impl Iterator<Item = Page>, bytes: u32, pieces: &mut Vec<Piece>) {
    let mut left = bytes;
    for page in pages {
        let bytes = left.min(PAGE);
        pieces.push(Piece { page, offset: 0, bytes });
        left -= bytes;
    }
}

/// The copies between the segments and the packed pages.
pub fn copies(
    guest: Domid,
    segments: &[Segment],
    pieces: &[Piece],
    direction: Direction,
    copies: &mut Vec<Copy>,
) {
    let mut at = 0;
    for segment in segments {
        let mut done = 0;
        while done < segment.bytes() {
            let (page, offset) = (pieces[(at / PAGE) as usize].page, at % PAGE);
            let bytes = (segment.bytes() - done).min(PAGE - offset);
            copies.push(Copy {
                guest,
                gref: segment.gref(),
                guest_offset: segment.offset() + done,
                page,
                offset,
                bytes,
                direction,
                result: Ok(()),
            });
            (at, done) = (at + bytes, done + bytes);
        }
    }
}

/// Whether the segments lie in pages so that all but the first begin, and all but the last end, where a page does.
pub fn has_gaps(segments: &[Segment]) -> bool {
    segments.windows(2).any(|pair| pair[0].offset() + pair[0].bytes() != PAGE || pair[1].offset() != 0)
}
