//! What the recovery kernel tells main.

use crate::cell::KernelCell;
use core::ops::Range;
use xen_abi::Mfn;

/// Return addresses that a [`Death`] carries at most.
pub const BACKTRACE_LEN: usize = 16;

/// Bytes of a panic message that a [`Death`] carries at most.
pub const MESSAGE_LEN: usize = 256;

/// Why the kernel ended a life of main.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeathCause {
    /// A processor exception.
    Exception {
        /// The vector, as in Intel's manual.
        vector: u8,
        /// The error code; zero where the vector has none.
        error: u64,
        /// The address, for a page fault.
        cr2: u64,
    },
    /// Main asked the kernel for nothing through two ticks of the watchdog.
    Hang,
    /// Main panicked; see the message.
    Panic,
}

/// How a life of main ended.
#[derive(Clone, Debug)]
pub struct Death {
    /// Why.
    pub cause: DeathCause,
    /// Where main was.
    pub rip: u64,
    /// Its stack pointer.
    pub rsp: u64,
    /// When, in microseconds of Xen's system time.
    pub at_us: u64,
    /// Return addresses, innermost first.
    pub backtrace: heapless::Vec<u64, BACKTRACE_LEN>,
    /// The panic message; may be cut.
    pub message: heapless::String<MESSAGE_LEN>,
}

impl core::fmt::Display for Death {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let rip = self.rip;
        match self.cause {
            DeathCause::Exception { vector, error, cr2 } => {
                write!(f, "vector={vector} error={error:#x} rip={rip:#x} cr2={cr2:#x}")
            }
            DeathCause::Hang => write!(f, "rip={rip:#x}"),
            DeathCause::Panic => write!(f, "msg={}", self.message),
        }
    }
}

/// What the recovery kernel tells main.
#[derive(Debug)]
pub struct KernelInfo {
    /// The addresses of the module that Xen loaded beside root: the boot archive.
    pub archive: Range<u64>,
    /// Where the machine frames of root's pages are listed, by pfn.
    pub(crate) frames: Range<u64>,
    /// The first of root's pages, by pfn, that neither Xen's domain builder nor root's image has put to use.
    pub(crate) first_spare: u64,
    /// How many times main has been entered: 1 in its first life.
    pub lives: u64,
    /// How the last life ended; none in the first.
    pub last_death: Option<Death>,
    /// Machine frames of the L1 tables behind the window, in order of their addresses.
    pub(crate) window_tables: [Mfn; crate::tables::WINDOW_TABLES],
}

#[unsafe(link_section = ".data.kernel.info")]
pub(crate) static INFO: KernelCell<KernelInfo> = KernelCell::new(KernelInfo {
    archive: 0..0,
    frames: 0..0,
    first_spare: 0,
    lives: 0,
    last_death: None,
    window_tables: [Mfn(0); crate::tables::WINDOW_TABLES],
});

/// What the recovery kernel tells main.
pub fn info() -> &'static KernelInfo {
    INFO.get()
}
