//! Where everything is in the health page, as an index of a word. [`byte`](crate::health::byte) gives the
//! same to assembly.

/// Beats since the domain was built; goes on counting across micro-reboots.
pub const BEAT: usize = 0;
/// Not 0 while the executor has nothing to run.
pub const IDLE: usize = 1;
/// How far the boot has come: a [`BootStage`](crate::health::BootStage).
pub const STAGE: usize = 2;
/// What `BEAT` was when this incarnation was started.
pub const START_BEAT: usize = 3;
/// When this incarnation beat for the first time, in microseconds of Xen's system time; 0 before.
pub const FIRST_BEAT_US: usize = 4;
/// The last part request that was done.
pub const PART_ACK: usize = 5;
/// The last fault command that was taken.
pub const FAULT_ACK: usize = 6;
/// When the last fault began, in microseconds of Xen's system time.
pub const INJECTED_AT_US: usize = 7;
/// Not 0: the next trap is not a fault, the stub goes to the entry point.
pub const BOOT_WANTED: usize = 8;
/// The part that shall be restarted: generation (high half) and part number.
pub const PART_REQUEST: usize = 9;
/// The fault that shall happen: generation (high half) and fault number.
pub const FAULT_COMMAND: usize = 10;
/// The argument of the fault.
pub const FAULT_ARGUMENT: usize = 11;
/// The first of the progress pairs: `waiting`, `done`.
pub const PROGRESS: usize = 16;
/// The first word of the service area.
pub const SERVICE: usize = PROGRESS + 2 * crate::health::PROGRESS_PAIRS;
/// The crash report's sequence: odd while it is being written, even and not 0 when complete.
pub const CRASH_SEQUENCE: usize = 128;
/// The exception's vector, or one of [`crash::cause`](crate::crash::cause).
pub const CRASH_VECTOR: usize = 129;
/// The exception's error code; 0 for exceptions without one.
pub const CRASH_ERROR: usize = 130;
/// Where it happened.
pub const CRASH_RIP: usize = 131;
/// The flags at that point.
pub const CRASH_RFLAGS: usize = 132;
/// The address of the last page fault.
pub const CRASH_CR2: usize = 133;
/// Entries in the backtrace.
pub const CRASH_TRACE_LEN: usize = 134;
/// Bytes in the panic message.
pub const CRASH_MESSAGE_LEN: usize = 135;
/// The general registers in the order in which the processor numbers them:
/// rax rcx rdx rbx rsp rbp rsi rdi r8 .. r15.
pub const CRASH_REGISTERS: usize = 136;
/// The stack pointer at that point (one of the registers).
pub const CRASH_RSP: usize = CRASH_REGISTERS + 4;
/// Return addresses, the innermost first.
pub const CRASH_TRACE: usize = CRASH_REGISTERS + crate::crash::REGISTERS;
/// The panic message, eight bytes a word, little-endian.
pub const CRASH_MESSAGE: usize = CRASH_TRACE + crate::crash::TRACE_MAX;
/// The first word after the crash report.
pub const CRASH_END: usize = CRASH_MESSAGE + crate::crash::MESSAGE_MAX / 8;
/// The first of the ports that are offered: an [`Offer`](crate::kept::Offer) for each domain.
pub const OFFERS: usize = 256;
/// The number (high half) and the length in bytes of the last line that the operator has for the component. Written last.
pub const TOLD: usize = 320;
/// That line, eight bytes a word, little-endian.
pub const TOLD_TEXT: usize = 321;
/// The line that was taken, as in `TOLD`.
pub const TOLD_TAKEN: usize = 340;
