//! The page that Xen shares with a domain, and the clock in it (`xen.h`, `arch-x86/xen.h`).
//!
//! Xen writes it at any time: whoever maps it reads and writes its words atomically.

use crate::{Mfn, VirtAddr};

/// The vCPUs whose [`VcpuInfo`] lies in the shared info page; those of further vCPUs must be registered.
pub const LEGACY_MAX_VCPUS: usize = 32;

/// The words of the pending and of the mask bits.
pub const EVENT_WORDS: usize = 64;

/// The event channels of a domain that has not turned to the FIFO interface: ports 0 to 4095.
pub const NR_EVENT_CHANNELS: u32 = EVENT_WORDS as u32 * 64;

structs! {
    /// The page that Xen shares with a domain.
    pub struct SharedInfo: 3136 {
        /// The first vCPUs.
        pub vcpu_info: [VcpuInfo; LEGACY_MAX_VCPUS],
        /// One bit for each port: an event is pending.
        pub evtchn_pending: [u64; EVENT_WORDS],
        /// One bit for each port: no upcall is wanted.
        pub evtchn_mask: [u64; EVENT_WORDS],
        /// Odd while Xen updates the wall clock; differs after each update.
        pub wc_version: u32,
        /// The wall clock at system time 0: seconds since 1970, the low word.
        pub wc_sec: u32,
        /// And nanoseconds.
        pub wc_nsec: u32,
        /// The high word of the seconds.
        pub wc_sec_hi: u32,
        /// What is particular to x86.
        pub arch: ArchSharedInfo,
    }

    /// One vCPU's part of the shared info.
    pub struct VcpuInfo: 64 {
        /// Not 0: an upcall is due.
        pub evtchn_upcall_pending: u8,
        /// Not 0: events do not interrupt the vCPU.
        pub evtchn_upcall_mask: u8,
        /// Zero.
        pub pad: [u8; 6],
        /// One bit for each word of `evtchn_pending` that has news.
        pub evtchn_pending_sel: u64,
        /// What is particular to x86.
        pub arch: ArchVcpuInfo,
        /// The clock.
        pub time: VcpuTimeInfo,
    }

    /// x86's part of a vCPU's info.
    pub struct ArchVcpuInfo: 16 {
        /// The address of the last page fault.
        pub cr2: VirtAddr,
        /// Zero.
        pub pad: u64,
    }

    /// How to turn the CPU's time-stamp counter into system time: ns since Xen booted.
    pub struct VcpuTimeInfo: 32 {
        /// Odd while Xen updates the record; differs after each update.
        pub version: u32,
        /// Zero.
        pub pad0: u32,
        /// The counter at the last update.
        pub tsc_timestamp: u64,
        /// System time at the last update, in ns.
        pub system_time: u64,
        /// ns for each (shifted) tick, as a fraction of 2^32.
        pub tsc_to_system_mul: u32,
        /// By how much ticks are shifted left first; right if negative.
        pub tsc_shift: i8,
        /// What is known of the clock.
        pub flags: ClockFlags,
        /// Zero.
        pub pad1: [u8; 2],
    }

    /// x86's part of the shared info. The domain tells its tools here where its p2m list is.
    pub struct ArchSharedInfo: 48 {
        /// The count of entries in the p2m list.
        pub max_pfn: u64,
        /// The frame of the list of frames of lists of the p2m's frames.
        pub pfn_to_mfn_frame_list_list: Mfn,
        /// Why the last NMI came.
        pub nmi_reason: u64,
        /// The page-table base under which `p2m_vaddr` is valid, in the form of cr3; 0 if it is not used.
        pub p2m_cr3: u64,
        /// The address of the p2m list.
        pub p2m_vaddr: VirtAddr,
        /// Odd while the mapping of the p2m list changes.
        pub p2m_generation: u64,
    }
}

flags! {
    /// What is known of a vCPU's clock.
    pub struct ClockFlags: u8 {
        /// The counters of all CPUs agree.
        const TSC_STABLE = 1 << 0;
        /// The domain was stopped since the flag was cleared.
        const GUEST_STOPPED = 1 << 1;
    }
}

impl VcpuTimeInfo {
    /// System time, in ns, when the CPU's counter reads `tsc`. A counter behind the last update gives that
    /// time.
    ///
    /// The record must be a copy that was not torn: `version` even, and the same before and after copying.
    pub fn system_time_at(&self, tsc: u64) -> u64 {
        let ticks = tsc.saturating_sub(self.tsc_timestamp);
        let shift = u32::from(self.tsc_shift.unsigned_abs());
        let shifted = if self.tsc_shift < 0 {
            u128::from(ticks.checked_shr(shift).unwrap_or(0))
        } else {
            // At most 127 by its type, and at most 31 as Xen sets it: 64 bits and 31 more do not overflow.
            u128::from(ticks) << shift.min(31)
        };
        let ns = (shifted * u128::from(self.tsc_to_system_mul)) >> 32;
        self.system_time.wrapping_add(ns as u64)
    }
}
