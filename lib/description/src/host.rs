//! What concerns root and the host as a whole.

use serde::{Deserialize, Serialize};

/// What concerns root and the host as a whole: the table `[host]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Root's memory in pages, given to Xen as `dom0_mem`.
    pub memory_pages: u32,
    /// Root's weight in Xen's credit2 scheduler (Xen's default is 256).
    pub weight: u16,
    /// How often root looks at heartbeats and progress while somebody is silent, in microseconds.
    pub check_period_us: u64,
    /// For how long Xen leaves a domain the processor, in microseconds, while all components are well. None if Xen knows best.
    pub slice_us: Option<u32>,
    /// What root does with Xen's console.
    pub console: Console,
    /// Rebuilds of the whole control plane within `plane_window_us`, whichever component was the culprit; instead of
    /// one more the culprit is held. Everybody feels these, so they are limited for all components together.
    pub plane_rebuilds: u8,
    /// The window in which `plane_rebuilds` are counted, in microseconds.
    pub plane_window_us: u64,
    /// Root's main part is restarted in place when it has not said for so long, in microseconds, that it is alive.
    pub watchdog_us: u64,
    /// Xen reboots the host when root has not pushed Xen's own watchdog back for so long, in seconds (Xen counts in
    /// whole seconds).
    pub host_watchdog_s: u32,
    /// Restarts of root's main part within `restart_window_us`; one more is a clean, logged reboot of the host.
    pub restarts: u8,
    /// The window in which `restarts` are counted, in microseconds.
    pub restart_window_us: u64,
}

/// What root does with Xen's console (the serial line).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Console {
    /// Nothing: events stay in the event log.
    Off,
    /// Print events.
    Events,
    /// Print events and obey commands, fault injection among them: for tests and demonstrations, since whoever has
    /// the serial line then has the host.
    Commands,
}

impl Console {
    /// Each way by its name in `rvmm.toml`.
    pub const NAMES: [(&'static str, Self); 3] =
        [("off", Self::Off), ("events", Self::Events), ("commands", Self::Commands)];
}

impl Host {
    /// What holds where `rvmm.toml` says nothing.
    pub const DEFAULT: Self = Self {
        // Root's image, its page tables and the boot archive, with room for thirty components' books.
        memory_pages: 16 * 256,
        // Twice a component's: whoever repairs must run before those that wait for repair.
        weight: 8192,
        // The finest poll that Xen's timer makes worth asking for; half of a heartbeat's deadline would do.
        check_period_us: 2_000,
        // A switch between domains takes microseconds on a machine; it is worth more than that to be quick.
        slice_us: None,
        console: Console::Events,
        // What two fresh starts of everything within ten minutes did not cure, a third will not.
        plane_rebuilds: 2,
        plane_window_us: 600_000_000,
        // Below 50 ms the noise of scheduling causes needless restarts.
        watchdog_us: 100_000,
        // The last resort, behind every restart in place: long enough that it never strikes first.
        host_watchdog_s: 5,
        // Root lost in one window more often than this has a cause that restarting does not cure.
        restarts: 8,
        restart_window_us: 10_000_000,
    };
}

impl Default for Host {
    fn default() -> Self {
        Self::DEFAULT
    }
}
