//! How a unikernel is entered: `_start`, and a stub for each exception.
//!
//! Root starts it (again) at `_start` with the stack pointer at the top of the stack and events
//! masked. The stubs depend on nothing but the two pages at fixed addresses: where root has set the
//! health page's `BOOT_WANTED`, they lead to `_start` (Xen may deliver an exception of the last life
//! to the new one); else they note the registers and end this life with a crash report. Who has ended itself so
//! stands at [`uk_end`], from where root needs only let it run.

use core::arch::global_asm;
use core::mem::offset_of;
use uk_abi::boot_info::{Area, BootInfo};
use uk_abi::crash::ENDED;
use uk_abi::health::byte;
use uk_abi::layout::{BOOT_INFO_VA, HEALTH_VA, TRAP_STUB_SIZE, TRAP_STUBS};
use xen_abi::Hypercall;
use xen_abi::sched::{SchedOp, Shutdown};

/// What the processor starts with: all exceptions of SSE masked, rounding to nearest.
const DEFAULT_MXCSR: u32 = 0x1f80;

/// Why this domain shuts itself down.
static REASON: Shutdown = Shutdown { reason: ENDED };

const STACK: usize = BOOT_INFO_VA as usize + offset_of!(BootInfo, stack);

global_asm!(
    ".pushsection .text.entry, \"ax\", @progbits",
    ".globl _start",
    "_start:",
    "xor ebp, ebp",
    "mov rsp, qword ptr [{stack_pages}]",
    "shl rsp, 12",
    "add rsp, qword ptr [{stack_va}]",
    // What the last life may have left in flags and floating-point control.
    "push 2",
    "popfq",
    "push {mxcsr}",
    "ldmxcsr [rsp]",
    "fninit",
    "pop rax",
    "call {start}",
    "ud2",
    //
    // One stub for each vector; root finds them by their distance from the entry point.
    ".org {stubs}",
    ".set vector, 0",
    ".rept 256",
    ".balign {stub_size}",
    "mov dword ptr [{vector}], vector",
    "jmp 2f",
    ".set vector, vector + 1",
    ".endr",
    "2:",
    "cmp qword ptr [{boot_wanted}], 0",
    "jne _start",
    "mov [{registers} + 0], rax",
    "mov [{registers} + 16], rdx",
    "mov [{registers} + 24], rbx",
    "mov [{registers} + 40], rbp",
    "mov [{registers} + 48], rsi",
    "mov [{registers} + 56], rdi",
    "mov [{registers} + 64], r8",
    "mov [{registers} + 72], r9",
    "mov [{registers} + 80], r10",
    "mov [{registers} + 96], r12",
    "mov [{registers} + 104], r13",
    "mov [{registers} + 112], r14",
    "mov [{registers} + 120], r15",
    "mov rdi, rsp",
    "lea rsp, [rip + {emergency} + {emergency_size}]",
    "cld",
    "call {trap}",
    "ud2",
    //
    // The end of a life: the domain shuts down, and if it is let run again, it begins the next life.
    ".globl uk_end",
    "uk_end:",
    "mov eax, {sched_op}",
    "mov edi, {shutdown}",
    "lea rsi, [rip + {reason}]",
    "syscall",
    "cmp qword ptr [{boot_wanted}], 0",
    "je uk_end",
    "jmp _start",
    ".popsection",
    stubs = const TRAP_STUBS,
    stub_size = const TRAP_STUB_SIZE,
    stack_va = const STACK + offset_of!(Area, va),
    stack_pages = const STACK + offset_of!(Area, pages),
    start = sym crate::start::start,
    vector = const HEALTH_VA as usize + byte::CRASH_VECTOR,
    boot_wanted = const HEALTH_VA as usize + byte::BOOT_WANTED,
    registers = const HEALTH_VA as usize + byte::CRASH_REGISTERS,
    emergency = sym crate::trap::EMERGENCY_STACK,
    emergency_size = const crate::trap::EMERGENCY_STACK_SIZE,
    trap = sym crate::trap::trap,
    mxcsr = const DEFAULT_MXCSR,
    sched_op = const Hypercall::SchedOp.raw(),
    shutdown = const SchedOp::Shutdown.raw(),
    reason = sym REASON,
);

unsafe extern "C" {
    /// Ends this life.
    pub(crate) safe fn uk_end() -> !;
}
