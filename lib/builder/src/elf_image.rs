//! A checked view of an ELF image: everything that it hands out lies inside the file and makes sense by itself.

use core::fmt;

use elf::{ElfBytes, abi, endian::LittleEndian, file::Class, note::Note as RawNote, segment::ProgramHeader};
use heapless::Vec;
use xen_abi::VirtAddr;

use crate::ElfError;

/// The most PT_LOAD headers that an image may have. Ours have three, Linux five.
pub const MAX_LOADS: usize = 8;

/// What the code of a unikernel may do with a page. There is no "write and execute".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Read and execute: code.
    Execute,
    /// Read: constants.
    Read,
    /// Read and write: data.
    Write,
}

/// A part of the image that is loaded: `bytes`, then zeros.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    /// Where it is linked (`p_vaddr`).
    pub address: VirtAddr,
    /// Where it wants to be in physical memory (`p_paddr`), counted in bytes. Linux is loaded by this one.
    pub physical: u64,
    /// Its bytes in the file.
    pub bytes: &'a [u8],
    /// Its size in memory; at least that of `bytes`, and neither `address` nor `physical` overflows with it.
    pub size: u64,
    /// What it may be used for, as the file says it (`p_flags`): 4 read, 2 write, 1 execute. Linux has loads to write
    /// and execute, as it sees to permissions itself.
    pub flags: u32,
}

impl Load<'_> {
    /// What the flags ask for, if that can be granted.
    pub const fn permission(&self) -> Option<Permission> {
        const RX: u32 = abi::PF_R | abi::PF_X;
        const RW: u32 = abi::PF_R | abi::PF_W;
        match self.flags {
            RX => Some(Permission::Execute),
            abi::PF_R => Some(Permission::Read),
            RW => Some(Permission::Write),
            _ => None,
        }
    }
}

/// Says how many bytes there are, not which.
impl fmt::Debug for Load<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, physical, bytes, size, flags } = self;
        write!(f, "{flags:#x} {size:#x} bytes at {address:?} ({physical:#x}), {} from the file", bytes.len())
    }
}

/// An ELF note: a typed value with the name of who defined the type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// Who defined it, without the NUL at the end; `b"Xen"` for Xen's.
    pub name: &'a [u8],
    /// Its type, in the numbering of `name`.
    pub kind: u64,
    /// The value.
    pub value: &'a [u8],
}

/// A static ELF image for x86-64.
pub struct ElfImage<'a> {
    elf: ElfBytes<'a, LittleEndian>,
    loads: Vec<Load<'a>, MAX_LOADS>,
}

impl<'a> ElfImage<'a> {
    /// Checks `file` and takes its loads.
    ///
    /// # Errors
    /// See [`ElfError`]: any field that asks for something outside the file.
    pub fn parse(file: &'a [u8]) -> Result<Self, ElfError> {
        let elf = ElfBytes::<LittleEndian>::minimal_parse(file).map_err(ElfError::Format)?;
        if elf.ehdr.class != Class::ELF64 {
            return Err(ElfError::Class);
        }
        if elf.ehdr.e_machine != abi::EM_X86_64 {
            return Err(ElfError::Machine { found: elf.ehdr.e_machine });
        }
        if elf.ehdr.e_type != abi::ET_EXEC {
            return Err(ElfError::Type { found: elf.ehdr.e_type });
        }
        let mut loads = Vec::new();
        for header in elf.segments().into_iter().flatten() {
            match header.p_type {
                abi::PT_INTERP => return Err(ElfError::Interpreter),
                // Linkers leave such a header for a part of the image that has come out empty.
                abi::PT_LOAD if header.p_filesz == 0 && header.p_memsz == 0 => {}
                abi::PT_LOAD => {
                    let load = check_load(file, loads.len(), &header)?;
                    loads.push(load).map_err(|_| ElfError::TooManyLoads { most: MAX_LOADS })?;
                }
                _ => {}
            }
        }
        if loads.is_empty() {
            return Err(ElfError::NoLoads);
        }
        Ok(Self { elf, loads })
    }

    /// The entry point. It may be anywhere: whoever lays the image out checks it.
    pub fn entry(&self) -> VirtAddr {
        VirtAddr(self.elf.ehdr.e_entry)
    }

    /// The loads that are not empty, in the order of the file.
    pub fn loads(&self) -> &[Load<'a>] {
        &self.loads
    }

    /// The notes of all PT_NOTE headers that lie inside the file, up to the first malformed one of each.
    pub fn notes(&self) -> impl Iterator<Item = Note<'a>> + '_ {
        let headers = self.elf.segments().into_iter().flatten();
        headers.filter_map(|header| self.elf.segment_data_as_notes(&header).ok()).flatten().filter_map(
            |note| match note {
                RawNote::Unknown(note) => {
                    let name = note.name.strip_suffix(&[0]).unwrap_or(note.name);
                    Some(Note { name, kind: note.n_type, value: note.desc })
                }
                RawNote::GnuAbiTag(_) | RawNote::GnuBuildId(_) => None,
            },
        )
    }
}

fn check_load<'a>(file: &'a [u8], index: usize, header: &ProgramHeader) -> Result<Load<'a>, ElfError> {
    let (offset, size) = (header.p_offset, header.p_filesz);
    let range = usize::try_from(offset).ok().zip(usize::try_from(size).ok());
    let bytes = range
        .and_then(|(start, size)| file.get(start..start.checked_add(size)?))
        .ok_or(ElfError::LoadBytes { index, offset, size, file_size: file.len() as u64 })?;
    let (address, memory_size) = (header.p_vaddr, header.p_memsz);
    if memory_size < size {
        return Err(ElfError::LoadSize { index, file_size: size, memory_size });
    }
    let physical = header.p_paddr;
    if let Some(&address) = [address, physical].iter().find(|start| start.checked_add(memory_size).is_none())
    {
        return Err(ElfError::LoadAddress { index, address, size: memory_size });
    }
    Ok(Load { address: VirtAddr(address), physical, bytes, size: memory_size, flags: header.p_flags })
}
