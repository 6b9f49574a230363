//! UUIDs: what a VM is called where names can change.

use core::fmt;
use core::str::FromStr;
use xen_abi::domctl::DomainHandle;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// A VM's UUID, which is its domain's handle too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(pub DomainHandle);

/// Not 32 hexadecimal digits as 8-4-4-4-12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoUuid;

impl Uuid {
    /// One that is made up (RFC 4122, version 4): another for each name and each number.
    pub fn made_up(name: &str, number: u64) -> Self {
        let mut bytes = xxh3_128_with_seed(name.as_bytes(), number).to_be_bytes();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(bytes)
    }

    /// The address of a network interface that nobody has given one: Xen's own range, and for each interface of each VM
    /// another.
    pub fn mac(&self, interface: u32) -> [u8; 6] {
        let [a, b, c, ..] = xxh3_128_with_seed(&self.0, interface.into()).to_be_bytes();
        [0x00, 0x16, 0x3e, a & 0x7f, b, c]
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

impl FromStr for Uuid {
    type Err = NoUuid;

    fn from_str(text: &str) -> Result<Self, NoUuid> {
        if !text.split('-').map(str::len).eq([8, 4, 4, 4, 12]) {
            return Err(NoUuid);
        }
        let mut digits = text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16));
        let mut bytes = DomainHandle::default();
        for byte in &mut bytes {
            let mut digit = || digits.next().flatten().ok_or(NoUuid);
            *byte = (digit()? << 4 | digit()?) as u8;
        }
        Ok(Self(bytes))
    }
}
