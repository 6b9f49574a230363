//! The plan of a PV guest.

use heapless::Vec;
use xen_abi::{
    Mfn, PAGE_SHIFT, PAGE_SIZE, Pfn, Port, VirtAddr,
    context::{ContextFlags, FLAT_KERNEL_CS, FLAT_KERNEL_SS, TrapFlags, TrapInfo, VcpuGuestContext, cr3_of},
    elfnote::ElfNote,
    memory::{MemoryMapEntry, MemoryType},
    mmu::{PTES_PER_TABLE, PteFlags},
    payload::Payload,
    start_info::{DomUConsole, StartFlags, StartInfo},
};

use super::{
    error::GuestError,
    layout::{GuestAreas, Layout},
    notes::KernelNotes,
    params::GuestParams,
};
use crate::{
    ElfImage, PfnRange, TablePage,
    elf_image::{Load, MAX_LOADS},
    p2m,
    page_table::{Leaf, MAPPED},
};

/// What the start info begins with: the interface's version and the processor.
const START_MAGIC: &[u8] = b"xen-3.0-x86_64";

/// The interrupt flag.
const RFLAGS_IF: u64 = 1 << 9;

/// Pages at the end of the memory map that have no memory yet: room for what the guest maps of others. Linux takes as
/// much where nobody gives it a map.
const SLACK_PAGES: u64 = 2048;

const WRITABLE: PteFlags = MAPPED.union(PteFlags::WRITABLE);

/// A part of a file in the guest's memory: `bytes`, then zeros. Never neither.
#[derive(Clone, Copy)]
pub struct Piece<'a> {
    /// Where in the guest's memory it starts, in bytes.
    pub offset: u64,
    /// Its bytes in the file.
    pub bytes: &'a [u8],
    /// Zeros after them.
    pub zeros: u64,
}

/// Ports and frames that a guest learns from its builder, known only once the domain exists.
#[derive(Clone, Copy, Debug)]
pub struct Connections {
    /// The frame that Xen shares with it.
    pub shared_info: Mfn,
    /// Its port to XenStore; 0 if there is none.
    pub store: Port,
    /// Its port to the console.
    pub console: Port,
}

/// The plan of a PV guest.
#[derive(Clone, Debug)]
pub struct GuestPlan<'a> {
    params: GuestParams<'a>,
    notes: KernelNotes<'a>,
    loads: Vec<Load<'a>, MAX_LOADS>,
    layout: Layout,
    entry: VirtAddr,
    hypercall_page: Option<Pfn>,
}

impl<'a> GuestPlan<'a> {
    /// Makes the plan for `kernel`, an ELF image (what a bzImage has inside).
    ///
    /// # Errors
    /// See [`GuestError`]: whatever in the kernel or in `params` cannot be had.
    pub fn new(kernel: &'a [u8], params: &GuestParams<'a>) -> Result<Self, GuestError> {
        params.check()?;
        let image = ElfImage::parse(kernel)?;
        let notes = KernelNotes::read(&image)?;
        notes.check_pv()?;
        let kernel = kernel_pages(&image, &notes)?;
        let layout = Layout::new(kernel, &notes, params)?;
        let entry = notes.entry.ok_or(GuestError::NoteMissing { kind: ElfNote::Entry })?;
        page_in_kernel(&layout, ElfNote::Entry, entry)?;
        let hypercall_page = match notes.hypercall_page {
            Some(address) if !address.is_multiple_of(PAGE_SIZE) => {
                return Err(GuestError::NoteValue { kind: ElfNote::HypercallPage, value: address });
            }
            Some(address) => Some(page_in_kernel(&layout, ElfNote::HypercallPage, address)?),
            None => None,
        };
        let loads = Vec::from_slice(image.loads()).unwrap_or_default();
        Ok(Self { params: *params, notes, loads, layout, entry: VirtAddr(entry), hypercall_page })
    }

    /// What the guest is to have.
    pub fn params(&self) -> &GuestParams<'a> {
        &self.params
    }

    /// What the kernel says about itself.
    pub fn notes(&self) -> &KernelNotes<'a> {
        &self.notes
    }

    /// Which pages hold what.
    pub fn areas(&self) -> &GuestAreas {
        &self.layout.areas
    }

    /// Where the first vCPU starts.
    pub fn entry(&self) -> VirtAddr {
        self.entry
    }

    /// The page that Xen is to fill with hypercall stubs, if the kernel wants one.
    pub fn hypercall_page(&self) -> Option<Pfn> {
        self.hypercall_page
    }

    /// What is copied: the loads of the kernel, none over another, and the ramdisk.
    pub fn pieces(&self) -> impl Iterator<Item = Piece<'a>> + '_ {
        let kernel = self.loads.iter().map(|load| Piece {
            offset: load.physical - self.notes.paddr_offset,
            bytes: load.bytes,
            zeros: load.size - load.bytes.len() as u64,
        });
        let offset = self.areas().initrd.start.byte_offset();
        let initrd = Piece { offset, bytes: self.params.initrd, zeros: 0 };
        kernel.chain(Some(initrd).filter(|initrd| !initrd.bytes.is_empty()))
    }

    /// All page tables: those of the mapping that the guest starts with, then those of the p2m list.
    pub fn tables(&self) -> impl Iterator<Item = TablePage> + '_ {
        self.layout.tables.iter().chain(self.layout.p2m_tables.iter())
    }

    /// The L4 table.
    pub fn root_table(&self) -> Pfn {
        self.layout.areas.page_tables.start
    }

    /// The content of a page table; `frame_of` is the machine frame of each page.
    pub fn fill_table(
        &self,
        table: &TablePage,
        frame_of: impl Fn(Pfn) -> Mfn,
        out: &mut [u64; PTES_PER_TABLE],
    ) {
        let Layout { tables, p2m_tables, .. } = &self.layout;
        let find = |level, address| tables.find(level, address).or_else(|| p2m_tables.find(level, address));
        table.fill(find, &frame_of, |address| self.leaf(address, &frame_of), out);
    }

    /// The content of a page of the p2m list, `index` counted from the start of the area.
    pub fn fill_p2m(&self, index: u64, frame_of: impl Fn(Pfn) -> Mfn, out: &mut [u64; PTES_PER_TABLE]) {
        p2m::fill(index, self.params.memory_pages, frame_of, out);
    }

    /// What the guest finds in its start info.
    pub fn start_info(&self, connections: &Connections, frame_of: impl Fn(Pfn) -> Mfn) -> StartInfo {
        let areas = self.areas();
        let mut info = StartInfo::default();
        copy_text(START_MAGIC, &mut info.magic);
        copy_text(self.params.command_line, &mut info.cmd_line);
        info.nr_pages = self.params.memory_pages;
        info.shared_info = connections.shared_info.addr().0;
        info.store_mfn = frame_of(areas.store);
        info.store_evtchn = connections.store;
        let console = DomUConsole { mfn: frame_of(areas.console), evtchn: connections.console, pad: 0 };
        info.console = Payload::new(&console);
        info.pt_base = self.layout.address(areas.page_tables.start);
        info.nr_pt_frames = areas.page_tables.pages;
        info.mfn_list = VirtAddr(self.layout.p2m_base);
        if !areas.initrd.is_empty() {
            info.mod_len = self.params.initrd.len() as u64;
            if self.notes.mod_start_pfn {
                info.flags |= StartFlags::MOD_START_PFN;
                info.mod_start = areas.initrd.start.0;
            } else {
                info.mod_start = self.layout.address(areas.initrd.start).0;
            }
        }
        if self.notes.init_p2m.is_some() {
            info.first_p2m_pfn = areas.p2m.start;
            // The guest takes the tables behind the list for a part of it.
            info.nr_p2m_frames = areas.p2m.pages + areas.p2m_tables.pages;
        }
        info
    }

    /// The state that the first vCPU starts in.
    pub fn fill_context(&self, frame_of: impl Fn(Pfn) -> Mfn, context: &mut VcpuGuestContext) {
        let areas = self.areas();
        let stack_top = self.layout.address(Pfn(areas.stack.0 + 1));
        context.flags = ContextFlags::IN_KERNEL | ContextFlags::ONLINE;
        let registers = &mut context.user_regs;
        registers.rip = self.entry.0;
        registers.cs = FLAT_KERNEL_CS;
        registers.rsp = stack_top.0;
        registers.ss = FLAT_KERNEL_SS;
        registers.rsi = self.layout.address(areas.start_info).0;
        registers.rflags = RFLAGS_IF;
        for (trap, vector) in context.trap_ctxt.iter_mut().zip(0..=u8::MAX) {
            *trap = TrapInfo::new(vector, TrapFlags::empty(), VirtAddr(0));
        }
        context.kernel_ss = FLAT_KERNEL_SS.into();
        context.kernel_sp = stack_top;
        context.ctrlreg[3] = cr3_of(frame_of(self.root_table()));
    }

    /// What the guest is told when it asks for its memory map: RAM, as far as it may grow.
    pub fn memory_map(&self) -> [MemoryMapEntry; 1] {
        let pages = self.params.most_pages + SLACK_PAGES;
        [MemoryMapEntry {
            addr: 0.into(),
            size: (pages << PAGE_SHIFT).into(),
            kind: MemoryType::Ram.raw().into(),
        }]
    }

    /// What an address shows.
    fn leaf(&self, address: VirtAddr, frame_of: impl Fn(Pfn) -> Mfn) -> Option<Leaf> {
        let areas = self.areas();
        let page_from = |base: u64, range: PfnRange| {
            let page = address.0.checked_sub(base)? >> PAGE_SHIFT;
            (page < range.pages).then(|| Pfn(range.start.0 + page))
        };
        let pfn = page_from(self.layout.virt_base, areas.mapped)
            .or_else(|| page_from(self.layout.p2m_base, areas.p2m))?;
        // Xen takes no page as a table that the guest may write to.
        let is_table = areas.page_tables.contains(pfn) || areas.p2m_tables.contains(pfn);
        let flags = if is_table { MAPPED } else { WRITABLE };
        Some(Leaf { frame: frame_of(pfn), flags })
    }
}

/// The pages from the kernel's first load to its last, none of which may be over another.
fn kernel_pages(image: &ElfImage<'_>, notes: &KernelNotes<'_>) -> Result<PfnRange, GuestError> {
    let offset = notes.paddr_offset;
    let (mut start, mut end) = (u64::MAX, 0);
    for (index, load) in image.loads().iter().enumerate() {
        let physical = load.physical;
        let Some(first) = physical.checked_sub(offset) else {
            return Err(GuestError::LoadBelow { index, physical, offset });
        };
        let overlaps =
            |other: &Load| other.physical < physical + load.size && physical < other.physical + other.size;
        if let Some(other) = image.loads()[..index].iter().position(overlaps) {
            return Err(GuestError::LoadOverlap { first: other, second: index, physical });
        }
        start = start.min(first >> PAGE_SHIFT);
        end = end.max((first + load.size).div_ceil(PAGE_SIZE));
    }
    Ok(PfnRange { start: Pfn(start), pages: end.saturating_sub(start) })
}

/// The page that an address of the kernel is on.
fn page_in_kernel(layout: &Layout, kind: ElfNote, address: u64) -> Result<Pfn, GuestError> {
    let kernel = layout.areas.kernel;
    let pfn = address.checked_sub(layout.virt_base).map(|offset| Pfn(offset >> PAGE_SHIFT));
    pfn.filter(|pfn| kernel.contains(*pfn)).ok_or_else(|| GuestError::NotInKernel {
        kind,
        address,
        start: layout.address(kernel.start).0,
        end: layout.address(kernel.end()).0,
    })
}

/// Copies `text` to the start of a field of zeros, and leaves one at least.
fn copy_text(text: &[u8], field: &mut [u8]) {
    let room = field.len().saturating_sub(1);
    field.iter_mut().zip(text.iter().take(room)).for_each(|(to, from)| *to = *from);
}

/// Says how many bytes there are, not which.
impl core::fmt::Debug for Piece<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} bytes and {} zeros at {:#x}", self.bytes.len(), self.zeros, self.offset)
    }
}
