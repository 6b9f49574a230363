//! Why no guest can be laid out, and why building one cannot go on.

use heapless::Vec;
use thiserror::Error;
use xen_abi::{Domid, Mfn, elfnote::ElfNote, version::Features};

use crate::{ElfError, page_table::SpanError};

/// The first bytes of a text that somebody else wrote; what is longer is cut.
pub type Excerpt = Vec<u8, 32>;

fn excerpt(text: &[u8]) -> Excerpt {
    let kept = &text[..text.len().min(32)];
    Vec::from_slice(kept).unwrap_or_default()
}

/// Why no guest can be laid out. Pages have 4 KiB; `index` counts the PT_LOAD headers that are not empty, from 0.
#[derive(Debug, Error)]
pub enum GuestError {
    /// The kernel is no ELF image that can be loaded.
    #[error("the kernel: {0}")]
    Elf(#[from] ElfError),
    /// The kernel does not say that it runs as a PV guest.
    #[error("the kernel is none for PV guests: it has no Xen ELF notes with an entry point{}",
        if *.has_pvh_entry { " (it has one for PVH guests)" } else { "" })]
    NoPvKernel {
        /// Whether it could run as a PVH guest.
        has_pvh_entry: bool,
    },
    /// A note says something else than is wanted.
    #[error("the kernel's note {kind:?} says \"{}\", which is not supported", .found.escape_ascii())]
    NoteText {
        /// Which note.
        kind: ElfNote,
        /// What it says.
        found: Excerpt,
    },
    /// A note that should be a number is none.
    #[error("the kernel's note {kind:?} has {size} bytes, a number has 4 or 8")]
    NoteSize {
        /// Which note.
        kind: ElfNote,
        /// Its size in bytes.
        size: usize,
    },
    /// A note is a number that it cannot be.
    #[error("the kernel's note {kind:?} says {value:#x}, which cannot be")]
    NoteValue {
        /// Which note.
        kind: ElfNote,
        /// What it says.
        value: u64,
    },
    /// A note that a PV guest cannot do without is missing.
    #[error("the kernel has no note {kind:?}")]
    NoteMissing {
        /// Which note.
        kind: ElfNote,
    },
    /// The kernel wants a feature that nobody knows.
    #[error("the kernel requires the unknown feature \"{}\"", .name.escape_ascii())]
    UnknownFeature {
        /// Its name.
        name: Excerpt,
    },
    /// The kernel wants a feature that a PV guest cannot have.
    #[error("the kernel requires {required:?}, which a PV guest cannot have")]
    Features {
        /// Which.
        required: Features,
    },
    /// A load lies below the guest's memory.
    #[error(
        "load {index}: the physical address {physical:#x} is below the kernel's PADDR_OFFSET {offset:#x}"
    )]
    LoadBelow {
        /// Which load.
        index: usize,
        /// `p_paddr`.
        physical: u64,
        /// The note.
        offset: u64,
    },
    /// Two loads want the same bytes.
    #[error("loads {first} and {second} overlap at the physical address {physical:#x}")]
    LoadOverlap {
        /// One load.
        first: usize,
        /// The other.
        second: usize,
        /// Where the second starts.
        physical: u64,
    },
    /// An address is not in the kernel.
    #[error("the kernel's note {kind:?} says {address:#x}, the kernel is at {start:#x} to {end:#x}")]
    NotInKernel {
        /// Which note.
        kind: ElfNote,
        /// What it says.
        address: u64,
        /// The address of the kernel's first byte.
        start: u64,
        /// The address behind its last page.
        end: u64,
    },
    /// The addresses of guest and p2m list are Xen's, overlap, or are no addresses.
    #[error("the {what}, {pages} pages from {address:#x}, cannot be mapped there")]
    Place {
        /// What does not fit.
        what: &'static str,
        /// Where it would start.
        address: u64,
        /// How many pages it has.
        pages: u64,
    },
    /// The memory is too small.
    #[error(
        "the kernel and a ramdisk of {initrd_pages} pages need at least {needed} pages of memory, the guest has {memory}"
    )]
    TooLittleMemory {
        /// Pages that are needed at least: page tables and p2m list grow with the memory.
        needed: u64,
        /// Pages of the ramdisk among them.
        initrd_pages: u64,
        /// Pages that the guest has.
        memory: u64,
    },
    /// More memory than the builder handles.
    #[error("{asked} pages of memory were asked for, at most {most} are possible")]
    TooMuchMemory {
        /// Pages.
        asked: u64,
        /// Pages.
        most: u64,
    },
    /// The memory at the start is more than the most.
    #[error("the guest is to have {memory} pages of memory and no more than {most}")]
    MostMemory {
        /// Pages at the start.
        memory: u64,
        /// Pages at most.
        most: u64,
    },
    /// No vCPU, or too many.
    #[error("1 to {most} vCPUs are possible, {asked} were asked for")]
    Vcpus {
        /// What was asked for.
        asked: u32,
        /// The most.
        most: u32,
    },
    /// The command line is too long.
    #[error("the command line has {length} bytes, at most {most} are possible")]
    CommandLine {
        /// Its length.
        length: usize,
        /// The most.
        most: usize,
    },
    /// The command line ends before its end.
    #[error("the command line has a NUL at byte {offset}")]
    CommandLineNul {
        /// Where.
        offset: usize,
    },
    /// There would be no room for the grants of XenStore and console.
    #[error("a grant table of 0 pages was asked for, it needs 1 at least")]
    NoGrantTable,
    /// XenStore or the console would be served by a domain that cannot be.
    #[error("domain {domid} cannot serve a guest: that number is reserved")]
    Server {
        /// Its number.
        domid: Domid,
    },
    /// The addresses cannot be covered by page tables.
    #[error(transparent)]
    Spans(#[from] SpanError),
}

impl GuestError {
    pub(super) fn note_text(kind: ElfNote, found: &[u8]) -> Self {
        Self::NoteText { kind, found: excerpt(found) }
    }

    pub(super) fn unknown_feature(name: &[u8]) -> Self {
        Self::UnknownFeature { name: excerpt(name) }
    }
}

/// Why building a guest cannot go on. What exists of it by then is to be destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The answer is not one to the step that was asked for.
    #[error("the step {step} was answered by something else than {wanted}")]
    Answer {
        /// The step's name.
        step: &'static str,
        /// What would be an answer to it.
        wanted: &'static str,
    },
    /// Xen has no more memory.
    #[error("Xen has no more memory: {populated} of {wanted} pages were given")]
    NoMemory {
        /// Pages that the guest has got.
        populated: u64,
        /// Pages that it was to get.
        wanted: u64,
    },
    /// More frames came than were asked for.
    #[error("{asked} extents were asked for, {found} came")]
    TooManyFrames {
        /// Extents asked for.
        asked: usize,
        /// Extents that came.
        found: usize,
    },
    /// A frame that cannot be, or that a grant table has no room for.
    #[error("the frame {frame} cannot be handled: it must be below {limit:#x}")]
    Frame {
        /// Which.
        frame: Mfn,
        /// What it must be below.
        limit: u64,
    },
    /// Xen's memory is in so small pieces that there is no room to note them all.
    #[error("the memory comes in more than {room} pieces: {populated} of {wanted} pages were given")]
    Fragmented {
        /// The pieces that can be noted.
        room: usize,
        /// Pages that the guest has got.
        populated: u64,
        /// Pages that it was to get.
        wanted: u64,
    },
}
