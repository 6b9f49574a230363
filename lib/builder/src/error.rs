//! Why a file is not an image, and why an image and its parameters make no plan.

use thiserror::Error;
use xen_abi::Mfn;

use crate::page_table::SpanError;

/// Why a file is not an ELF image that can be loaded. `index` counts the PT_LOAD headers that are not empty,
/// from 0.
#[derive(Debug, Error)]
pub enum ElfError {
    /// The file has no sound ELF header or tables.
    #[error("not a sound ELF file: {0}")]
    Format(#[source] elf::ParseError),
    /// Not a 64-bit file.
    #[error("a 64-bit ELF file is wanted, this one is 32-bit")]
    Class,
    /// Built for another processor.
    #[error("machine type 62 (x86-64) is wanted, found {found}")]
    Machine {
        /// `e_machine` of the file.
        found: u16,
    },
    /// Not linked at a fixed address.
    #[error("file type 2 (executable at a fixed address) is wanted, found {found}")]
    Type {
        /// `e_type` of the file.
        found: u16,
    },
    /// Wants a dynamic linker.
    #[error("a static image is wanted, this one names a dynamic linker")]
    Interpreter,
    /// Nothing to load.
    #[error("no PT_LOAD header")]
    NoLoads,
    /// More loads than a plan holds.
    #[error("at most {most} PT_LOAD headers are handled, there are more")]
    TooManyLoads {
        /// The most that are handled.
        most: usize,
    },
    /// The bytes of a load are not all in the file.
    #[error("load {index}: bytes {offset:#x}+{size:#x} are not inside the file of {file_size:#x} bytes")]
    LoadBytes {
        /// Which load.
        index: usize,
        /// `p_offset`.
        offset: u64,
        /// `p_filesz`.
        size: u64,
        /// The size of the file.
        file_size: u64,
    },
    /// A load has more bytes in the file than in memory.
    #[error("load {index}: {file_size:#x} bytes in the file for {memory_size:#x} in memory")]
    LoadSize {
        /// Which load.
        index: usize,
        /// `p_filesz`.
        file_size: u64,
        /// `p_memsz`.
        memory_size: u64,
    },
    /// A load runs over the end of the address space.
    #[error("load {index}: {size:#x} bytes from {address:#x} run over the end of the address space")]
    LoadAddress {
        /// Which load.
        index: usize,
        /// `p_vaddr`, or else `p_paddr`.
        address: u64,
        /// `p_memsz`.
        size: u64,
    },
}

/// Why no plan can be made of an image and its parameters. `index` counts as in [`ElfError`].
#[derive(Debug, Error)]
pub enum PlanError {
    /// The image cannot be loaded at all.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// The image is linked for somewhere else.
    #[error("the image must start at {wanted:#x}, it starts at {found:#x}")]
    ImageBase {
        /// The base of RAM.
        wanted: u64,
        /// The address of the first load.
        found: u64,
    },
    /// A load does not start on a page of its own.
    #[error("load {index}: starts at {address:#x}, which is not the start of a page")]
    LoadAlignment {
        /// Which load.
        index: usize,
        /// `p_vaddr`.
        address: u64,
    },
    /// A load starts before the end of the one before it, or on its last page.
    #[error("load {index}: starts at {address:#x}, the pages of the load before it end at {end:#x}")]
    LoadOverlap {
        /// Which load.
        index: usize,
        /// `p_vaddr`.
        address: u64,
        /// Where the pages of the load before it end.
        end: u64,
    },
    /// The permissions of a load break W^X, or it is not readable.
    #[error("load {index}: R-X, R-- or RW- is wanted, found flags {flags:#x} (X=1, W=2, R=4)")]
    LoadFlags {
        /// Which load.
        index: usize,
        /// `p_flags`.
        flags: u32,
    },
    /// The entry point is not in code.
    #[error("the entry point {entry:#x} is not among the bytes of an executable load")]
    Entry {
        /// `e_entry`.
        entry: u64,
    },
    /// The memory is too small.
    #[error("{needed} pages are needed (with one for the heap), the memory has {memory_pages}")]
    Memory {
        /// The least that would do.
        needed: u64,
        /// What was given.
        memory_pages: u64,
    },
    /// More of something than fits its part of the address space, or an extent.
    #[error("at most {most} {what} are possible, {asked} were asked for")]
    Limit {
        /// Of what.
        what: &'static str,
        /// What was asked for.
        asked: u64,
        /// The most that fit.
        most: u64,
    },
    /// A DMA area is wanted in a memory that is not made of 2 MiB extents.
    #[error("a DMA area needs a memory of whole 512-page extents, it has {memory_pages} pages")]
    DmaMemory {
        /// What was given.
        memory_pages: u64,
    },
    /// An area that cannot do without.
    #[error("the {area} needs at least one page")]
    Empty {
        /// Which area.
        area: &'static str,
    },
    /// The registers of a device are at no possible machine address.
    #[error("BAR {index}: {pages} frames from {first:?} are no machine addresses")]
    BarFrames {
        /// Which of the ranges given, from 0.
        index: usize,
        /// The first frame.
        first: Mfn,
        /// How many frames.
        pages: u64,
    },
    /// The spans to map are not in order.
    #[error(transparent)]
    Spans(#[from] SpanError),
}
