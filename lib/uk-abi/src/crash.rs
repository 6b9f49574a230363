//! The crash report: what a dying unikernel leaves in its health page.
//!
//! It is written by trap stubs and by the panic handler of a program that is broken, so it is made of plain
//! words, may end at any point, and says by its sequence whether it did:
//!
//! ```text
//! sequence   0: nothing   odd: begun, parts are missing   even: complete
//!
//! stub:      or  qword ptr [health + CRASH_SEQUENCE], 1      begin: also right if a report was begun before
//!            ... vector, error, rip, rflags, cr2, registers, trace ...
//!            add qword ptr [health + CRASH_SEQUENCE], 1      complete
//! ```
//!
//! A panic begins the report with its message; the trap that ends the panic adds the registers and completes
//! it. Root clears it before each start, so what has not been written is 0.

use crate::health::{HealthPage, word};
use crate::text::{Line, Printable};
use core::fmt::{self, Write};
use core::sync::atomic::Ordering::{AcqRel, Relaxed, Release};

/// General registers in a report.
pub const REGISTERS: usize = 16;

/// Return addresses that a report can hold.
pub const TRACE_MAX: usize = 16;

/// Bytes of the panic message that a report can hold.
pub const MESSAGE_MAX: usize = 512;

/// Causes beyond the processor's 32 exception vectors.
pub mod cause {
    /// The report was not written by a trap: the program asked for its end.
    pub const PANIC: u64 = 256;
}

/// The reason of shutdown by which a unikernel says that it has ended its life itself, by a trap stub or a panic, and
/// that it will begin the next where it stands if it is only let run. It is none of Xen's reasons, so whoever Xen ends
/// does not say so.
pub const ENDED: u32 = 64;

/// The names of [`CrashReport::registers`].
pub const REGISTER_NAMES: [&str; REGISTERS] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
    "r15",
];

/// A copy of a crash report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashReport {
    /// Whether it was finished: if not, some of it may be missing, or mixed with a later crash's.
    pub complete: bool,
    /// The exception's vector, or a [`cause`].
    pub vector: u64,
    /// The exception's error code.
    pub error: u64,
    /// Where it happened.
    pub rip: u64,
    /// The flags.
    pub rflags: u64,
    /// The address of the last page fault.
    pub cr2: u64,
    /// The registers, see [`REGISTER_NAMES`].
    pub registers: [u64; REGISTERS],
    trace: [u64; TRACE_MAX],
    trace_len: usize,
    message: [u8; MESSAGE_MAX],
    message_len: usize,
}

impl CrashReport {
    /// The stack pointer.
    pub const fn rsp(&self) -> u64 {
        self.registers[4]
    }

    /// Return addresses, the innermost first.
    pub fn trace(&self) -> &[u64] {
        &self.trace[..self.trace_len]
    }

    /// The panic message; empty if it was no panic.
    pub fn message(&self) -> Printable<'_> {
        Printable(&self.message[..self.message_len])
    }
}

/// Prints `vector=.. error=.. rip=.. rsp=.. cr2=..`: the start of a log line.
impl fmt::Display for CrashReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CrashReport { vector, error, rip, cr2, .. } = self;
        write!(f, "vector={vector} error={error:#x} rip={rip:#x} rsp={:#x} cr2={cr2:#x}", self.rsp())
    }
}

/// The unikernel's side: what is not done by the stubs. Each call is safe at any time and touches nothing but
/// the page.
impl HealthPage<'_> {
    /// Begins the report, unless it has been begun already.
    pub fn crash_begin(&self) {
        self.words[word::CRASH_SEQUENCE].fetch_or(1, AcqRel);
    }

    /// Sets the panic message; what does not fit is cut.
    pub fn crash_message(&self, message: fmt::Arguments<'_>) {
        let mut line = Line::<MESSAGE_MAX>::new();
        // An error only says that the line is full.
        let _ = line.write_fmt(message);
        for (index, chunk) in line.as_bytes().chunks(8).enumerate() {
            let mut bytes = [0; 8];
            bytes[..chunk.len()].copy_from_slice(chunk);
            self.words[word::CRASH_MESSAGE + index].store(u64::from_le_bytes(bytes), Relaxed);
        }
        self.set(word::CRASH_MESSAGE_LEN, line.as_bytes().len() as u64);
    }

    /// Adds one return address to the trace; says whether there is room for more.
    pub fn crash_trace_push(&self, address: u64) -> bool {
        let len = self.get(word::CRASH_TRACE_LEN) as usize;
        if len >= TRACE_MAX {
            return false;
        }
        self.words[word::CRASH_TRACE + len].store(address, Relaxed);
        self.set(word::CRASH_TRACE_LEN, len as u64 + 1);
        len + 1 < TRACE_MAX
    }

    /// Sets vector and instruction pointer where no trap stub did.
    pub fn crash_at(&self, vector: u64, rip: u64) {
        self.set(word::CRASH_VECTOR, vector);
        self.set(word::CRASH_RIP, rip);
    }

    /// Completes the report. `Release`: who sees the sequence sees the report.
    pub fn crash_complete(&self) {
        self.words[word::CRASH_SEQUENCE].fetch_add(1, Release);
    }
}

/// Root's side.
impl HealthPage<'_> {
    /// Forgets the report.
    pub fn clear_crash(&self) {
        for index in word::CRASH_SEQUENCE..word::CRASH_END {
            self.words[index].store(0, Relaxed);
        }
        self.set(word::CRASH_SEQUENCE, 0);
    }

    /// Copies the report, if one was begun. The unikernel need not have stopped: a report that changes
    /// meanwhile is not complete.
    pub fn crash_report(&self) -> Option<CrashReport> {
        let before = self.get(word::CRASH_SEQUENCE);
        if before == 0 {
            return None;
        }
        let words = |from: usize| move |index: usize| self.words[from + index].load(Relaxed);
        let mut message = [0; MESSAGE_MAX];
        for (index, chunk) in message.chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&words(word::CRASH_MESSAGE)(index).to_le_bytes());
        }
        let report = CrashReport {
            complete: before.is_multiple_of(2),
            vector: self.get(word::CRASH_VECTOR),
            error: self.get(word::CRASH_ERROR),
            rip: self.get(word::CRASH_RIP),
            rflags: self.get(word::CRASH_RFLAGS),
            cr2: self.get(word::CRASH_CR2),
            registers: core::array::from_fn(words(word::CRASH_REGISTERS)),
            trace: core::array::from_fn(words(word::CRASH_TRACE)),
            trace_len: self.get(word::CRASH_TRACE_LEN).min(TRACE_MAX as u64) as usize,
            message,
            message_len: self.get(word::CRASH_MESSAGE_LEN).min(MESSAGE_MAX as u64) as usize,
        };
        // The copy's loads come before the second look at the sequence.
        core::sync::atomic::fence(core::sync::atomic::Ordering::Acquire);
        let unchanged = self.words[word::CRASH_SEQUENCE].load(Relaxed) == before;
        Some(CrashReport { complete: report.complete && unchanged, ..report })
    }
}

#[cfg(test)]
mod tests;
