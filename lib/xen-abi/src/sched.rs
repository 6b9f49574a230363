//! Giving up the CPU, and shutting down (`sched.h`).

use crate::{Domid, GuestHandle};

numbers! {
    /// The command of `HYPERVISOR_sched_op`.
    pub enum SchedOp: u32 {
        /// Lets others run; the vCPU stays runnable. No argument.
        Yield = 0,
        /// Unmasks events and sleeps until one is pending. No argument.
        Block = 1,
        /// Shuts the calling domain down. Takes a [`Shutdown`].
        Shutdown = 2,
        /// Sleeps until one of some ports is pending, masked or not. Takes a [`Poll`].
        Poll = 3,
        /// Shuts another domain down. Takes a [`RemoteShutdown`].
        RemoteShutdown = 4,
        /// Records the reason of a shutdown that is about to happen. Takes a [`Shutdown`].
        ShutdownCode = 5,
        /// Sets, feeds or stops a watchdog of the calling domain. Takes a [`Watchdog`]; answers the timer's
        /// number.
        Watchdog = 6,
        /// Pins the calling vCPU to a physical CPU for a moment. Takes a [`PinOverride`].
        PinOverride = 7,
    }

    /// Why a domain is shut down.
    pub enum ShutdownReason: u32 {
        /// It is done. From dom0: the host powers off.
        Poweroff = 0,
        /// It wants a clean restart. From dom0: the host reboots.
        Reboot = 1,
        /// It has suspended itself and can be resumed or saved.
        Suspend = 2,
        /// It crashed, or said that it did.
        Crash = 3,
        /// Its watchdog ran out.
        Watchdog = 4,
        /// It wants its state reset while its memory stays.
        SoftReset = 5,
    }
}

structs! {
    /// Shuts the calling domain down, all vCPUs at once.
    pub struct Shutdown: 4 {
        /// A [`ShutdownReason`].
        pub reason: u32,
    }

    /// Sleeps until one of the ports is pending or the time has come. At most 128 ports. Whether a port is
    /// masked makes no difference; its pending bit stays set and must be cleared before the next poll.
    pub struct Poll: 24 {
        /// An array of ports.
        pub ports: GuestHandle,
        /// How many.
        pub nr_ports: u32,
        /// Zero.
        pub pad: u32,
        /// In ns of system time (absolute); 0 for never.
        pub timeout: u64,
    }

    /// Shuts another domain down.
    pub struct RemoteShutdown: 8 {
        /// Which.
        pub domain_id: Domid,
        /// Zero.
        pub pad: u16,
        /// A [`ShutdownReason`].
        pub reason: u32,
    }

    /// A watchdog timer: the domain is shut down with reason [`ShutdownReason::Watchdog`] when it runs out.
    pub struct Watchdog: 8 {
        /// 0 starts a new timer, otherwise the number that starting it answered.
        pub id: u32,
        /// In s from now; 0 stops the timer.
        pub timeout: u32,
    }

    /// Pins the calling vCPU, whatever its affinity says. For the hardware domain only.
    pub struct PinOverride: 4 {
        /// The physical CPU; negative to undo.
        pub pcpu: i32,
    }
}

impl Shutdown {
    /// Shuts down for `reason`.
    pub fn new(reason: ShutdownReason) -> Self {
        Self { reason: reason.raw() }
    }
}
