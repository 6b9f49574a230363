//! Symbol tables: which function an address lies in.
//!
//! A table is a header, the symbols in the order of their addresses, and the pool of their names. All numbers are
//! little-endian:
//!
//! ```text
//! 0   u32  "SYMB"
//! 4   u32  how many symbols (n)
//! 8   u64  the base that offsets count from
//! 16  u32  the offset where the last symbol ends
//! 20  u32  zero
//! 24  n times: u32 the symbol's offset, u32 the place of its name in the pool
//! ..  the pool: each name a u16 length and so many bytes of UTF-8
//! ```
//!
//! Root looks addresses up while it reports a fault, so the reader takes bounded time, and rubbish makes it answer
//! nothing at worst.

/// What a table starts with.
const MAGIC: u32 = u32::from_le_bytes(*b"SYMB");

/// Bytes of the header.
const HEADER: usize = 24;

/// Bytes of one symbol.
const ENTRY: usize = 8;

/// Why bytes are no symbol table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymbolsError {
    /// They do not start with a table's header.
    NoHeader,
    /// The symbols take `needed` bytes and `found` are there.
    Truncated {
        /// Bytes that header and symbols take.
        needed: u64,
        /// Bytes that are there.
        found: usize,
    },
}

/// A symbol table.
#[derive(Clone, Copy, Debug)]
pub struct Symbols<'a> {
    base: u64,
    end: u32,
    entries: &'a [u8],
    pool: &'a [u8],
}

impl<'a> Symbols<'a> {
    /// Reads a table's header; symbols and names are checked when they are looked at.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, SymbolsError> {
        let header = bytes.first_chunk::<HEADER>().ok_or(SymbolsError::NoHeader)?;
        if u32_at(header, 0) != Some(MAGIC) {
            return Err(SymbolsError::NoHeader);
        }
        let count = u32_at(header, 4).unwrap_or(0);
        let needed = HEADER as u64 + u64::from(count) * ENTRY as u64;
        let (entries, pool) = usize::try_from(needed)
            .ok()
            .and_then(|needed| bytes.split_at_checked(needed))
            .ok_or(SymbolsError::Truncated { needed, found: bytes.len() })?;
        let base =
            u64::from(u32_at(header, 8).unwrap_or(0)) | u64::from(u32_at(header, 12).unwrap_or(0)) << 32;
        let end = u32_at(header, 16).unwrap_or(0);
        Ok(Self { base, end, entries: &entries[HEADER..], pool })
    }

    /// How many symbols there are.
    pub fn len(&self) -> usize {
        self.entries.len() / ENTRY
    }

    /// Whether there is no symbol.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The symbol that an address lies in, and how far behind its start.
    pub fn lookup(&self, address: u64) -> Option<(&'a str, u64)> {
        let offset =
            u32::try_from(address.checked_sub(self.base)?).ok().filter(|&offset| offset < self.end)?;
        // The number of symbols that start at or before the address.
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if u32_at(self.entries, middle * ENTRY)? <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let entry = low.checked_sub(1)? * ENTRY;
        let behind = offset.checked_sub(u32_at(self.entries, entry)?)?;
        Some((self.name(u32_at(self.entries, entry + 4)?)?, behind.into()))
    }

    /// The name at a place in the pool.
    fn name(&self, place: u32) -> Option<&'a str> {
        let (length, rest) = self.pool.get(usize::try_from(place).ok()?..)?.split_first_chunk::<2>()?;
        core::str::from_utf8(rest.get(..u16::from_le_bytes(*length).into())?).ok()
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// Writes a table: the symbols by address and name, and the address where the last of them ends.
///
/// Symbols need no order. Of those at one address the first is kept; those at or behind `end`, or 4 GiB and more
/// behind the lowest, are left out; names are cut to 65535 bytes.
#[cfg(feature = "std")]
pub fn encode<'s>(symbols: impl IntoIterator<Item = (u64, &'s str)>, end: u64) -> Vec<u8> {
    let mut sorted: Vec<(u64, &str)> = symbols.into_iter().filter(|(address, _)| *address < end).collect();
    sorted.sort_by_key(|(address, _)| *address);
    sorted.dedup_by_key(|(address, _)| *address);
    let base = sorted.first().map_or(0, |(address, _)| *address);
    sorted.retain(|(address, _)| address - base < u64::from(u32::MAX));
    let end = end.saturating_sub(base).min(u32::MAX.into()) as u32;

    let mut entries = Vec::with_capacity(HEADER + sorted.len() * ENTRY);
    let mut pool = Vec::new();
    entries.extend(MAGIC.to_le_bytes());
    entries.extend((sorted.len() as u32).to_le_bytes());
    entries.extend(base.to_le_bytes());
    entries.extend(end.to_le_bytes());
    entries.extend([0; 4]);
    for (address, name) in sorted {
        entries.extend(((address - base) as u32).to_le_bytes());
        entries.extend((pool.len() as u32).to_le_bytes());
        let name = &name[..name.floor_char_boundary(u16::MAX.into())];
        pool.extend((name.len() as u16).to_le_bytes());
        pool.extend(name.as_bytes());
    }
    entries.extend(pool);
    entries
}

impl core::fmt::Display for SymbolsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoHeader => write!(f, "not a symbol table"),
            Self::Truncated { needed, found } => {
                write!(f, "the symbol table is cut off: {needed} bytes needed, {found} found")
            }
        }
    }
}

impl core::error::Error for SymbolsError {}
