//! Root: the privileged domain that builds the unikernels, watches them, and revives them.
//!
//! With Xen it is what everything else stands on, so it keeps to these rules:
//!
//! - it allocates nothing: all it needs has its place when it starts;
//! - it waits for nobody: every step on behalf of a component is bounded, whatever the component does;
//! - it parses no text but the operator's commands, and nothing that a guest wrote;
//! - it trusts no component: what it reads from them is bounded and checked;
//! - it can die at any instruction: what it must know afterwards is in its recovery box before it acts,
//!   and what it finds there is checked against Xen's own books.
//!
//! One turn of [`host::Host::turn`] is all there is: look at every component, tell the monitor, do what
//! it decides, print what happened, wait.

#![no_std]
#![no_main]

mod books;
mod broker;
mod canary;
mod channels;
mod command;
mod component;
mod crash_log;
mod devices;
mod events;
mod host;
mod life;
mod loans;
mod micro_reboot;
mod pace;
mod policy;
mod rebuild;
mod reports;
mod self_harm;
mod watch;

use static_cell::StaticCell;

kernel::main!(main);

/// All that root knows lies in its bss, which a new life finds cleared.
static HOST: StaticCell<host::Host> = StaticCell::new();

fn main() -> ! {
    let host = HOST.init_with(host::Host::start);
    loop {
        canary::check();
        host.turn();
    }
}
