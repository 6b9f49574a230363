//! Operations of a domain on its own vCPUs (`vcpu.h`).

use crate::{Mfn, VirtAddr};

numbers! {
    /// The command of `HYPERVISOR_vcpu_op`, which takes it, the vCPU's number and an argument.
    pub enum VcpuOp: u32 {
        /// Gives a vCPU its first state. Takes a [`crate::context::VcpuGuestContext`].
        Initialise = 0,
        /// Brings an initialised vCPU up.
        Up = 1,
        /// Takes a vCPU down; its state stays.
        Down = 2,
        /// Answers 1 if the vCPU is up, otherwise 0.
        IsUp = 3,
        /// Fills a [`RunstateInfo`].
        GetRunstateInfo = 4,
        /// Takes a [`RegisterMemoryArea`] that Xen keeps a [`RunstateInfo`] in.
        RegisterRunstateMemoryArea = 5,
        /// Takes a [`SetPeriodicTimer`].
        SetPeriodicTimer = 6,
        /// Stops the periodic timer, which runs at 100 Hz when a vCPU starts.
        StopPeriodicTimer = 7,
        /// Takes a [`SetSingleshotTimer`], for the calling vCPU only.
        SetSingleshotTimer = 8,
        /// Stops the one-shot timer of the calling vCPU.
        StopSingleshotTimer = 9,
        /// Takes a [`RegisterVcpuInfo`].
        RegisterVcpuInfo = 10,
        /// Sends a non-maskable interrupt.
        SendNmi = 11,
        /// Fills a [`GetPhysid`].
        GetPhysid = 12,
        /// Takes a [`RegisterMemoryArea`] that Xen keeps a [`crate::shared_info::VcpuTimeInfo`] in.
        RegisterVcpuTimeMemoryArea = 13,
        /// [`VcpuOp::RegisterRunstateMemoryArea`] by physical address. Known from Xen 4.18 on.
        RegisterRunstatePhysArea = 14,
        /// [`VcpuOp::RegisterVcpuTimeMemoryArea`] by physical address. Known from Xen 4.18 on.
        RegisterVcpuTimePhysArea = 15,
    }

    /// What a vCPU is doing.
    pub enum Runstate: i32 {
        /// It has a CPU.
        Running = 0,
        /// It wants one.
        Runnable = 1,
        /// It waits for an event.
        Blocked = 2,
        /// It is down, paused, or its domain is.
        Offline = 3,
    }
}

/// The bit of [`RunstateInfo::state_entry_time`] that is set while Xen updates the record.
pub const RUNSTATE_UPDATE: u64 = 1 << 63;

flags! {
    /// How a one-shot timer is set.
    pub struct SingleshotFlags: u32 {
        /// A time that has passed is an error (`-ETIME`). Only up to Xen 4.17.0: later ones raise the event
        /// at once.
        const FUTURE = 1 << 0;
    }
}

structs! {
    /// What a vCPU is doing, and how it spent its time.
    pub struct RunstateInfo: 48 {
        /// A [`Runstate`].
        pub state: i32,
        /// Zero.
        pub pad: u32,
        /// Since when, in ns of system time.
        pub state_entry_time: u64,
        /// The ns spent in each of the four states.
        pub time: [u64; 4],
    }

    /// Where Xen is to keep a record of the vCPU.
    pub struct RegisterMemoryArea: 8 {
        /// The address; 0 to stop.
        pub addr: VirtAddr,
    }

    /// An event from `VIRQ_TIMER`, again and again.
    pub struct SetPeriodicTimer: 8 {
        /// How often, in ns.
        pub period_ns: u64,
    }

    /// An event from `VIRQ_TIMER`, once.
    pub struct SetSingleshotTimer: 16 {
        /// When, in ns of system time.
        pub timeout_abs_ns: u64,
        /// What if that has passed.
        pub flags: SingleshotFlags,
        /// Zero.
        pub pad: u32,
    }

    /// Moves a vCPU's [`crate::shared_info::VcpuInfo`] to a page of the domain. It cannot be moved again.
    pub struct RegisterVcpuInfo: 16 {
        /// The frame.
        pub mfn: Mfn,
        /// The offset in the page, in bytes.
        pub offset: u32,
        /// Zero.
        pub rsvd: u32,
    }

    /// Out: the CPU that a pinned vCPU of the hardware domain runs on.
    pub struct GetPhysid: 8 {
        /// Its APIC id in the low half, its ACPI id in the high half.
        pub phys_id: u64,
    }
}
