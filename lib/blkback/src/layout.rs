//! Where the bytes of a request lie: which of the guest's go to which of the driver's pages.

use crate::device::Piece;
use crate::pages::{Copy, Direction, Pages};
use crate::request::Segment;
use alloc::vec::Vec;
use xen_abi::{Domid, PAGE_SIZE};

const PAGE: u32 = PAGE_SIZE as u32;

/// Finds pages of the driver's own for the segments' bytes, packed: full ones, and a last one with what is left. Returns whether
/// there were enough; if not, none is kept.
pub fn pack(segments: &[Segment], pages: &mut impl Pages, pieces: &mut Vec<Piece>) -> bool {
    let mut left: u32 = segments.iter().map(Segment::bytes).sum();
    while left > 0 {
        let Some(page) = pages.allocate() else {
            pieces.drain(..).for_each(|piece| pages.release(piece.page));
            return false;
        };
        let bytes = left.min(PAGE);
        pieces.push(Piece { page, offset: 0, bytes });
        left -= bytes;
    }
    true
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
