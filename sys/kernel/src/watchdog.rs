//! The watchdog over main: a timer event that the kernel gets while main runs.
//!
//! Main shows that it lives by asking the kernel to wait (`call::wait`) or by `call::beat`. The
//! timer is Xen's one-shot timer, set again at each tick. Two ticks in a row without a sign end
//! main's life: one may be the tail of a long time without the CPU, in which main had no chance.
//! Behind it stands Xen's own watchdog, which reboots the host if even the ticks stop.

use crate::cell::KernelCell;
use crate::info::{Death, DeathCause};
use crate::{boot, restart, trap};
use pv::clock;
use xen_abi::Port;

/// Ticks in a row without a sign of life that end main's life.
const STRIKES: u32 = 2;

/// How long the watchdogs wait, and how often main may die. What the system description says.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Main is restarted when it has shown no sign of life for so long, in microseconds.
    pub main_us: u64,
    /// Xen reboots the host when the kernel has found main alive for so long not once, in seconds; 0: never.
    pub host_s: u32,
    /// Lives that may end within `window_us`; after one more the host is rebooted.
    pub restarts: u32,
    /// In microseconds.
    pub window_us: u64,
}

impl Patience {
    /// Until main has said what its description says. Below 50 ms the noise of scheduling under
    /// emulation would restart a sound main.
    const AT_BOOT: Self = Self { main_us: 1_000_000, host_s: 0, restarts: 8, window_us: 10_000_000 };
}

struct Watchdog {
    port: Option<Port>,
    patience: Patience,
    /// Xen's number for its watchdog; 0 until it has given one.
    host_id: u32,
    signs: u64,
    signs_at_tick: u64,
    strikes: u32,
    deaths_before_beat: u32,
    window_ends_us: u64,
    deaths_in_window: u32,
}

#[unsafe(link_section = ".data.kernel.watchdog")]
static WATCHDOG: KernelCell<Watchdog> = KernelCell::new(Watchdog {
    port: None,
    patience: Patience::AT_BOOT,
    host_id: 0,
    signs: 0,
    signs_at_tick: 0,
    strikes: 0,
    deaths_before_beat: 0,
    window_ends_us: 0,
    deaths_in_window: 0,
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
    let tick_ns = watchdog().patience.main_us * 1000 / u64::from(STRIKES);
    if let Err(error) = pv::vcpu::set_singleshot_timer(clock::now_ns(&boot::shared_info()) + tick_ns) {
        crate::reboot::reboot(format_args!("root's watchdog cannot be armed: {error}"));
    }
}

/// Has the next tick come in `us` microseconds.
pub(crate) fn tick_in(us: u64) {
    let at_ns = clock::now_ns(&boot::shared_info()) + us * 1000;
    // Refused, the next tick comes when it would have come anyway.
    let _ = pv::vcpu::set_singleshot_timer(at_ns);
}

/// Waits from now on as `patience` says.
pub(crate) fn set_patience(patience: Patience) {
    watchdog().patience = patience;
    arm();
    push_host_watchdog_back();
}

/// Main lives.
pub(crate) fn sign_of_life() {
    let watchdog = watchdog();
    watchdog.signs += 1;
    watchdog.deaths_before_beat = 0;
}

/// A life of main has ended. Answers how many have ended without a sign of life, and how many more than
/// there may be within a window.
pub(crate) fn count_death() -> (u32, u32) {
    let now_us = trap::now_us();
    let watchdog = watchdog();
    if now_us >= watchdog.window_ends_us {
        watchdog.window_ends_us = now_us + watchdog.patience.window_us;
        watchdog.deaths_in_window = 0;
    }
    watchdog.strikes = 0;
    watchdog.deaths_before_beat += 1;
    watchdog.deaths_in_window += 1;
    (watchdog.deaths_before_beat, watchdog.deaths_in_window.saturating_sub(watchdog.patience.restarts))
}

/// Puts Xen's own watchdog off.
fn push_host_watchdog_back() {
    let watchdog = watchdog();
    if watchdog.patience.host_s == 0 {
        return;
    }
    // A Xen without this watchdog leaves root to its own.
    if let Ok(id) = pv::sched::watchdog(watchdog.host_id, watchdog.patience.host_s)
        && watchdog.host_id == 0
    {
        watchdog.host_id = id;
    }
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
    let alive = state.signs != state.signs_at_tick;
    state.strikes = if alive { 0 } else { state.strikes + 1 };
    state.signs_at_tick = state.signs;
    let hung = state.strikes >= STRIKES;
    arm();
    if alive {
        push_host_watchdog_back();
    }
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
