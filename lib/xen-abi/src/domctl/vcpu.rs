//! vCPUs of a domain, their clock and affinity, and what belongs to a domain as a whole.

use super::create::DomainHandle;
use crate::{Domid, GuestHandle, Pfn, Port};

numbers! {
    /// How a domain sees the CPU's time-stamp counter.
    pub enum TscMode: u32 {
        /// Native if that is safe, otherwise emulated.
        Default = 0,
        /// Each read is emulated by Xen.
        AlwaysEmulate = 1,
        /// The CPU's own.
        NeverEmulate = 2,
    }

    /// What [`SendTrigger`] does to a vCPU.
    pub enum Trigger: u32 {
        /// Non-maskable interrupt.
        Nmi = 0,
        /// Reset.
        Reset = 1,
        /// INIT.
        Init = 2,
        /// The power button.
        Power = 3,
        /// The sleep button.
        Sleep = 4,
    }
}

flags! {
    /// Which affinity is meant.
    pub struct AffinityFlags: u32 {
        /// The CPUs that a vCPU may use.
        const HARD = 1 << 0;
        /// Those that it prefers.
        const SOFT = 1 << 1;
        /// Even if it is pinned for the moment.
        const FORCE = 1 << 2;
    }
}

structs! {
    /// A set of numbers, in the caller's memory.
    pub struct Bitmap: 16 {
        /// The bytes.
        pub bitmap: GuestHandle,
        /// How many bits.
        pub nr_bits: u32,
        /// Zero.
        pub pad: u32,
    }

    /// Sets or gets a vCPU's state.
    pub struct VcpuContext: 16 {
        /// Which vCPU.
        pub vcpu: u32,
        /// Zero.
        pub pad: u32,
        /// A [`crate::context::VcpuGuestContext`].
        pub ctxt: GuestHandle,
    }

    /// What Xen knows about a vCPU.
    pub struct VcpuInfo: 24 {
        /// In: which.
        pub vcpu: u32,
        /// Out: not 0 if it is up.
        pub online: u8,
        /// Out: not 0 if it waits for an event.
        pub blocked: u8,
        /// Out: not 0 if it has a CPU.
        pub running: u8,
        /// Zero.
        pub pad0: u8,
        /// Out: its CPU time, in ns.
        pub cpu_time: u64,
        /// Out: the CPU it last had.
        pub cpu: u32,
        /// Zero.
        pub pad1: u32,
    }

    /// The CPUs of a vCPU. Both sets come back as they are in effect.
    pub struct VcpuAffinity: 40 {
        /// Which vCPU.
        pub vcpu: u32,
        /// Which set.
        pub flags: AffinityFlags,
        /// The CPUs that it may use.
        pub cpumap_hard: Bitmap,
        /// The CPUs that it prefers.
        pub cpumap_soft: Bitmap,
    }

    /// Makes the domain's vCPUs.
    pub struct MaxVcpus: 4 {
        /// How many: the count that `createdomain` stated.
        pub max: u32,
    }

    /// Changes a domain's UUID.
    pub struct SetDomainHandle: 16 {
        /// The new one.
        pub handle: DomainHandle,
    }

    /// Has Xen write hypercall stubs into a page.
    pub struct HypercallInit: 8 {
        /// The page, which is a machine frame in a PV domain.
        pub gmfn: Pfn,
    }

    /// Shifts a domain's wall clock.
    pub struct SetTimeOffset: 8 {
        /// In s.
        pub time_offset_seconds: i64,
    }

    /// The width of a PV kernel.
    pub struct AddressSize: 4 {
        /// 32 or 64.
        pub size: u32,
    }

    /// Does something to a vCPU.
    pub struct SendTrigger: 8 {
        /// A [`Trigger`].
        pub trigger: u32,
        /// Which vCPU.
        pub vcpu: u32,
    }

    /// Has the domain send to a port of its own when it suspends, so that the other end learns of it.
    pub struct Subscribe: 4 {
        /// The domain's port.
        pub port: Port,
    }

    /// The state of a hardware-virtualised domain.
    pub struct HvmContext: 16 {
        /// In: the buffer's size. Out: the state's size.
        pub size: u32,
        /// Zero.
        pub pad: u32,
        /// The buffer.
        pub buffer: GuestHandle,
    }

    /// How a domain sees the time-stamp counter.
    pub struct TscInfo: 24 {
        /// A [`TscMode`].
        pub tsc_mode: u32,
        /// Its frequency; 0 for the machine's.
        pub gtsc_khz: u32,
        /// How often the domain was moved.
        pub incarnation: u32,
        /// Zero.
        pub pad: u32,
        /// The domain's age, in ns.
        pub elapsed_nsec: u64,
    }

    /// Lets the domain (that the command names) manage another: map its memory, and more.
    pub struct SetTarget: 2 {
        /// The other.
        pub target: Domid,
    }

    /// Sends a global virtual interrupt to the domain.
    pub struct SetVirqHandler: 4 {
        /// A [`crate::virq::Virq`].
        pub virq: u32,
    }
}

impl TscInfo {
    /// The clock's mode, everything else by default.
    pub fn new(mode: TscMode) -> Self {
        Self { tsc_mode: mode.raw(), ..Self::default() }
    }
}
