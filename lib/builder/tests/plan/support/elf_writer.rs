//! Writes small ELF files, sound ones and others: nothing is checked here.

/// Bytes of the file header.
pub(crate) const HEADER_BYTES: usize = 64;

/// Bytes of a program header.
pub(crate) const PROGRAM_HEADER_BYTES: usize = 56;

pub(crate) const PT_LOAD: u32 = 1;
pub(crate) const PT_INTERP: u32 = 3;
pub(crate) const PT_NOTE: u32 = 4;

pub(crate) const R: u32 = 4;
pub(crate) const W: u32 = 2;
pub(crate) const X: u32 = 1;

/// A program header with its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) kind: u32,
    pub(crate) flags: u32,
    pub(crate) address: u64,
    /// Where it goes in physical memory.
    pub(crate) physical: u64,
    pub(crate) bytes: Vec<u8>,
    /// Its size in memory.
    pub(crate) size: u64,
}

impl Part {
    pub(crate) fn load(flags: u32, address: u64, bytes: Vec<u8>, size: u64) -> Self {
        Self { kind: PT_LOAD, flags, address, physical: address, bytes, size }
    }

    /// What is not loaded.
    pub(crate) fn other(kind: u32, bytes: Vec<u8>) -> Self {
        Self { kind, flags: R, address: 0, physical: 0, size: bytes.len() as u64, bytes }
    }
}

/// A static x86-64 executable. The bytes of its parts follow the headers without any alignment.
pub(crate) fn write(entry: u64, parts: &[Part]) -> Vec<u8> {
    let mut file = Vec::new();
    file.extend(b"\x7fELF");
    file.extend([2, 1, 1]); // 64-bit, little-endian, version 1
    file.resize(16, 0);
    put(&mut file, 2, 2); // e_type: executable
    put(&mut file, 2, 62); // e_machine: x86-64
    put(&mut file, 4, 1); // e_version
    put(&mut file, 8, entry);
    put(&mut file, 8, HEADER_BYTES as u64); // e_phoff
    put(&mut file, 8, 0); // e_shoff: stripped
    put(&mut file, 4, 0); // e_flags
    put(&mut file, 2, HEADER_BYTES as u64);
    put(&mut file, 2, PROGRAM_HEADER_BYTES as u64);
    put(&mut file, 2, parts.len() as u64);
    put(&mut file, 2, 0); // e_shentsize
    put(&mut file, 2, 0); // e_shnum
    put(&mut file, 2, 0); // e_shstrndx
    let mut offset = HEADER_BYTES + parts.len() * PROGRAM_HEADER_BYTES;
    for part in parts {
        put(&mut file, 4, part.kind.into());
        put(&mut file, 4, part.flags.into());
        put(&mut file, 8, offset as u64);
        put(&mut file, 8, part.address);
        put(&mut file, 8, part.physical);
        put(&mut file, 8, part.bytes.len() as u64);
        put(&mut file, 8, part.size);
        put(&mut file, 8, 4); // p_align: what notes are aligned to
        offset += part.bytes.len();
    }
    for part in parts {
        file.extend(&part.bytes);
    }
    file
}

/// An ELF note.
pub(crate) fn note(name: &[u8], kind: u32, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    put(&mut bytes, 4, name.len() as u64 + 1);
    put(&mut bytes, 4, value.len() as u64);
    put(&mut bytes, 4, kind.into());
    bytes.extend(name);
    bytes.push(0);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn put(file: &mut Vec<u8>, bytes: usize, value: u64) {
    file.extend(&value.to_le_bytes()[..bytes]);
}
