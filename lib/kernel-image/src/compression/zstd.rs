//! zstd.

use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::errors::FrameDecoderError;

use super::{Failure, MAX_WINDOW};

/// Unpacks `packed` into `out`; answers how many bytes came out.
pub(super) fn unpack(packed: &[u8], out: &mut [u8]) -> Result<usize, Failure> {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(MAX_WINDOW as u64);
    let done = decoder.decode_all(packed, out).map_err(|error| match error {
        FrameDecoderError::TargetTooSmall => Failure::Overflow,
        FrameDecoderError::WindowSizeTooBig { .. } => Failure::Damaged("its window is larger than allowed"),
        FrameDecoderError::ReadFrameHeaderError(_) | FrameDecoderError::FrameHeaderError(_) => {
            Failure::Damaged("a frame's header does not read")
        }
        _ => Failure::Damaged("a block does not unpack"),
    })?;
    if decoder.get_checksum_from_data().is_some_and(|sum| Some(sum) != decoder.get_calculated_checksum()) {
        return Err(Failure::Damaged("its checksum is wrong"));
    }
    Ok(done)
}
