//! Parts of a program whose crash is not the program's: an exception or a panic within [`contain`] ends that call, and
//! not the life.
//!
//! ```text
//!   contain(work) --- registers noted ---> work() -----------> Ok
//!        ^                                   | exception, panic
//!        '------- registers put back --------'                 Err(Crashed)
//! ```
//!
//! What the part had on the stack is gone without being dropped: memory that only the stack knew of stays taken, a cell
//! that was borrowed stays borrowed. So whoever calls looks at what the part had its hands on, and makes it anew; where
//! that is the heap itself, the next to need it ends the life, as a crash does that is not contained. The same holds for
//! a stack that overflows and for loops without end: root sees to those.

use core::arch::global_asm;
use core::fmt;
use core::mem::ManuallyDrop;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

global_asm!(
    ".pushsection .text",
    // uk_contain(work: extern "C" fn(*mut u8), data: *mut u8, noted: *mut u64) -> u64
    ".globl uk_contain",
    "uk_contain:",
    "push rbp",
    "mov rbp, rsp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "mov [rdx], rsp",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "xor eax, eax",
    "2:",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    // uk_escape(noted: u64) -> !
    ".globl uk_escape",
    "uk_escape:",
    "mov rsp, rdi",
    "cld",
    "mov eax, 1",
    "jmp 2b",
    ".popsection",
);

unsafe extern "C" {
    /// Calls `work` with `data`, after it has noted the stack pointer. Answers 0 if it comes back from there, and 1 if
    /// it comes back by `uk_escape`.
    fn uk_contain(work: extern "C" fn(*mut u8), data: *mut u8, noted: *mut u64) -> u64;
    /// Comes back from the `uk_contain` that has noted this stack pointer and has not come back yet.
    fn uk_escape(noted: u64) -> !;
}

/// The stack pointer of the innermost call that contains crashes; 0 while there is none.
static NOTED: AtomicU64 = AtomicU64::new(0);

/// What crashed last within such a call: the vector of an exception, or `u64::MAX` for a panic; and its address.
static CAUSE: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

/// A part has crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crashed {
    /// By an exception.
    Exception {
        /// Its vector.
        vector: u64,
        /// The address of the instruction.
        address: u64,
    },
    /// By a panic, which the log tells of.
    Panic,
}

impl fmt::Display for Crashed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exception { vector, address } => write!(f, "exception {vector} at {address:#x}"),
            Self::Panic => f.write_str("a panic"),
        }
    }
}

impl core::error::Error for Crashed {}

/// What is to be done, and what came of it.
union Work<F, R> {
    work: ManuallyDrop<F>,
    result: ManuallyDrop<R>,
}

extern "C" fn call<F: FnOnce() -> R, R>(data: *mut u8) {
    // SAFETY: `contain` hands in a live `Work` with the work in it, and looks at it again when this has come back.
    unsafe {
        let data = &mut *data.cast::<Work<F, R>>();
        let result = ManuallyDrop::take(&mut data.work)();
        data.result = ManuallyDrop::new(result);
    }
}

/// Does `work`, which may crash.
///
/// # Errors
/// [`Crashed`].
pub fn contain<R>(work: impl FnOnce() -> R) -> Result<R, Crashed> {
    fn run<F: FnOnce() -> R, R>(work: F) -> Result<R, Crashed> {
        let mut data = Work::<F, R> { work: ManuallyDrop::new(work) };
        let outer = NOTED.load(Relaxed);
        // SAFETY: the function gets what it expects. Registers that a call preserves are as they were when it comes back,
        // either way; what lay on the stack above is given up as a whole.
        let crashed = unsafe { uk_contain(call::<F, R>, (&raw mut data).cast(), NOTED.as_ptr()) } != 0;
        NOTED.store(outer, Relaxed);
        if crashed {
            return Err(match [CAUSE[0].load(Relaxed), CAUSE[1].load(Relaxed)] {
                [u64::MAX, _] => Crashed::Panic,
                [vector, address] => Crashed::Exception { vector, address },
            });
        }
        // SAFETY: the work was done, and left its result.
        Ok(ManuallyDrop::into_inner(unsafe { data.result }))
    }
    run(work)
}

/// Leads an exception out of the call that contains it; does nothing if none does.
pub(crate) fn exception(vector: u64, address: u64) {
    escape([vector, address]);
}

/// The same for a panic.
pub(crate) fn panic(info: &core::panic::PanicInfo<'_>) {
    if NOTED.load(Relaxed) != 0 {
        log::error!("a part of this program: {info}");
        escape([u64::MAX, 0]);
    }
}

fn escape(cause: [u64; 2]) {
    // A crash on the way out is nobody's but this life's.
    let noted = NOTED.swap(0, Relaxed);
    if noted != 0 {
        CAUSE.iter().zip(cause).for_each(|(place, value)| place.store(value, Relaxed));
        // SAFETY: whoever noted it has not come back: `contain` puts the outer one back when it does.
        unsafe { uk_escape(noted) }
    }
}
