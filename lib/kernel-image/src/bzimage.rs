//! The setup header of a bzImage.

use crate::KernelImageError;
use crate::error::start_of;

/// How many sectors of setup code there are, not counting the first one; 0 means 4.
const SETUP_SECTS: usize = 0x1f1;
/// "HdrS".
const HEADER_MAGIC: usize = 0x202;
/// The version of the boot protocol.
const VERSION: usize = 0x206;
/// Where the payload starts, counted from the end of the setup code.
const PAYLOAD_OFFSET: usize = 0x248;
/// How long it is.
const PAYLOAD_LENGTH: usize = 0x24c;

const MAGIC: &[u8] = b"HdrS";
const SECTOR: u64 = 512;
/// The first protocol whose header tells where the payload is.
const FIRST_VERSION: u16 = 0x0208;

/// The payload of the bzImage `file`, as it is.
///
/// # Errors
/// When `file` is no bzImage, is too old a one, or states a payload that is not in it.
pub fn payload(file: &[u8]) -> Result<&[u8], KernelImageError> {
    let magic = file.get(HEADER_MAGIC..).unwrap_or_default();
    if !magic.starts_with(MAGIC) {
        return Err(KernelImageError::NotAKernel {
            size: file.len(),
            offset: HEADER_MAGIC,
            found: start_of(magic),
        });
    }
    let version = u16::from_le_bytes(field(file, VERSION)?);
    if version < FIRST_VERSION {
        return Err(KernelImageError::Protocol { found: version });
    }
    let [sectors] = field(file, SETUP_SECTS)?;
    let setup = SECTOR * (1 + u64::from(if sectors == 0 { 4 } else { sectors }));
    let offset = setup + u64::from(u32::from_le_bytes(field(file, PAYLOAD_OFFSET)?));
    let length = u64::from(u32::from_le_bytes(field(file, PAYLOAD_LENGTH)?));
    let range = usize::try_from(offset).ok().zip(usize::try_from(offset + length).ok());
    range.and_then(|(start, end)| file.get(start..end)).ok_or(KernelImageError::Payload {
        offset,
        length,
        size: file.len(),
    })
}

/// The bytes of a field. A file that ends before it states no payload.
fn field<const N: usize>(file: &[u8], offset: usize) -> Result<[u8; N], KernelImageError> {
    let bytes = file.get(offset..).and_then(|rest| rest.first_chunk());
    bytes.copied().ok_or(KernelImageError::Payload {
        offset: offset as u64,
        length: N as u64,
        size: file.len(),
    })
}
