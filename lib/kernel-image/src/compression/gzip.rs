//! gzip: a header of variable length, a deflate stream, its CRC-32 and its size.

use crc::{CRC_32_ISO_HDLC, Crc, Table};
use miniz_oxide::inflate::{TINFLStatus, decompress_slice_iter_to_slice};

use super::Failure;

const CRC32: Crc<u32, Table<16>> = Crc::<u32, Table<16>>::new(&CRC_32_ISO_HDLC);

/// Bytes of the header's fixed part: magic number, method, flags, time, extra flags, system.
const HEADER: usize = 10;
/// Bytes at the end: CRC-32 and size.
const TRAILER: usize = 8;
/// The one method: deflate.
const DEFLATE: u8 = 8;

/// Flags for what follows the fixed part of the header, in this order.
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const HAS_HEADER_CRC: u8 = 1 << 1;

/// Unpacks `payload`, all of it, into `out`; answers how many bytes came out.
pub(super) fn unpack(payload: &[u8], out: &mut [u8]) -> Result<usize, Failure> {
    let body = skip_header(payload).ok_or(Failure::Damaged("its header does not read"))?;
    let Some((stream, trailer)) = body.split_last_chunk::<TRAILER>() else {
        return Err(Failure::Damaged("it ends too early"));
    };
    let raw = [stream].into_iter();
    let done = decompress_slice_iter_to_slice(out, raw, false, true).map_err(|status| match status {
        TINFLStatus::HasMoreOutput => Failure::Overflow,
        TINFLStatus::NeedsMoreInput | TINFLStatus::FailedCannotMakeProgress => {
            Failure::Damaged("it ends too early")
        }
        _ => Failure::Damaged("its deflate stream is wrong"),
    })?;
    let [a, b, c, d, ..] = *trailer;
    let unpacked = out.get(..done).unwrap_or_default();
    if CRC32.checksum(unpacked) != u32::from_le_bytes([a, b, c, d]) {
        return Err(Failure::Damaged("its CRC-32 is wrong"));
    }
    Ok(done)
}

/// What follows the header.
fn skip_header(payload: &[u8]) -> Option<&[u8]> {
    let (&[_, _, method, flags, ..], mut rest) = payload.split_first_chunk::<HEADER>()?;
    if method != DEFLATE {
        return None;
    }
    if flags & HAS_EXTRA != 0 {
        let (length, after) = rest.split_first_chunk()?;
        rest = after.get(u16::from_le_bytes(*length).into()..)?;
    }
    for flag in [HAS_NAME, HAS_COMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = &rest[end + 1..];
        }
    }
    if flags & HAS_HEADER_CRC != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}
