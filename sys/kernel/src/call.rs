//! The calls that main makes of the kernel: Xen's hypercalls through a filter, and the kernel's own.

use crate::entry::{KERNEL_CALL_BASE, kernel_interruptible};
use crate::info::{Death, DeathCause, MESSAGE_LEN};
pub use crate::watchdog::Patience;
use crate::{boot, image, restart, trap, watchdog};
use core::arch::asm;
use xen_abi::domctl::Domctl;
use xen_abi::{Hypercall, Port, XenError};

/// Ports that one [`wait`] can name: the bits of its answer.
pub const MAX_PORTS: usize = 64;

const WAIT: u64 = KERNEL_CALL_BASE;
const BEAT: u64 = KERNEL_CALL_BASE + 1;
const PANICKED: u64 = KERNEL_CALL_BASE + 2;
const SET_PATIENCE: u64 = KERNEL_CALL_BASE + 3;
const DOMCTL_FOR: u64 = KERNEL_CALL_BASE + 4;

/// The hypercalls that main may make, by number. Those that could take the floor from under the
/// kernel (its trap table, callbacks, stack, descriptor tables) are not among them.
#[unsafe(link_section = ".rodata.kernel.allowed")]
pub(crate) static ALLOWED: u64 = bits(&[
    Hypercall::MmuUpdate,
    Hypercall::MemoryOp,
    Hypercall::Multicall,
    Hypercall::XenVersion,
    Hypercall::ConsoleIo,
    Hypercall::GrantTableOp,
    Hypercall::MmuextOp,
    Hypercall::SchedOp,
    Hypercall::EventChannelOp,
    Hypercall::PhysdevOp,
    Hypercall::Sysctl,
    Hypercall::Domctl,
]);

const fn bits(hypercalls: &[Hypercall]) -> u64 {
    let mut bits = 0;
    let mut index = 0;
    while index < hypercalls.len() {
        bits |= 1 << hypercalls[index].raw();
        index += 1;
    }
    bits
}

/// The kernel's half of every call numbered from [`KERNEL_CALL_BASE`] on.
pub(crate) extern "C" fn kernel_call(number: u64, a: u64, b: u64, c: u64) -> u64 {
    match number {
        WAIT => {
            watchdog::sign_of_life();
            kernel_wait(a, b, c)
        }
        BEAT => {
            watchdog::sign_of_life();
            0
        }
        SET_PATIENCE => {
            watchdog::set_patience(Patience {
                main_us: a,
                host_s: b as u32,
                restarts: (b >> 32) as u32,
                window_us: c,
            });
            0
        }
        DOMCTL_FOR => {
            watchdog::sign_of_life();
            watchdog::tick_in(b);
            // SAFETY: main may issue domctls anyway, and Xen checks the address of this one. The watchdog's tick is all
            // that interrupts it.
            unsafe { kernel_interruptible(Hypercall::Domctl.raw(), a) }
        }
        PANICKED => {
            let message = main_slice::<u8>(a, b, MESSAGE_LEN).and_then(|bytes| str::from_utf8(bytes).ok());
            let mut death = Death {
                cause: DeathCause::Panic,
                rip: 0,
                rsp: a,
                at_us: trap::now_us(),
                backtrace: trap::backtrace(c),
                message: heapless::String::new(),
            };
            // The length was checked against the capacity.
            let _ = death.message.push_str(message.unwrap_or("unreadable"));
            // SAFETY: in kernel mode; main has given itself up.
            unsafe { restart::restart(death) }
        }
        _ => u64::MAX,
    }
}

/// `len` values of main's at `address`, if they lie in what main may write.
fn main_slice<T: Copy>(address: u64, len: u64, most: usize) -> Option<&'static [T]> {
    let bytes = len.checked_mul(size_of::<T>() as u64)?;
    let end = address.checked_add(bytes)?;
    let inside = |range: core::ops::Range<u64>| range.start <= address && end <= range.end;
    let sound = len <= most as u64 && address.is_multiple_of(align_of::<T>() as u64);
    if !sound || !(inside(image::main_data()) || inside(image::main_stack_and_box())) {
        return None;
    }
    // SAFETY: the range is main's, mapped, aligned and of plain values, and main does not run while
    // the kernel reads it.
    Some(unsafe { core::slice::from_raw_parts(address as *const T, len as usize) })
}

fn kernel_wait(ports: u64, count: u64, until_ns: u64) -> u64 {
    let Some(ports) = main_slice::<Port>(ports, count, MAX_PORTS) else { return 0 };
    let shared = boot::shared_info();
    let take = || {
        let pending = ports.iter().enumerate().filter(|(_, port)| shared.take_pending(**port));
        pending.fold(0, |bits, (index, _)| bits | 1 << index)
    };
    let pending = take();
    if pending != 0 {
        return pending;
    }
    // A poll that fails would make main spin; it still gets its chance to look around.
    let _ = pv::sched::poll(ports, until_ns);
    take()
}

fn call(number: u64, a: u64, b: u64, c: u64) -> u64 {
    let answer;
    // SAFETY: the kernel keeps to the C ABI for these numbers; it reads only through addresses that
    // it has checked.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            clobber_abi("C"),
        );
    }
    answer
}

/// Waits until an event is pending on one of `ports`, or until Xen's system time is `until_ns`.
/// Answers the ports that had one, as bits by their place in `ports`; their events are taken.
/// To wait is main's sign of life for the watchdog.
///
/// # Panics
/// With more than [`MAX_PORTS`] ports.
pub fn wait(ports: &[Port], until_ns: u64) -> u64 {
    assert!(ports.len() <= MAX_PORTS, "wait for at most {MAX_PORTS} ports, not {}", ports.len());
    call(WAIT, ports.as_ptr() as u64, ports.len() as u64, until_ns)
}

/// Tells the watchdog that main lives, where a step takes longer than a tick.
pub fn beat() {
    call(BEAT, 0, 0, 0);
}

/// Tells the watchdogs how long to wait, and how often main may die.
pub fn set_patience(patience: Patience) {
    let Patience { main_us, host_s, restarts, window_us } = patience;
    call(SET_PATIENCE, main_us, u64::from(restarts) << 32 | u64::from(host_s), window_us);
}

/// Issues a domctl that may take longer than `most_us` microseconds: then Xen stops in the midst of it. Answers as Xen
/// does, or EAGAIN where it is to be issued once more to go on.
pub(crate) fn domctl_for(domctl: &mut Domctl, most_us: u64) -> pv::Result {
    let answer = call(DOMCTL_FOR, core::ptr::from_mut(domctl) as u64, most_us, 0);
    XenError::check(answer.cast_signed()).map(|_| ())
}

/// Gives this life of main up.
pub(crate) fn panicked(message: &str) -> ! {
    let rbp: u64;
    // SAFETY: only reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack)) };
    call(PANICKED, message.as_ptr() as u64, message.len() as u64, rbp);
    unreachable!("the kernel has ended this life")
}
