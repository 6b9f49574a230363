//! Making a domain: the one structure that differs between the versions of Xen that we know.

use super::{Domctl, DomctlCommand};
use crate::{AbiVersion, Domid};

/// A UUID, which Xen keeps for the domain's tools and does not look at.
pub type DomainHandle = [u8; 16];

flags! {
    /// What kind of domain it is to be. None: PV.
    pub struct CreateFlags: u32 {
        /// Hardware-virtualised.
        const HVM = 1 << 0;
        /// With nested page tables.
        const HAP = 1 << 1;
        /// Memory is checked across sleep.
        const S3_INTEGRITY = 1 << 2;
        /// Shadow page tables stay in sync.
        const OOS_OFF = 1 << 3;
        /// The domain runs XenStore, and may learn about all domains.
        const XS_DOMAIN = 1 << 4;
        /// Devices can be assigned to it. `-EINVAL` without an IOMMU.
        const IOMMU = 1 << 5;
        /// It may run virtual machines of its own.
        const NESTED_VIRT = 1 << 6;
        /// It has performance counters.
        const VPMU = 1 << 7;
    }

    /// How its devices see memory.
    pub struct IommuOptions: u32 {
        /// With page tables of their own.
        const NO_SHAREPT = 1 << 0;
    }

    /// The devices that Xen emulates for it. None for PV.
    pub struct EmulationFlags: u32 {
        /// Local APIC.
        const LAPIC = 1 << 0;
        /// High-precision timer.
        const HPET = 1 << 1;
        /// Power management timer.
        const PM = 1 << 2;
        /// Clock.
        const RTC = 1 << 3;
        /// I/O APIC.
        const IOAPIC = 1 << 4;
        /// Interrupt controller.
        const PIC = 1 << 5;
        /// VGA.
        const VGA = 1 << 6;
        /// IOMMU.
        const IOMMU = 1 << 7;
        /// Timer. dom0 gets it even as PV.
        const PIT = 1 << 8;
        /// Device interrupts as event channels.
        const USE_PIRQ = 1 << 9;
        /// PCI configuration space.
        const VPCI = 1 << 10;
    }

    /// Further settings of x86.
    pub struct MiscFlags: u32 {
        /// Unknown model-specific registers read as 0.
        const MSR_RELAXED = 1 << 0;
    }
}

structs! {
    /// x86's part of a domain's settings.
    pub struct ArchDomainConfig: 8 {
        /// What Xen emulates.
        pub emulation_flags: EmulationFlags,
        /// Further settings.
        pub misc_flags: MiscFlags,
    }

    /// `createdomain` in the interface versions 0x15 and 0x16. Written by [`CreateDomain::domctl`].
    pub struct CreateDomainV15: 64 {
        /// Security label.
        pub ssidref: u32,
        /// UUID.
        pub handle: DomainHandle,
        /// Kind of domain.
        pub flags: CreateFlags,
        /// How its devices see memory.
        pub iommu_opts: IommuOptions,
        /// The most vCPUs.
        pub max_vcpus: u32,
        /// The highest port.
        pub max_evtchn_port: u32,
        /// The most frames of its grant table; negative for Xen's default.
        pub max_grant_frames: i32,
        /// The most frames of records of its grant mappings; negative for Xen's default.
        pub max_maptrack_frames: i32,
        /// The highest version of its grant table, in the lowest 4 bits.
        pub grant_opts: u32,
        /// Bytes of a trace buffer.
        pub vmtrace_size: u32,
        /// Where it is scheduled.
        pub cpupool_id: u32,
        /// x86's part.
        pub arch: ArchDomainConfig,
    }

    /// `createdomain` in the interface version 0x17. Written by [`CreateDomain::domctl`].
    pub struct CreateDomainV17: 68 {
        /// Security label.
        pub ssidref: u32,
        /// UUID.
        pub handle: DomainHandle,
        /// Kind of domain.
        pub flags: CreateFlags,
        /// How its devices see memory.
        pub iommu_opts: IommuOptions,
        /// The most vCPUs.
        pub max_vcpus: u32,
        /// The highest port.
        pub max_evtchn_port: u32,
        /// The most frames of its grant table; negative for Xen's default.
        pub max_grant_frames: i32,
        /// The most frames of records of its grant mappings; negative for Xen's default.
        pub max_maptrack_frames: i32,
        /// The highest version of its grant table, in the lowest 4 bits.
        pub grant_opts: u32,
        /// Alternate views of its memory: 0 for none.
        pub altp2m_opts: u32,
        /// Bytes of a trace buffer.
        pub vmtrace_size: u32,
        /// Where it is scheduled.
        pub cpupool_id: u32,
        /// x86's part.
        pub arch: ArchDomainConfig,
    }
}

/// A domain to be made, whatever the version of Xen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreateDomain {
    /// UUID.
    pub handle: DomainHandle,
    /// Kind of domain.
    pub flags: CreateFlags,
    /// The most vCPUs.
    pub max_vcpus: u32,
    /// The highest port.
    pub max_evtchn_port: u32,
    /// The most frames of its grant table, 512 entries each.
    pub max_grant_frames: u16,
    /// The most frames of records of its grant mappings, 256 mappings each.
    pub max_maptrack_frames: u16,
    /// The highest version of its grant table: 1 or 2. 0 is refused.
    pub grant_version: u8,
    /// The pool of CPUs that it is scheduled on.
    pub cpupool_id: u32,
    /// What Xen emulates.
    pub emulation_flags: EmulationFlags,
}

impl CreateDomain {
    /// A PV domain of one vCPU, with a version 1 grant table of 4 frames and room for 1024 mappings.
    pub const PV: Self = Self {
        handle: [0; 16],
        flags: CreateFlags::empty(),
        max_vcpus: 1,
        max_evtchn_port: 1023,
        max_grant_frames: 4,
        max_maptrack_frames: 4,
        grant_version: 1,
        cpupool_id: 0,
        emulation_flags: EmulationFlags::empty(),
    };

    /// The command that makes the domain under the number `domid`, or under a free one if that is 0.
    pub fn domctl(&self, domid: Domid, version: AbiVersion) -> Domctl {
        const CREATE: DomctlCommand = DomctlCommand::CreateDomain;
        match version {
            AbiVersion::V4_17 | AbiVersion::V4_18 => Domctl::new(CREATE, domid, version, &self.v15()),
            AbiVersion::V4_20 => Domctl::new(CREATE, domid, version, &self.v17()),
        }
    }

    fn v15(&self) -> CreateDomainV15 {
        CreateDomainV15 {
            handle: self.handle,
            flags: self.flags,
            max_vcpus: self.max_vcpus,
            max_evtchn_port: self.max_evtchn_port,
            max_grant_frames: i32::from(self.max_grant_frames),
            max_maptrack_frames: i32::from(self.max_maptrack_frames),
            grant_opts: u32::from(self.grant_version),
            cpupool_id: self.cpupool_id,
            arch: self.arch(),
            ..Default::default()
        }
    }

    fn v17(&self) -> CreateDomainV17 {
        CreateDomainV17 {
            handle: self.handle,
            flags: self.flags,
            max_vcpus: self.max_vcpus,
            max_evtchn_port: self.max_evtchn_port,
            max_grant_frames: i32::from(self.max_grant_frames),
            max_maptrack_frames: i32::from(self.max_maptrack_frames),
            grant_opts: u32::from(self.grant_version),
            cpupool_id: self.cpupool_id,
            arch: self.arch(),
            ..Default::default()
        }
    }

    fn arch(&self) -> ArchDomainConfig {
        ArchDomainConfig { emulation_flags: self.emulation_flags, misc_flags: MiscFlags::empty() }
    }
}
