//! Main's page tables, and what they keep it from.
//!
//! Main sees root's memory at the same addresses as the kernel, but less of it: text, the boot archive and
//! the list of root's frames read-only, the kernel's own data read-only (these tables among it), its stack
//! guarded, and nothing of Xen's boot-time tables. Behind [`WINDOW_BASE`] it has L1 tables of its own, through
//! which it maps other domains' pages and what it lends to them; the kernel has no such window.

use crate::cell::KernelCell;
use crate::{boot, image};
use core::ops::Range;
use pv::Result;
use xen_abi::errno::Errno;
use xen_abi::mmu::{MmuextOp, Pte, PteFlags};
use xen_abi::start_info::StartInfo;
use xen_abi::{Domid, Mfn, VirtAddr};

/// Where the window on other domains' pages starts: the second GiB, which has an L2 table of its own.
pub const WINDOW_BASE: u64 = 0x4000_0000;

/// L1 tables of the window, of 2 MiB each: those of the slots, then those for the pages that root lends.
pub const WINDOW_TABLES: usize = SLOT_TABLES + LENT_TABLES;

/// L1 tables of the window's slots.
pub(crate) const SLOT_TABLES: usize = 132;

/// L1 tables for what root lends, 36 MiB of it, and for its grant table.
pub(crate) const LENT_TABLES: usize = 19;

/// L1 tables for root's own memory: what main can see of it lies in the first 128 MiB. All but a few MiB are for the
/// kernels and ramdisks of guests in the boot archive.
const MEMORY_TABLES: usize = 64;

const PAGE: u64 = 4096;
const TABLE_SPAN: u64 = 512 * PAGE;

pub(crate) const READ_ONLY: PteFlags =
    PteFlags::PRESENT.union(PteFlags::USER).union(PteFlags::ACCESSED).union(PteFlags::NX);
pub(crate) const WRITABLE: PteFlags = READ_ONLY.union(PteFlags::WRITABLE).union(PteFlags::DIRTY);
pub(crate) const REGISTERS: PteFlags = WRITABLE.union(PteFlags::PCD).union(PteFlags::PWT);
const EXECUTABLE: PteFlags = PteFlags::PRESENT.union(PteFlags::USER).union(PteFlags::ACCESSED);
const TABLE: PteFlags = EXECUTABLE.union(PteFlags::WRITABLE).union(PteFlags::DIRTY);

type Table = [Pte; 512];

#[repr(C, align(4096))]
struct Tables {
    l4: Table,
    l3: Table,
    memory_l2: Table,
    window_l2: Table,
    memory_l1: [Table; MEMORY_TABLES],
    window_l1: [Table; WINDOW_TABLES],
}

#[unsafe(link_section = ".bss.kernel.tables")]
static TABLES: KernelCell<Tables> = KernelCell::new(Tables {
    l4: [Pte::EMPTY; 512],
    l3: [Pte::EMPTY; 512],
    memory_l2: [Pte::EMPTY; 512],
    window_l2: [Pte::EMPTY; 512],
    memory_l1: [[Pte::EMPTY; 512]; MEMORY_TABLES],
    window_l1: [[Pte::EMPTY; 512]; WINDOW_TABLES],
});

/// The entry of the window for the page at `index`, as Xen keeps it.
pub(crate) fn window_entry(index: usize) -> Pte {
    let entry: *const Pte = &raw const TABLES.get().window_l1[index / 512][index % 512];
    // SAFETY: the entry lies in the tables; Xen writes it, so it is read volatile.
    unsafe { entry.read_volatile() }
}

/// Root's frames by their addresses, as Xen's domain builder laid them out.
struct Memory<'a> {
    frames: &'a [u64],
    base: u64,
}

impl Memory<'_> {
    fn frame(&self, address: u64) -> Result<Mfn> {
        let pfn = address.wrapping_sub(self.base) / PAGE;
        self.frames.get(pfn as usize).map(|&frame| Mfn(frame)).ok_or(Errno::Efault.into())
    }
}

/// Builds main's page tables, pins them and makes them the ones of user mode; write-protects text
/// for the kernel too. Answers the frames of the window's L1 tables.
///
/// # Errors
/// Xen's; EFAULT where the boot archive or the list of frames lies outside what main can see.
///
/// # Safety
/// Once, at boot, with Xen's own start_info.
pub(crate) unsafe fn build(start_info: &StartInfo, archive: Range<u64>) -> Result<[Mfn; WINDOW_TABLES]> {
    // SAFETY: Xen lists nr_pages frames at mfn_list, which is mapped.
    let frames = unsafe {
        core::slice::from_raw_parts(start_info.mfn_list.0 as *const u64, start_info.nr_pages as usize)
    };
    let memory = Memory { frames, base: image::text().start };
    // SAFETY: in kernel mode, at boot, and no other reference to the tables lives.
    let tables = unsafe { TABLES.get_mut() };

    map(tables, &memory, image::text(), EXECUTABLE)?;
    map(tables, &memory, image::rodata(), READ_ONLY)?;
    map(tables, &memory, image::kernel(), READ_ONLY)?;
    map(tables, &memory, image::main_data(), WRITABLE)?;
    map(tables, &memory, image::main_stack_and_box(), WRITABLE)?;
    let list = start_info.mfn_list.0;
    let list_end = (list + start_info.nr_pages * size_of::<Mfn>() as u64).next_multiple_of(PAGE);
    map(tables, &memory, list & !(PAGE - 1)..list_end, READ_ONLY)?;
    map(tables, &memory, archive.start & !(PAGE - 1)..archive.end.next_multiple_of(PAGE), READ_ONLY)?;
    let shared_info = xen_abi::MachineAddr(start_info.shared_info).mfn();
    *slot(tables, boot::shared_info_va())? = Pte::new(shared_info, READ_ONLY);

    let frame_of = |table: &Table| memory.frame(table.as_ptr() as u64);
    for index in 0..MEMORY_TABLES {
        tables.memory_l2[index] = Pte::new(frame_of(&tables.memory_l1[index])?, TABLE);
    }
    let mut window_frames = [Mfn(0); WINDOW_TABLES];
    for (index, frame) in window_frames.iter_mut().enumerate() {
        *frame = frame_of(&tables.window_l1[index])?;
        tables.window_l2[index] = Pte::new(*frame, TABLE);
    }
    tables.l3[0] = Pte::new(frame_of(&tables.memory_l2)?, TABLE);
    tables.l3[1] = Pte::new(frame_of(&tables.window_l2)?, TABLE);
    tables.l4[0] = Pte::new(frame_of(&tables.l3)?, TABLE);
    let l4 = frame_of(&tables.l4)?;

    let start = core::ptr::from_ref(tables) as u64;
    protect(&memory, start..start + size_of::<Tables>() as u64, READ_ONLY)?;
    protect(&memory, image::text(), EXECUTABLE)?;
    protect(&memory, image::rodata(), READ_ONLY)?;

    // SAFETY: the tables map main's memory as it is; the kernel's own base pointer stays.
    unsafe {
        pv::mmu::ext_op(&MmuextOp::pin_l4(l4), Domid::SELF)?;
        pv::mmu::ext_op(&MmuextOp::new_user_baseptr(l4), Domid::SELF)?;
    }
    Ok(window_frames)
}

/// The L1 entry for `address`.
fn slot(tables: &mut Tables, address: u64) -> Result<&mut Pte> {
    let table = tables.memory_l1.get_mut((address / TABLE_SPAN) as usize).ok_or(Errno::Efault)?;
    Ok(&mut table[(address / PAGE % 512) as usize])
}

/// Maps `range` for main.
fn map(tables: &mut Tables, memory: &Memory<'_>, range: Range<u64>, flags: PteFlags) -> Result {
    for address in range.step_by(PAGE as usize) {
        *slot(tables, address)? = Pte::new(memory.frame(address)?, flags);
    }
    Ok(())
}

/// Takes the right to write to `range` from the kernel.
fn protect(memory: &Memory<'_>, range: Range<u64>, flags: PteFlags) -> Result {
    for address in range.step_by(PAGE as usize) {
        // SAFETY: the page stays where it is; nothing writes to it from here on.
        unsafe { pv::mmu::update_va_mapping(VirtAddr(address), Pte::new(memory.frame(address)?, flags)) }?;
    }
    Ok(())
}
