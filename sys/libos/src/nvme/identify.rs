//! What a controller and a namespace say of themselves (5.17.2, and 4.1.5 of the NVM command set specification 1.0).

use crate::block::{Discard, Facts, SECTOR};
use crate::virtio::DeviceError;
use uk_abi::layout::PAGE_SIZE;

/// Offsets in what a controller says.
const MAX_TRANSFER: usize = 77;
const OPTIONAL_COMMANDS: usize = 520;
const VOLATILE_CACHE: usize = 525;

/// Offsets in what a namespace says.
const SIZE: usize = 0;
const FORMAT: usize = 26;
const FORMATS: usize = 128;

/// The bit of [`OPTIONAL_COMMANDS`] for managing data sets.
const MANAGES: u16 = 1 << 2;

/// What they say, as far as it is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    /// Blocks of the namespace.
    blocks: u64,
    /// The logarithm of a block's bytes.
    block_exponent: u32,
    /// The most bytes of a command, if there is a limit.
    max_transfer: Option<u64>,
    has_cache: bool,
    manages: bool,
}

/// The byte at `offset` of what stands in `words`.
fn byte(words: &[u64], offset: usize) -> u8 {
    words.get(offset / 8).map_or(0, |word| word.to_le_bytes()[offset % 8])
}

impl Identity {
    /// Reads the structures of the controller and of the namespace.
    pub(super) fn new(controller: &[u64], namespace: &[u64]) -> Result<Self, DeviceError> {
        let format = usize::from(byte(namespace, FORMAT) & 0xf);
        let block_exponent = u32::from(byte(namespace, FORMATS + 4 * format + 2));
        if !(SECTOR.ilog2()..=PAGE_SIZE.ilog2()).contains(&block_exponent) {
            return Err(DeviceError::SectorSize { found: 1u32.checked_shl(block_exponent).unwrap_or(0) });
        }
        let transfer = u32::from(byte(controller, MAX_TRANSFER));
        let commands = [byte(controller, OPTIONAL_COMMANDS), byte(controller, OPTIONAL_COMMANDS + 1)];
        Ok(Self {
            blocks: namespace.get(SIZE).copied().unwrap_or(0),
            block_exponent,
            max_transfer: (transfer > 0).then(|| (PAGE_SIZE as u64).checked_shl(transfer)).flatten(),
            has_cache: byte(controller, VOLATILE_CACHE) & 1 != 0,
            manages: u16::from_le_bytes(commands) & MANAGES != 0,
        })
    }

    /// The disk that they make, if a command has at most so many spans.
    pub(super) fn facts(&self, max_spans: usize) -> Facts {
        let block_size = 1 << self.block_exponent;
        let pages = self.max_transfer.map_or(u64::MAX, |bytes| bytes / PAGE_SIZE as u64);
        let sectors_in_block = u64::from(block_size / SECTOR);
        let granularity = block_size;
        Facts {
            sectors: self.blocks.saturating_mul(sectors_in_block),
            sector_size: block_size,
            physical_sector_size: block_size,
            read_only: false,
            has_cache: self.has_cache,
            // A range counts its blocks in 32 bits.
            discard: self
                .manages
                .then(|| Discard { granularity, max_sectors: u64::from(u32::MAX) * sectors_in_block }),
            // A first span that begins within its page makes one page more than there are bytes for.
            max_spans: max_spans.min(usize::try_from(pages).unwrap_or(usize::MAX)).max(1),
            takes_gaps: false,
        }
    }
}
