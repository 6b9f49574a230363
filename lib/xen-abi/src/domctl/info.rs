//! What Xen knows about a domain.

use super::create::{ArchDomainConfig, DomainHandle};
use crate::sched::ShutdownReason;
use crate::{Domid, Mfn};

flags! {
    /// The state of a domain. Bits 16 to 23 hold the reason of a shutdown.
    pub struct DomainInfoFlags: u32 {
        /// It is being destroyed.
        const DYING = 1 << 0;
        /// It is hardware-virtualised.
        const HVM_GUEST = 1 << 1;
        /// It shut down, crashes included.
        const SHUTDOWN = 1 << 2;
        /// It is paused by a domctl.
        const PAUSED = 1 << 3;
        /// All its vCPUs wait for events.
        const BLOCKED = 1 << 4;
        /// A vCPU of it has a CPU.
        const RUNNING = 1 << 5;
        /// It is paused for the debugger.
        const DEBUGGED = 1 << 6;
        /// It runs XenStore.
        const XS_DOMAIN = 1 << 7;
        /// It has nested page tables.
        const HAP = 1 << 8;
    }
}

/// Where the reason of a shutdown is in [`DomainInfoFlags`].
pub const SHUTDOWN_SHIFT: u32 = 16;

/// The mask of the reason, after shifting.
pub const SHUTDOWN_MASK: u32 = 255;

structs! {
    /// What Xen knows about a domain.
    pub struct DomainInfo: 112 {
        /// Which.
        pub domain: Domid,
        /// Zero.
        pub pad1: u16,
        /// Its state.
        pub flags: DomainInfoFlags,
        /// Its pages.
        pub tot_pages: u64,
        /// The most that it may have.
        pub max_pages: u64,
        /// Pages that are set aside for it.
        pub outstanding_pages: u64,
        /// Pages that it shares.
        pub shr_pages: u64,
        /// Pages that are paged out.
        pub paged_pages: u64,
        /// The frame of its shared info page.
        pub shared_info_frame: Mfn,
        /// The CPU time of all its vCPUs, in ns.
        pub cpu_time: u64,
        /// How many vCPUs are up.
        pub nr_online_vcpus: u32,
        /// The highest vCPU; all ones for none.
        pub max_vcpu_id: u32,
        /// Security label.
        pub ssidref: u32,
        /// UUID.
        pub handle: DomainHandle,
        /// Where it is scheduled.
        pub cpupool: u32,
        /// The width of its addresses.
        pub gpaddr_bits: u8,
        /// Zero.
        pub pad2: [u8; 7],
        /// x86's part of its settings.
        pub arch_config: ArchDomainConfig,
    }
}

impl DomainInfo {
    /// Why the domain shut down: none if it did not, or for a reason that is not known.
    pub fn shutdown_reason(&self) -> Option<ShutdownReason> {
        let reason = (self.flags.bits() >> SHUTDOWN_SHIFT) & SHUTDOWN_MASK;
        if self.flags.contains(DomainInfoFlags::SHUTDOWN) { ShutdownReason::from_raw(reason) } else { None }
    }
}
