//! One frame in a transmit ring: a first request, what is extra about it, and the rest of its pieces.

use crate::Lie;
use crate::lie::RingKind;
use crate::offload::{Checksum, Family, Offload, Segments};
use crate::pool::{MAX_LENGTH, PAGE};
use core::num::NonZeroU16;
use heapless::Vec;
use ring::request::{Backend, NetTransmit};
use smoltcp::wire::{ETHERNET_HEADER_LEN, EthernetAddress};
use xen_abi::netif::{ExtraFlags, ExtraInfo, ExtraType, Gso, GsoType, Mcast, TxFlags, TxRequest};
use zerocopy::{FromBytes, IntoBytes};

/// The most pieces of a frame that is sent: one for each of Linux's 18 fragments (`XEN_NETIF_NR_SLOTS_MIN`), and the
/// linear part before them.
pub const MAX_PIECES: usize = 19;

/// The most pieces that a frontend makes by mistake, when its kernel has more fragments than the protocol: such a frame
/// is thrown away. More than that is malice.
const MAX_MISTAKEN: usize = 22;

/// The most extra slots of a frame: one of each type.
const MAX_EXTRAS: usize = 5;

/// A frame as the ring describes it. It was copied out of the ring, once, and checked; no page was looked at.
#[derive(Clone, Debug)]
pub(crate) struct Chain {
    /// The index of the first request.
    pub(crate) index: u32,
    /// The pieces, with their true sizes. Empty if the frame is not to be sent.
    pub(crate) pieces: Vec<TxRequest, MAX_PIECES>,
    /// The sum of their sizes.
    pub(crate) length: usize,
    /// What is still to be done to the frame.
    pub(crate) offload: Offload,
    /// A multicast address to be heard from now on, or no more: then there is no frame.
    pub(crate) multicast: Option<(EthernetAddress, bool)>,
}

/// What is known of a slot that was taken: what an answer needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The index of its request.
    pub(crate) index: u32,
    /// The frontend's name for it.
    pub(crate) id: u16,
    /// Whether it is a request, or only extra information to one.
    pub(crate) is_request: bool,
}

/// Takes the next frame's slots, if there is one, and tells of each.
pub(crate) fn take(
    ring: &mut Backend<'_, NetTransmit>,
    mut taken: impl FnMut(Taken),
) -> Result<Option<Chain>, Lie> {
    let index = ring.position().consumed;
    let mut next = |is_request| {
        let overrun = |overrun| Lie::Index { ring: RingKind::Transmit, overrun };
        let index = ring.position().consumed;
        let request = ring.take().map_err(overrun)?;
        if let Some(request) = &request {
            taken(Taken { index, id: request.id, is_request });
        }
        Ok(request)
    };
    let Some(first) = next(true)? else {
        return Ok(None);
    };
    let mut chain = Chain {
        index,
        pieces: Vec::new(),
        length: usize::from(first.size),
        offload: Offload::NONE,
        multicast: None,
    };
    let mut extra = first.flags.contains(TxFlags::EXTRA_INFO);
    let mut extras = 0;
    while extra {
        extras += 1;
        let info = next(false)?.ok_or(Lie::CutShort { index })?;
        extra = chain.read_extra(index.wrapping_add(extras as u32), &info)?;
        if extra && extras == MAX_EXTRAS {
            return Err(Lie::TooManyPieces { index, most: MAX_EXTRAS });
        }
    }
    let mut is_good = chain.length >= ETHERNET_HEADER_LEN;
    let mut left = u32::from(first.size);
    let mut more = first.flags.contains(TxFlags::MORE_DATA);
    let mut rest: Vec<TxRequest, MAX_MISTAKEN> = Vec::new();
    while more {
        let at = index.wrapping_add((1 + extras + rest.len()) as u32);
        let piece = next(true)?.ok_or(Lie::CutShort { index })?;
        check_page(at, &piece, u32::from(piece.size))?;
        // A frame of more than 64 KiB: its length did not fit. There are frontends that make such by mistake.
        is_good &= u32::from(piece.size) <= left;
        left = left.saturating_sub(u32::from(piece.size));
        more = piece.flags.contains(TxFlags::MORE_DATA);
        rest.push(piece).map_err(|_| Lie::TooManyPieces { index, most: MAX_MISTAKEN })?;
    }
    // The first request has the length of the whole; its own piece is what the others leave.
    if is_good {
        check_page(index, &first, left)?;
        is_good = rest.len() < MAX_PIECES && chain.length <= MAX_LENGTH;
    }
    if is_good && chain.multicast.is_none() {
        chain.offload.checksum = checksum(first.flags, &chain.offload);
        chain.pieces.extend(core::iter::once(TxRequest { size: left as u16, ..first }).chain(rest));
    }
    Ok(Some(chain))
}

impl Chain {
    /// Whether the frame is to be sent.
    pub(crate) fn is_frame(&self) -> bool {
        !self.pieces.is_empty()
    }

    /// Reads an extra slot. Whether another one follows.
    fn read_extra(&mut self, index: u32, slot: &TxRequest) -> Result<bool, Lie> {
        let unknown = |kind| Lie::Extra { index, kind };
        let (info, _) = ExtraInfo::read_from_prefix(slot.as_bytes()).map_err(|_| unknown(0))?;
        match ExtraType::from_raw(info.kind) {
            Some(ExtraType::Gso) => self.offload.segments = Some(segments(self.index, &info.data)?),
            Some(kind @ (ExtraType::McastAdd | ExtraType::McastDel)) => {
                let Mcast { addr } = Mcast { addr: info.data };
                self.multicast = Some((EthernetAddress(addr), kind == ExtraType::McastAdd));
            }
            // A guest's own hash of its frame is of no use to anybody here.
            Some(ExtraType::Hash) => {}
            Some(ExtraType::None) | None => return Err(unknown(info.kind)),
        }
        Ok(info.flags.contains(ExtraFlags::MORE))
    }
}

fn segments(index: u32, data: &[u8; 6]) -> Result<Segments, Lie> {
    let gso = Gso::read_from_bytes(data).unwrap_or_default();
    let family = match GsoType::from_raw(gso.kind) {
        Some(GsoType::TcpV4) => Some(Family::TcpV4),
        Some(GsoType::TcpV6) => Some(Family::TcpV6),
        Some(GsoType::None) | None => None,
    };
    let segments = family.zip(NonZeroU16::new(gso.size)).map(|(family, size)| Segments { family, size });
    segments.ok_or(Lie::Segments { index, kind: gso.kind, size: gso.size })
}

/// A frame that has to be cut has no checksum yet, whatever its flags say: it needs one for each piece.
fn checksum(flags: TxFlags, offload: &Offload) -> Checksum {
    if flags.contains(TxFlags::CSUM_BLANK) || offload.segments.is_some() {
        Checksum::Blank
    } else if flags.contains(TxFlags::DATA_VALIDATED) {
        Checksum::Valid
    } else {
        Checksum::Unknown
    }
}

fn check_page(index: u32, piece: &TxRequest, size: u32) -> Result<(), Lie> {
    if u32::from(piece.offset) + size <= PAGE as u32 {
        Ok(())
    } else {
        Err(Lie::BeyondPage { index, offset: piece.offset, size })
    }
}
