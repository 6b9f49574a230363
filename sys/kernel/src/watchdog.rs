//! The watchdog over main: a timer event that the kernel gets while main runs.
//!
//! Main shows that it lives by asking the kernel to wait (`call::wait`) or by `call::beat`. The
//! timer is Xen's one-shot timer, set again at each tick. Two ticks in a row without a sign end
//! main's life: one may be the tail of a long time without the CPU, in which main had no chance.

use crate::cell::KernelCell;
use crate::info::{Death, DeathCause};
use crate::{boot, restart, trap};
use pv::clock;
use xen_abi::Port;

/// From tick to tick. At 8 ms the noise of scheduling under emulation restarted a sound main now
/// and then; from 50 ms on it did not.
const TICK_NS: u64 = 50_000_000;

/// Ticks in a row without a sign of life that end main's life.
const STRIKES: u32 = 2;

struct Watchdog {
    port: Option<Port>,
    signs: u64,
    signs_at_tick: u64,
    strikes: u32,
    deaths_since_beat: u32,
    deaths_since_tick: u32,
}

#[unsafe(link_section = ".data.kernel.watchdog")]
static WATCHDOG: KernelCell<Watchdog> = KernelCell::new(Watchdog {
    port: None,
    signs: 0,
    signs_at_tick: 0,
    strikes: 0,
    deaths_since_beat: 0,
    deaths_since_tick: 0,
});

fn watchdog() -> &'static mut Watchdog {
    // SAFETY: every caller runs in kernel mode and drops the reference before it calls another
    // function of this file.
    unsafe { WATCHDOG.get_mut() }
}

/// Takes the timer's event channel.
///
/// # Errors
/// Xen's, if the timer cannot be bound.
pub(crate) fn init() -> pv::Result {
    pv::vcpu::stop_periodic_timer()?;
    let port = pv::event::bind_virq(xen_abi::virq::Virq::Timer)?;
    boot::shared_info().set_masked(port, false);
    watchdog().port = Some(port);
    Ok(())
}

/// Sets the next tick.
pub(crate) fn arm() {
    let at = clock::now_ns(&boot::shared_info()) + TICK_NS;
    if let Err(error) = pv::vcpu::set_singleshot_timer(at) {
        crate::reboot::reboot(format_args!("root's watchdog cannot be armed: {error}"));
    }
}

/// Main lives.
pub(crate) fn sign_of_life() {
    let watchdog = watchdog();
    watchdog.signs += 1;
    watchdog.deaths_since_beat = 0;
}

/// A life of main has ended. Answers how many have since a beat and since a tick.
pub(crate) fn count_death() -> (u32, u32) {
    let watchdog = watchdog();
    watchdog.strikes = 0;
    watchdog.deaths_since_beat += 1;
    watchdog.deaths_since_tick += 1;
    (watchdog.deaths_since_beat, watchdog.deaths_since_tick)
}

/// An event has come while main ran, at `rip`: the tick, as every other port is masked.
pub(crate) extern "C" fn event(rip: u64) {
    let shared = boot::shared_info();
    shared.clear_upcall_pending();
    let state = watchdog();
    let Some(port) = state.port else { return };
    if !shared.take_pending(port) {
        return;
    }
    if state.signs == state.signs_at_tick {
        state.strikes += 1;
    } else {
        state.strikes = 0;
        state.deaths_since_tick = 0;
    }
    state.signs_at_tick = state.signs;
    let hung = state.strikes >= STRIKES;
    arm();
    if hung {
        let death = Death {
            cause: DeathCause::Hang,
            rip,
            rsp: 0,
            at_us: trap::now_us(),
            backtrace: heapless::Vec::new(),
            message: heapless::String::new(),
        };
        // SAFETY: in kernel mode, on the kernel's stack; main has just been judged dead.
        unsafe { restart::restart(death) }
    }
}
