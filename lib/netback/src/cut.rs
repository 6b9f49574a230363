//! Doing in software what a receiver cannot: computing a checksum, and cutting a frame.

use crate::offload::{Checksum, Offload, Protocol, Segments, Transport};
use crate::pool::{FrameId, Pages, Pool, RESERVE};
use heapless::Vec;
use smoltcp::wire::{Ipv4Packet, Ipv6Packet, TcpPacket, checksum};

/// The most pieces that a frame is cut into.
pub const MAX_SEGMENTS: usize = RESERVE;

/// The most bytes of headers before the payload of a frame that is cut: more than any honest one has.
const MAX_HEADERS: usize = 256;

/// A frame's pieces.
pub type Pieces = Vec<FrameId, MAX_SEGMENTS>;

/// Why a frame could not be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutError {
    /// Not now: the pool has no room for the pieces.
    NoRoom,
    /// Never: there would be too many, or it is not the TCP that it was said to be.
    Impossible,
}

/// Computes the checksum of a frame whose field was left blank. The frame must not be with a card already.
pub fn fill_checksum(pool: &mut Pool, pages: &mut impl Pages, id: FrameId, transport: &Transport) {
    let length = pool.length(id);
    pool.write(id, pages, transport.field, &[0, 0]);
    let mut sum = transport.pseudo_header(length);
    let mut at = 0;
    for piece in pool.pieces(id, transport.start) {
        let part = checksum::data(&pages.bytes(piece.page)[piece.offset..piece.offset + piece.length]);
        // A sum over bytes that begin at an odd place is the same with its halves exchanged (RFC 1071, 2.B).
        let part = if at % 2 == 0 { part } else { part.swap_bytes() };
        sum = checksum::combine(&[sum, part]);
        at += piece.length;
    }
    // In UDP, 0 says that there is none.
    let value = match (transport.protocol, !sum) {
        (Protocol::Udp, 0) => 0xffff,
        (_, value) => value,
    };
    pool.write(id, pages, transport.field, &value.to_be_bytes());
    pool.set_offload(id, Offload { checksum: Checksum::Valid, ..pool.offload(id) });
}

/// Writes the sum of the pseudo header into the checksum's field, as whoever computes the rest expects it there.
pub fn seed_checksum(pool: &Pool, pages: &mut impl Pages, id: FrameId, transport: &Transport) {
    let seed = transport.pseudo_header(pool.length(id));
    pool.write(id, pages, transport.field, &seed.to_be_bytes());
}

/// The bytes of the longest piece that a frame is to be cut into, here or by a card; its own if it is not to be cut.
pub fn longest_piece(pool: &Pool, pages: &impl Pages, id: FrameId) -> usize {
    let length = pool.length(id);
    let Some(Segments { size, .. }) = pool.offload(id).segments else {
        return length;
    };
    let transport = Transport::locate(pool.head(id, pages));
    transport.map_or(length, |transport| length.min(transport.payload + usize::from(size.get())))
}

/// Cuts a frame into new ones, each with one reference and with a checksum left blank. The frame itself lives on until
/// its pieces are gone.
///
/// # Errors
/// [`CutError`]; then nothing has changed.
pub fn cut(
    pool: &mut Pool,
    pages: &mut impl Pages,
    id: FrameId,
    segments: Segments,
) -> Result<Pieces, CutError> {
    let transport = Transport::locate(pool.head(id, pages)).ok_or(CutError::Impossible)?;
    let (length, size) = (pool.length(id), usize::from(segments.size.get()));
    let count = (length - transport.payload).div_ceil(size).max(1);
    if transport.protocol != Protocol::Tcp || transport.payload > MAX_HEADERS || count > MAX_SEGMENTS {
        return Err(CutError::Impossible);
    }
    let mut headers = [0; MAX_HEADERS];
    let headers = &mut headers[..transport.payload];
    pool.read(id, pages, 0, headers);
    let mut pieces = Pieces::new();
    for number in 0..count {
        let from = transport.payload + number * size;
        let payload = size.min(length - from);
        let Some(piece) = pool.allocate(headers.len() + payload, 0) else {
            for piece in pieces {
                pool.release(piece);
            }
            return Err(CutError::NoRoom);
        };
        pool.set_parent(piece, id);
        let written = pieces.push(piece);
        debug_assert!(written.is_ok(), "they were counted");
        pool.write(piece, pages, 0, headers);
        copy_payload(pool, pages, (id, from), (piece, headers.len()), payload);
        let place = Place { number, offset: number * size, is_last: number + 1 == count };
        adjust(pool.head_mut(piece, pages), &transport, headers.len() + payload, place);
        pool.set_offload(piece, Offload { checksum: Checksum::Blank, segments: None });
        seed_checksum(pool, pages, piece, &transport);
    }
    Ok(pieces)
}

/// Where in the whole a piece lies.
struct Place {
    number: usize,
    /// Bytes of payload before it.
    offset: usize,
    is_last: bool,
}

/// Makes the headers of the whole those of a piece of `length` bytes.
fn adjust(head: &mut [u8], transport: &Transport, length: usize, place: Place) {
    let packet = length - transport.internet;
    if transport.is_v6 {
        let mut ip = Ipv6Packet::new_unchecked(&mut head[transport.internet..]);
        ip.set_payload_len((packet - smoltcp::wire::IPV6_HEADER_LEN) as u16);
    } else {
        let mut ip = Ipv4Packet::new_unchecked(&mut head[transport.internet..]);
        ip.set_total_len(packet as u16);
        ip.set_ident(ip.ident().wrapping_add(place.number as u16));
        ip.fill_checksum();
    }
    let mut tcp = TcpPacket::new_unchecked(&mut head[transport.start..]);
    tcp.set_seq_number(tcp.seq_number() + place.offset);
    if !place.is_last {
        tcp.set_fin(false);
        tcp.set_psh(false);
    }
    if place.number > 0 {
        // "Congestion window reduced" is said once.
        tcp.set_cwr(false);
    }
}

fn copy_payload(
    pool: &Pool,
    pages: &mut impl Pages,
    (source, mut from): (FrameId, usize),
    (dest, mut to): (FrameId, usize),
    length: usize,
) {
    let mut buffer = [0; 512];
    let end = from + length;
    while from < end {
        let bytes = &mut buffer[..(end - from).min(512)];
        pool.read(source, pages, from, bytes);
        pool.write(dest, pages, to, bytes);
        (from, to) = (from + bytes.len(), to + bytes.len());
    }
}
