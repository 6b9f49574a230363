//! Exceptions, as the trap stubs hand them over.

use crate::entry::{TRAP_STUB_SIZE, kernel_trap_stubs};
use crate::info::{BACKTRACE_LEN, Death, DeathCause};
use crate::{boot, image, reboot, restart};
use xen_abi::VirtAddr;
use xen_abi::context::{TrapFlags, TrapInfo};

/// What the stubs push, below what Xen pushed.
#[repr(C)]
pub(crate) struct Saved {
    r15: u64,
    r14: u64,
    r13: u64,
    r12: u64,
    r10: u64,
    r9: u64,
    r8: u64,
    rbp: u64,
    rdi: u64,
    rsi: u64,
    rdx: u64,
    rbx: u64,
    rax: u64,
    vector: u64,
    rcx: u64,
    r11: u64,
}

/// What Xen pushes behind rcx, r11 and the error code, if there is one.
#[repr(C)]
struct Frame {
    rip: u64,
    cs: u64,
    rflags: u64,
    rsp: u64,
    ss: u64,
}

/// Vectors whose frame has an error code (Intel SDM volume 3, 6.15).
const fn has_error_code(vector: u64) -> bool {
    matches!(vector, 8 | 10..=14 | 17 | 21)
}

/// Fills in the trap table for Xen: every vector, then the empty entry that ends it.
pub(crate) fn fill(table: &mut [TrapInfo; 257]) {
    for (vector, entry) in table[..256].iter_mut().enumerate() {
        let stub = kernel_trap_stubs as *const () as u64 + vector as u64 * TRAP_STUB_SIZE;
        *entry = TrapInfo::new(vector as u8, TrapFlags::MASK_EVENTS, VirtAddr(stub));
    }
}

/// Ends the life of main that has trapped, or the host where the kernel itself has.
pub(crate) unsafe extern "C" fn trap(saved: *const Saved) -> ! {
    // SAFETY: the stubs pass what they have just pushed on the kernel's stack, with Xen's frame
    // behind it.
    let (saved, error, frame) = unsafe {
        let behind = saved.add(1).cast::<u64>();
        let error = if has_error_code((*saved).vector) { *behind } else { 0 };
        let frame = behind.add(usize::from(has_error_code((*saved).vector))).cast::<Frame>();
        (&*saved, error, &*frame)
    };
    let cr2 = if saved.vector == 14 { boot::shared_info().cr2() } else { 0 };
    if frame.cs & 3 == 0 {
        reboot::reboot(format_args!(
            "root's recovery kernel took exception {} at {:#x}, error {error:#x}, cr2 {cr2:#x}",
            saved.vector, frame.rip
        ));
    }
    let death = Death {
        cause: DeathCause::Exception { vector: saved.vector as u8, error, cr2 },
        rip: frame.rip,
        rsp: frame.rsp,
        at_us: now_us(),
        backtrace: backtrace(saved.rbp),
        message: heapless::String::new(),
    };
    // SAFETY: in kernel mode, and main cannot go on behind a fault.
    unsafe { restart::restart(death) }
}

/// Follows main's frame pointers from `rbp`, as far as they stay inside its stack.
pub(crate) fn backtrace(mut rbp: u64) -> heapless::Vec<u64, BACKTRACE_LEN> {
    let stack = image::stack();
    let mut addresses = heapless::Vec::new();
    while rbp.is_multiple_of(8) && stack.contains(&rbp) && rbp + 16 <= stack.end {
        // SAFETY: both words lie inside main's stack, which is mapped for the kernel too.
        let (next, address) = unsafe { (*(rbp as *const u64), *((rbp + 8) as *const u64)) };
        if address == 0 || addresses.push(address).is_err() || next <= rbp {
            break;
        }
        rbp = next;
    }
    addresses
}

/// Microseconds since Xen booted.
pub fn now_us() -> u64 {
    pv::clock::now_us(&boot::shared_info())
}
