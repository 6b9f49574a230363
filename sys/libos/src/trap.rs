//! The end of a life: exceptions and panics become a crash report, then the domain shuts down. Unless they are those of a
//! part whose crash is [contained](crate::contain).

use crate::{contain, entry, start};
use core::cell::UnsafeCell;
use core::panic::PanicInfo;
use core::sync::atomic::Ordering::Relaxed;
use uk_abi::crash::cause;
use uk_abi::health::{HealthPage, word};

/// Bytes of the stack on which a fault is reported: the fault may be one of the ordinary stack.
pub(crate) const EMERGENCY_STACK_SIZE: usize = 8192;

#[repr(C, align(16))]
pub(crate) struct Stack(UnsafeCell<[u8; EMERGENCY_STACK_SIZE]>);

// SAFETY: only the trap stubs use it, one at a time, and they never return.
unsafe impl Sync for Stack {}

pub(crate) static EMERGENCY_STACK: Stack = Stack(UnsafeCell::new([0; EMERGENCY_STACK_SIZE]));

/// Vectors whose frame has an error code (Intel SDM volume 3, 6.15).
const fn has_error_code(vector: u64) -> bool {
    matches!(vector, 8 | 10..=14 | 17 | 21)
}

/// Reports the fault that the stub has noted. `frame` is what Xen pushed: `rcx, r11, [error code],
/// rip, cs, rflags, rsp, ss`.
pub(crate) unsafe extern "C" fn trap(frame: *const u64) -> ! {
    let health = start::health();
    let words = start::health_words();
    let vector = words[word::CRASH_VECTOR].load(Relaxed) & 0xff;
    // SAFETY: Xen has just pushed the frame, so these words are there.
    let word = |index: usize| unsafe { frame.add(index).read() };
    let code = usize::from(has_error_code(vector));
    contain::exception(vector, word(2 + code));
    health.crash_begin();
    health.crash_at(vector, word(2 + code));
    let cr2 = if vector == 14 { start::shared_info().cr2() } else { 0 };
    let rsp = word(5 + code);
    for (index, value) in [
        (word::CRASH_ERROR, if code == 1 { word(2) } else { 0 }),
        (word::CRASH_RFLAGS, word(4 + code)),
        (word::CRASH_CR2, cr2),
        (word::CRASH_RSP, rsp),
        (word::CRASH_REGISTERS + 1, word(0)),
        (word::CRASH_REGISTERS + 11, word(1)),
    ] {
        words[index].store(value, Relaxed);
    }
    die(&health, words[word::CRASH_REGISTERS + 5].load(Relaxed))
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    contain::panic(info);
    let health = start::health();
    health.crash_begin();
    health.crash_at(cause::PANIC, 0);
    health.crash_message(format_args!("{info}"));
    let rbp: u64;
    // SAFETY: only reads a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) rbp, options(nomem, nostack)) };
    die(&health, rbp)
}

/// Notes the backtrace from frame pointer `rbp`, completes the report and ends this life.
fn die(health: &HealthPage<'_>, mut rbp: u64) -> ! {
    let stack = start::stack();
    while rbp.is_multiple_of(8) && stack.contains(&rbp) && rbp + 16 <= stack.end {
        // SAFETY: both words lie inside the stack, which is mapped.
        let (next, address) = unsafe { (*(rbp as *const u64), *((rbp + 8) as *const u64)) };
        if address == 0 || !health.crash_trace_push(address) || next <= rbp {
            break;
        }
        rbp = next;
    }
    health.crash_complete();
    entry::uk_end()
}
