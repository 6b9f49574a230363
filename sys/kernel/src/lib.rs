//! Root's floor: a small recovery kernel, and the privileged operations that root's main part uses.
//!
//! Root is one PV domain with two halves. The *recovery kernel* runs in PV kernel mode: trap stubs, a
//! filter for main's hypercalls, a watchdog, and what it takes to start main afresh. *Main* is
//! everything else that root does; it runs in PV user mode, where it can spoil neither the kernel
//! nor its own text, and where each of its faults lands in the kernel on a sound stack. When main
//! faults, loses its stack or hangs, the kernel puts back its data, clears its bss, and enters it
//! again: main finds its way by what [`recovery_words`] and its page tables still say.
//!
//! | the kernel (kernel mode) | for main (user mode) |
//! |---|---|
//! | `entry` how Xen enters, `boot`, `tables` main's page tables | `call` wait, beat |
//! | `trap`, `watchdog`, `restart` | `window` other domains' pages, `control` and `guest` domctls |
//! | `reboot` the last resort | `lend` root's own pages, for others |
//! | | `passthrough`, `port_io`, `registers` other domains' devices, `console` |

#![no_std]

mod boot;
pub mod call;
mod cell;
pub mod console;
pub mod control;
mod entry;
mod guest;
pub mod harm;
mod image;
pub mod info;
pub mod lend;
mod panic;
mod passthrough;
pub mod port_io;
mod reboot;
mod registers;
mod restart;
mod tables;
mod trap;
mod watchdog;
pub mod window;

pub use boot::shared_info;
pub use image::{archive, recovery_words};
pub use info::{Death, DeathCause, KernelInfo, info};
pub use pv;
pub use trap::now_us;

/// Names root's main part: `kernel::main!(function)`, with `fn() -> !`.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn root_main() -> ! {
            let main: fn() -> ! = $main;
            main()
        }
    };
}
