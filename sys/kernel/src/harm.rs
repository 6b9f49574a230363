//! Main's own faults, on demand: to see that the recovery kernel brings it back.

use crate::image;
use core::arch::asm;
use core::hint::black_box;
use core::str::FromStr;

macro_rules! harms {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// A way for main to fail.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Harm {
            $($(#[$doc])* $variant,)*
        }

        impl FromStr for Harm {
            type Err = ();

            fn from_str(name: &str) -> Result<Self, ()> {
                match name {
                    $($name => Ok(Self::$variant),)*
                    _ => Err(()),
                }
            }
        }
    };
}

harms! {
    /// An undefined instruction.
    Ud2 = "ud2";
    /// A store through a null pointer.
    NullStore = "null-store";
    /// A general protection fault: a load from an address that is none.
    Gp = "gp";
    /// A jump to where there is no code.
    WildJump = "wild-jump";
    /// Rubbish all over .data, then on.
    TrashData = "trash-data";
    /// Rubbish all over .bss, then on.
    TrashBss = "trash-bss";
    /// Rubbish all over the stack.
    TrashStack = "trash-stack";
    /// A panic.
    Panic = "panic";
    /// Recursion into the stack's guard.
    StackOverflow = "stack-overflow";
    /// The stack pointer lost.
    BadSp = "bad-sp";
    /// A store to text.
    StoreText = "store-text";
    /// A loop that never ends.
    TightLoop = "tight-loop";
    /// A wait that never ends.
    BlockForever = "block-forever";
}

/// Fails. Only faults that do their harm later come back.
pub fn commit(harm: Harm) {
    match harm {
        // SAFETY: the instruction traps, and this life of main ends there.
        Harm::Ud2 => unsafe { asm!("ud2", options(noreturn)) },
        Harm::NullStore => store(0),
        // SAFETY: the address is not canonical: the load traps, and this life of main ends there.
        Harm::Gp => unsafe { asm!("mov rax, [{}]", in(reg) 0x8000_0000_0000_u64 << 4, out("rax") _) },
        // SAFETY: nothing is mapped there: the fetch traps, and this life of main ends there.
        Harm::WildJump => unsafe { asm!("jmp {}", in(reg) 0x1000_u64, options(noreturn)) },
        Harm::TrashData => trash(image::data()),
        Harm::TrashBss => trash(image::bss()),
        Harm::TrashStack => trash(image::stack()),
        Harm::Panic => panic!("injected"),
        Harm::StackOverflow => {
            black_box(overflow(0));
        }
        // SAFETY: nothing is mapped there: the push traps, and this life of main ends there.
        Harm::BadSp => unsafe { asm!("mov rsp, 0x1000", "push rax", "ud2", options(noreturn)) },
        Harm::StoreText => store(commit as *const () as u64),
        Harm::TightLoop => loop {
            core::hint::spin_loop();
        },
        // No port and no time: nothing ends this wait, and the watchdog's tick comes when it does.
        Harm::BlockForever => loop {
            let _ = pv::sched::poll(&[], 0);
        },
    }
}

fn store(address: u64) {
    // SAFETY: a store that traps where the page is read-only or not there; elsewhere it does the harm
    // that was asked for, in a life of main that is to end.
    unsafe { asm!("mov qword ptr [{}], -1", in(reg) address, options(nostack)) }
}

fn trash(range: core::ops::Range<u64>) {
    for address in range.step_by(8) {
        store(address);
    }
}

#[expect(unconditional_recursion, reason = "that is the fault")]
fn overflow(depth: u64) -> u64 {
    let ballast = black_box([depth; 64]);
    overflow(ballast[63] + 1) + ballast[0]
}
