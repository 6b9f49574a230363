//! The first life: what the recovery kernel sets up before it starts main.

use crate::cell::KernelCell;
use crate::entry::{kernel_event, kernel_syscall};
use crate::info::INFO;
use crate::{image, reboot, restart, tables, trap, watchdog};
use core::ptr::NonNull;
use pv::Result;
use pv::hypercall::{arg, call};
use pv::shared_info::SharedInfo;
use xen_abi::callback::{CallbackFlags, CallbackOp, CallbackRegister, CallbackType};
use xen_abi::context::{FLAT_KERNEL_SS, TrapFlags, TrapInfo};
use xen_abi::mmu::Pte;
use xen_abi::physdev::{PhysdevOp, SetIopl};
use xen_abi::start_info::StartInfo;
use xen_abi::{Hypercall, MachineAddr, Mfn, VirtAddr};

/// Bytes of the kernel's stack: what a panic message takes to format, four times over.
pub(crate) const STACK_SIZE: usize = 32 * 1024;

/// Pages of the stack that Xen's domain builder puts behind its page tables, as the last that it uses.
const BOOT_STACK_PAGES: u64 = 1;

/// The kernel's stack. Xen switches to its top whenever main's user mode is left.
#[repr(C, align(4096))]
pub(crate) struct Stack([u8; STACK_SIZE]);

#[unsafe(link_section = ".bss.kernel.stack")]
pub(crate) static STACK: KernelCell<Stack> = KernelCell::new(Stack([0; STACK_SIZE]));

/// A page of this image that gives its address to `shared_info`.
#[repr(C, align(4096))]
pub(crate) struct Page([u8; 4096]);

#[unsafe(link_section = ".bss.kernel.shared_info")]
pub(crate) static SHARED_INFO: KernelCell<Page> = KernelCell::new(Page([0; 4096]));

#[unsafe(link_section = ".bss.kernel.traps")]
static TRAP_TABLE: KernelCell<[TrapInfo; 257]> = KernelCell::new(
    [TrapInfo { vector: 0, flags: TrapFlags::empty(), cs: 0, pad: 0, address: VirtAddr(0) }; 257],
);

/// The page that Xen shares with root: writable for the kernel, read-only for main.
pub fn shared_info() -> SharedInfo {
    let address = NonNull::new(SHARED_INFO.as_ptr().cast()).unwrap_or(NonNull::dangling());
    // SAFETY: `boot` maps the page before anything else runs, and it stays mapped.
    unsafe { SharedInfo::at(address) }
}

/// The address that [`shared_info`] has.
pub(crate) fn shared_info_va() -> u64 {
    SHARED_INFO.as_ptr() as u64
}

/// Whether the code that asks runs in kernel mode: only that uses the kernel's stack.
pub(crate) fn on_kernel_stack() -> bool {
    let local = 0u8;
    let stack = STACK.as_ptr() as u64;
    (stack..stack + STACK_SIZE as u64).contains(&(&raw const local as u64))
}

/// Where `_start` arrives, in kernel mode with events masked.
pub(crate) unsafe extern "C" fn boot(start_info: *const StartInfo) -> ! {
    // SAFETY: Xen passes its start_info, which stays mapped.
    let start_info = unsafe { &*start_info };
    if let Err(error) = prepare(start_info) {
        reboot::reboot(format_args!("root's recovery kernel cannot start: {error}"));
    }
    // SAFETY: in kernel mode, and main's page tables stand.
    unsafe { restart::start() }
}

fn prepare(start_info: &StartInfo) -> Result {
    let shared = MachineAddr(start_info.shared_info).mfn();
    // SAFETY: the page is reserved for this mapping, and nothing else uses it.
    unsafe { pv::mmu::update_va_mapping(VirtAddr(shared_info_va()), Pte::new(shared, tables::WRITABLE)) }?;
    shared_info().mask_and_clear_all();
    // SAFETY: main has not run yet.
    unsafe { image::keep_main_data() };
    set_traps()?;
    watchdog::init()?;
    set_iopl()?;
    // SAFETY: in kernel mode, and no other reference to INFO lives.
    let info = unsafe { INFO.get_mut() };
    info.archive = start_info.mod_start..start_info.mod_start + start_info.mod_len;
    let frames = start_info.mfn_list.0;
    info.frames = frames..frames + start_info.nr_pages * size_of::<Mfn>() as u64;
    info.first_spare = image::pfn(start_info.pt_base.0) + start_info.nr_pt_frames + BOOT_STACK_PAGES;
    // SAFETY: Xen's start_info describes this domain's memory, which nobody has changed.
    info.window_tables = unsafe { tables::build(start_info, info.archive.clone()) }?;
    Ok(())
}

fn set_traps() -> Result {
    // SAFETY: in kernel mode, and no other reference to the table lives.
    let table = unsafe { TRAP_TABLE.get_mut() };
    trap::fill(table);
    // SAFETY: the table is terminated, and its stubs keep to what Xen pushes.
    unsafe { call(Hypercall::SetTrapTable, [arg(table)]) }?;
    let stack_top = STACK.as_ptr() as u64 + STACK_SIZE as u64;
    // SAFETY: the stack is the kernel's own, and main never runs on it.
    unsafe { call(Hypercall::StackSwitch, [u64::from(FLAT_KERNEL_SS), stack_top]) }?;
    let callbacks = [
        (CallbackType::Event, kernel_event as *const () as u64),
        (CallbackType::Syscall, kernel_syscall as *const () as u64),
    ];
    for (kind, address) in callbacks {
        let mut register = CallbackRegister::new(kind, CallbackFlags::MASK_EVENTS, VirtAddr(address));
        // SAFETY: the entries keep to what Xen pushes.
        unsafe { call(Hypercall::CallbackOp, [u64::from(CallbackOp::Register.raw()), arg(&mut register)]) }?;
    }
    Ok(())
}

/// Lets main's user mode reach the I/O ports that Xen emulates for root: PCI configuration space.
fn set_iopl() -> Result {
    let mut argument = SetIopl { iopl: 3 };
    // SAFETY: Xen reads the structure.
    unsafe { call(Hypercall::PhysdevOp, [u64::from(PhysdevOp::SetIopl.raw()), arg(&mut argument)]) }
        .map(|_| ())
}
