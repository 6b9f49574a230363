//! The plan of a unikernel: `uk_abi::layout` filled with an image and its parameters.

use core::fmt;

use heapless::Vec;
use uk_abi::{
    boot_info::{Area, BootInfo, MAX_DEVICES},
    layout::{
        BAR_WINDOW_VA, BOOT_INFO_VA, GRANT_WINDOW_VA, HEALTH_VA, KEPT_WINDOW_VA, PAGE_SIZE, RAM_BASE,
        SHARED_INFO_VA,
    },
};
use xen_abi::{
    Mfn, Pfn, VirtAddr,
    mmu::{PTES_PER_TABLE, PteFlags},
};

use crate::{
    Areas, ElfImage, PfnRange, PlanError, TablePage, UkParams,
    elf_image::{Load, MAX_LOADS, Permission},
    p2m,
    page_table::{Leaf, MAPPED, Span, Tables},
    params::MEMORY_MAX_PAGES,
};

const PAGE_BYTES: u64 = PAGE_SIZE as u64;

// The pages of the devices end before the grant window starts.
const _: () = assert!(BOOT_INFO_VA + (1 + MAX_DEVICES as u64) * PAGE_BYTES <= GRANT_WINDOW_VA);

const READ: PteFlags = MAPPED.union(PteFlags::NX);
const WRITE: PteFlags = READ.union(PteFlags::WRITABLE);
const EXECUTE: PteFlags = MAPPED;
/// Device registers: never cached.
const REGISTERS: PteFlags = WRITE.union(PteFlags::PCD).union(PteFlags::PWT);

/// Pages of the image: `bytes`, then zeros to the end of the last page.
#[derive(Clone, Copy)]
pub struct Segment<'a> {
    /// The pages.
    pub pages: PfnRange,
    /// What they start with.
    pub bytes: &'a [u8],
    /// What the unikernel may do with them.
    pub permission: Permission,
}

impl<'a> Segment<'a> {
    /// Each page with the bytes that it starts with; the rest of it is zero.
    pub fn content(&self) -> impl Iterator<Item = (Pfn, &'a [u8])> {
        let bytes = self.bytes.chunks(PAGE_SIZE).chain(core::iter::repeat(&[][..]));
        self.pages.iter().zip(bytes)
    }

    /// How many bytes are zero after `bytes`.
    pub fn zeros(&self) -> u64 {
        self.pages.pages * PAGE_BYTES - self.bytes.len() as u64
    }
}

/// Says how many bytes there are, not which.
impl fmt::Debug for Segment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} from {} bytes", self.permission, self.pages, self.bytes.len())
    }
}

/// The plan of a unikernel.
#[derive(Clone, Debug)]
pub struct UkPlan<'a> {
    entry: VirtAddr,
    segments: Vec<Segment<'a>, MAX_LOADS>,
    areas: Areas,
    tables: Tables,
    params: UkParams<'a>,
}

impl<'a> UkPlan<'a> {
    /// Makes the plan for the ELF image `elf`.
    ///
    /// # Errors
    /// See [`PlanError`]: whatever in the image or in `params` cannot be had.
    pub fn new(elf: &'a [u8], params: &UkParams<'a>) -> Result<Self, PlanError> {
        params.check()?;
        let image = ElfImage::parse(elf)?;
        let segments = segments(&image)?;
        let image_pages = segments.last().map_or(0, |last| last.pages.end().0);
        let span = |start, pages| Span { start: VirtAddr(start), pages };
        let fixed_end = BOOT_INFO_VA + PAGE_BYTES * (1 + u64::from(params.devices));
        let tables = Tables::new(
            Pfn(image_pages),
            &[
                span(RAM_BASE, params.memory_pages.into()),
                span(SHARED_INFO_VA, (fixed_end - SHARED_INFO_VA) / PAGE_BYTES),
                span(GRANT_WINDOW_VA, params.grant_window_pages.into()),
                span(BAR_WINDOW_VA, params.bar_pages()),
                span(KEPT_WINDOW_VA, params.kept_pages.into()),
            ],
        )?;
        let areas = Areas::lay_out(image_pages, tables.pages().pages, params)?;
        let plan = Self { entry: image.entry(), segments, areas, tables, params: *params };
        if !plan.is_code(plan.entry) {
            return Err(PlanError::Entry { entry: plan.entry.0 });
        }
        Ok(plan)
    }

    /// Which pages hold what.
    pub fn areas(&self) -> &Areas {
        &self.areas
    }

    /// All of the memory, in pages.
    pub fn memory_pages(&self) -> u64 {
        self.params.memory_pages.into()
    }

    /// Where the vCPU starts: its rip.
    pub fn entry(&self) -> VirtAddr {
        self.entry
    }

    /// Where the stack starts: its rsp, on a page boundary.
    pub fn stack_top(&self) -> VirtAddr {
        ram_address(self.areas.stack.end())
    }

    /// The L4 table: the page that is pinned and that cr3 names.
    pub fn root_table(&self) -> Pfn {
        self.areas.page_tables.start
    }

    /// What a build writes and a micro-reboot writes again: text too, because a device can have written to it.
    pub fn segments(&self) -> impl Iterator<Item = &Segment<'a>> {
        self.segments.iter()
    }

    /// The page tables in the order of their pages; [`UkPlan::fill_table`] gives the content of each.
    pub fn tables(&self) -> impl Iterator<Item = TablePage> + '_ {
        self.tables.iter()
    }

    /// The content of a page table. `frame_of` is the machine frame of each page, `shared_info` that of the page
    /// which Xen shares with the domain. The windows for granted and for kept pages are left empty: the unikernel's
    /// grant operations fill them.
    pub fn fill_table(
        &self,
        table: &TablePage,
        frame_of: impl Fn(Pfn) -> Mfn,
        shared_info: Mfn,
        out: &mut [u64; PTES_PER_TABLE],
    ) {
        self.tables.fill(table, &frame_of, |address| self.leaf(address, &frame_of, shared_info), out);
    }

    /// The content of a page of the p2m list, `index` counted from the start of the area.
    pub fn fill_p2m(&self, index: u64, frame_of: impl Fn(Pfn) -> Mfn, out: &mut [u64; PTES_PER_TABLE]) {
        p2m::fill(index, self.memory_pages(), frame_of, out);
    }

    /// Writes into the boot info page where the unikernel finds its areas.
    pub fn describe(&self, info: &mut BootInfo) {
        let area = |range: PfnRange| Area { va: ram_address(range.start).0, pages: range.pages };
        info.ram_pages = self.memory_pages();
        info.stack = area(self.areas.stack);
        info.log = area(self.areas.log);
        info.kept_map = area(self.areas.kept_map);
        info.p2m = area(self.areas.p2m);
        info.heap = area(self.areas.heap);
        info.dma = area(self.areas.dma);
        info.grant_window = Area { va: GRANT_WINDOW_VA, pages: self.params.grant_window_pages.into() };
        info.kept = Area { va: KEPT_WINDOW_VA, pages: self.params.kept_pages.into() };
    }

    /// Where the unikernel sees a page of its memory; nowhere for page tables and gaps in the image.
    pub fn address_of(&self, pfn: Pfn) -> Option<VirtAddr> {
        let Areas { boot_info, health, .. } = self.areas;
        if boot_info.contains(pfn) {
            Some(VirtAddr(BOOT_INFO_VA + (pfn.0 - boot_info.start.0) * PAGE_BYTES))
        } else if health.contains(pfn) {
            Some(VirtAddr(HEALTH_VA))
        } else {
            self.ram_flags(pfn).map(|_| ram_address(pfn))
        }
    }

    /// Where the unikernel sees the registers that `params.bars` has at `index`.
    pub fn bar_address(&self, index: usize) -> Option<VirtAddr> {
        let bars = self.params.bars;
        let before = bars.get(..index).filter(|_| index < bars.len())?;
        let pages: u64 = before.iter().map(|bar| bar.pages).sum();
        Some(VirtAddr(BAR_WINDOW_VA + pages * PAGE_BYTES))
    }

    /// What an address shows.
    fn leaf(&self, address: VirtAddr, frame_of: impl Fn(Pfn) -> Mfn, shared_info: Mfn) -> Option<Leaf> {
        let in_memory = |range: PfnRange, start, flags| {
            let pfn = Pfn(range.start.0 + pages_from(start, address)?);
            range.contains(pfn).then(|| Leaf { frame: frame_of(pfn), flags })
        };
        match address.0 {
            KEPT_WINDOW_VA.. => None,
            BAR_WINDOW_VA.. => self.bar_frame(pages_from(BAR_WINDOW_VA, address)?),
            GRANT_WINDOW_VA.. => None,
            BOOT_INFO_VA.. => in_memory(self.areas.boot_info, BOOT_INFO_VA, READ),
            HEALTH_VA.. => in_memory(self.areas.health, HEALTH_VA, WRITE),
            SHARED_INFO_VA => Some(Leaf { frame: shared_info, flags: WRITE }),
            _ => {
                let pfn = Pfn(pages_from(RAM_BASE, address)?);
                self.ram_flags(pfn).map(|flags| Leaf { frame: frame_of(pfn), flags })
            }
        }
    }

    /// How a page is mapped at its place in RAM, if it is.
    fn ram_flags(&self, pfn: Pfn) -> Option<PteFlags> {
        let areas = &self.areas;
        // In the order of the pages, from their end.
        if pfn >= areas.dma.end() {
            None
        } else if pfn >= areas.heap.start {
            Some(WRITE)
        } else if pfn >= areas.p2m.start {
            Some(READ)
        } else if pfn >= areas.log.start {
            Some(WRITE)
        } else if pfn >= areas.boot_info.start {
            None
        } else if pfn >= areas.stack.start {
            Some(WRITE)
        } else {
            let segment = self.segments.iter().find(|segment| segment.pages.contains(pfn))?;
            Some(match segment.permission {
                Permission::Execute => EXECUTE,
                Permission::Read => READ,
                Permission::Write => WRITE,
            })
        }
    }

    /// The registers on a page of the BAR window.
    fn bar_frame(&self, mut page: u64) -> Option<Leaf> {
        for bar in self.params.bars {
            if page < bar.pages {
                return Some(Leaf { frame: Mfn(bar.first.0 + page), flags: REGISTERS });
            }
            page -= bar.pages;
        }
        None
    }

    /// Whether `address` is among the bytes (not only the pages) of code.
    fn is_code(&self, address: VirtAddr) -> bool {
        self.segments.iter().filter(|segment| segment.permission == Permission::Execute).any(|segment| {
            let start = ram_address(segment.pages.start).0;
            (start..start + segment.bytes.len() as u64).contains(&address.0)
        })
    }
}

/// Gives each load its pages.
fn segments<'a>(image: &ElfImage<'a>) -> Result<Vec<Segment<'a>, MAX_LOADS>, PlanError> {
    let mut segments = Vec::new();
    let mut end = RAM_BASE;
    for (index, load) in image.loads().iter().enumerate() {
        let address = load.address.0;
        if index == 0 && address != RAM_BASE {
            return Err(PlanError::ImageBase { wanted: RAM_BASE, found: address });
        }
        if !address.is_multiple_of(PAGE_BYTES) {
            return Err(PlanError::LoadAlignment { index, address });
        }
        if address < end {
            return Err(PlanError::LoadOverlap { index, address, end });
        }
        let Some(permission) = load.permission() else {
            return Err(PlanError::LoadFlags { index, flags: load.flags });
        };
        let segment = segment(load, permission);
        let pages = segment.pages.end().0;
        if pages > MEMORY_MAX_PAGES {
            return Err(PlanError::Limit { what: "pages of image", asked: pages, most: MEMORY_MAX_PAGES });
        }
        end = ram_address(segment.pages.end()).0;
        // An image has no more loads than fit here.
        let _ = segments.push(segment);
    }
    Ok(segments)
}

fn segment<'a>(load: &Load<'a>, permission: Permission) -> Segment<'a> {
    let start = Pfn((load.address.0 - RAM_BASE) / PAGE_BYTES);
    let pages = PfnRange { start, pages: load.size.div_ceil(PAGE_BYTES) };
    Segment { pages, bytes: load.bytes, permission }
}

/// The address of a page's place in RAM.
const fn ram_address(pfn: Pfn) -> VirtAddr {
    VirtAddr(RAM_BASE + pfn.0 * PAGE_BYTES)
}

/// How many whole pages `address` is above `start`, if it is not below.
fn pages_from(start: u64, address: VirtAddr) -> Option<u64> {
    Some(address.0.checked_sub(start)? / PAGE_BYTES)
}
