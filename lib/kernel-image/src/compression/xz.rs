//! xz, of which kernels use LZMA2 with the filter for x86 code.

use lzma_rust2::{Error, Read, XzReader};

use super::{Failure, MAX_WINDOW};

/// Unpacks `packed` into `out`; answers how many bytes came out.
pub(super) fn unpack(packed: &[u8], out: &mut [u8]) -> Result<usize, Failure> {
    let mut reader = XzReader::new_mem_limit(packed, false, (MAX_WINDOW >> 10) as u32);
    let mut done = 0;
    while done < out.len() {
        match read(&mut reader, &mut out[done..])? {
            0 => return Ok(done),
            count => done += count,
        }
    }
    // The checksums stand behind the last byte: the reader has to be asked for one more to look at them.
    match read(&mut reader, &mut [0])? {
        0 => Ok(done),
        _ => Err(Failure::Overflow),
    }
}

fn read(reader: &mut XzReader<&[u8]>, out: &mut [u8]) -> Result<usize, Failure> {
    reader.read(out).map_err(|error| {
        Failure::Damaged(match error {
            Error::Eof => "it ends too early",
            Error::OutOfMemory(_) => "its window is larger than allowed, or there is no memory for it",
            Error::InvalidData(what)
            | Error::InvalidInput(what)
            | Error::Other(what)
            | Error::Unsupported(what)
            | Error::WriteZero(what) => what,
            Error::Interrupted => "the reader was interrupted",
        })
    })
}
