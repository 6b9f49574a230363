//! Which Xen this is (`version.h`, `features.h`), and which of the unstable interfaces it speaks.

use crate::VirtAddr;

numbers! {
    /// The command of `HYPERVISOR_xen_version`.
    pub enum XenVersionOp: u32 {
        /// Answers major << 16 | minor. No argument.
        Version = 0,
        /// What follows the minor version. Fills an [`ExtraVersion`].
        ExtraVersion = 1,
        /// Fills a [`CompileInfo`].
        CompileInfo = 2,
        /// The kinds of kernels that it runs. Fills a [`Capabilities`].
        Capabilities = 3,
        /// Fills a [`Changeset`].
        Changeset = 4,
        /// Fills a [`PlatformParameters`].
        PlatformParameters = 5,
        /// Takes and fills a [`FeatureInfo`].
        GetFeatures = 6,
        /// Answers the size of a page in bytes. No argument.
        Pagesize = 7,
        /// Fills in the calling domain's handle (a UUID).
        GuestHandle = 8,
        /// Xen's command line. Fills a [`CommandLine`].
        CommandLine = 9,
        /// Takes and fills a [`BuildId`]; answers its length in bytes, also without an argument.
        BuildId = 10,
    }
}

flags! {
    /// What this Xen offers the calling domain; also what a kernel says it supports, in its ELF notes.
    pub struct Features: u32 {
        /// Page tables may be written directly.
        const WRITABLE_PAGE_TABLES = 1 << 0;
        /// So may descriptor tables.
        const WRITABLE_DESCRIPTOR_TABLES = 1 << 1;
        /// Xen translates the domain's frames.
        const AUTO_TRANSLATED_PHYSMAP = 1 << 2;
        /// The kernel runs in ring 0.
        const SUPERVISOR_MODE_KERNEL = 1 << 3;
        /// Top page tables may lie above 4 GiB (32-bit).
        const PAE_PGDIR_ABOVE_4GB = 1 << 4;
        /// [`crate::mmu::MmuUpdateKind::PreserveAd`] is there.
        const MMU_PT_UPDATE_PRESERVE_AD = 1 << 5;
        /// Clearing and copying pages by `HYPERVISOR_mmuext_op` is there.
        const HIGHMEM_ASSIST = 1 << 6;
        /// Grant mappings keep the software bits of the entry.
        const GNTTAB_MAP_AVAIL_BITS = 1 << 7;
        /// Events can be delivered by an interrupt vector (HVM).
        const HVM_CALLBACK_VECTOR = 1 << 8;
        /// The clock is safe to use (HVM).
        const HVM_SAFE_PVCLOCK = 1 << 9;
        /// Device interrupts can be event channels (HVM).
        const HVM_PIRQS = 1 << 10;
        /// The domain is, or can be, dom0.
        const DOM0 = 1 << 11;
        /// Memory operations take virtual NUMA nodes.
        const MEMORY_OP_VNODE_SUPPORTED = 1 << 13;
        /// Arm's calling convention.
        const ARM_SMCCC_SUPPORTED = 1 << 14;
        /// The ACPI root may lie anywhere (Linux as PVH).
        const LINUX_RSDP_UNRESTRICTED = 1 << 15;
        /// Frames and machine frames differ.
        const NOT_DIRECT_MAPPED = 1 << 16;
        /// Frames and machine frames are the same.
        const DIRECT_MAPPED = 1 << 17;
        /// The runstate area can be registered by frame. Known from Xen 4.20 on.
        const RUNSTATE_PHYS_AREA = 1 << 18;
        /// So can the clock. Known from Xen 4.20 on.
        const VCPU_TIME_PHYS_AREA = 1 << 19;
        /// The device model sees all writes to MSI-X vector control. Known from Xen 4.20 on.
        const DM_MSIX_ALL_WRITES = 1 << 20;
    }
}

/// The most bytes of a build-id that [`BuildId`] has room for. A SHA-1, as linkers write it, has 20.
pub const BUILD_ID_MAX: usize = 60;

structs! {
    /// What follows the minor version: ".7", for instance.
    pub struct ExtraVersion: 16 {
        /// Text with a closing NUL ([`crate::types::until_nul`]).
        pub text: [u8; 16],
    }

    /// Who compiled this Xen.
    pub struct CompileInfo: 144 {
        /// The compiler, with a closing NUL, as all of these.
        pub compiler: [u8; 64],
        /// By whom.
        pub compile_by: [u8; 16],
        /// At which domain name.
        pub compile_domain: [u8; 32],
        /// When.
        pub compile_date: [u8; 32],
    }

    /// The kinds of kernels that this Xen runs: "xen-3.0-x86_64 hvm-3.0-x86_64" and so on.
    pub struct Capabilities: 1024 {
        /// Text with a closing NUL ([`crate::types::until_nul`]).
        pub text: [u8; 1024],
    }

    /// The commit that this Xen was built from.
    pub struct Changeset: 64 {
        /// Text with a closing NUL ([`crate::types::until_nul`]).
        pub text: [u8; 64],
    }

    /// Xen's command line.
    pub struct CommandLine: 1024 {
        /// Text with a closing NUL ([`crate::types::until_nul`]).
        pub text: [u8; 1024],
    }

    /// Where Xen's part of the address space begins.
    pub struct PlatformParameters: 8 {
        /// Its first address.
        pub virt_start: VirtAddr,
    }

    /// One word of features. There is only word 0.
    pub struct FeatureInfo: 8 {
        /// In: which word.
        pub submap_idx: u32,
        /// Out: the word.
        pub submap: Features,
    }

    /// The identity of the running binary, for livepatches.
    pub struct BuildId: 64 {
        /// In: the room in `buf`, [`BUILD_ID_MAX`].
        pub len: u32,
        /// Out: the build-id. Its length is the hypercall's answer.
        pub buf: [u8; BUILD_ID_MAX],
    }
}

impl BuildId {
    /// Room for a build-id.
    pub fn request() -> Self {
        Self { len: BUILD_ID_MAX as u32, buf: [0; BUILD_ID_MAX] }
    }
}

/// Xen's version, as [`XenVersionOp::Version`] answers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct XenVersion {
    /// 4, for now.
    pub major: u16,
    /// 17, for instance.
    pub minor: u16,
}

impl XenVersion {
    /// Splits the hypercall's answer.
    pub const fn from_answer(answer: u64) -> Self {
        Self { major: (answer >> 16) as u16, minor: answer as u16 }
    }
}

impl core::fmt::Display for XenVersion {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Which form of the unstable interfaces (domctl, sysctl) a Xen speaks.
///
/// Xen refuses a call of the wrong interface version with `-EACCES`. Between two releases the number changes
/// only if a structure does; of what this crate declares, `createdomain` alone differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AbiVersion {
    /// Xen 4.17.
    V4_17,
    /// Xen 4.18.
    V4_18,
    /// Xen 4.19 and 4.20.
    V4_20,
}

impl AbiVersion {
    /// Every version, the oldest first.
    pub const ALL: &[Self] = &[Self::V4_17, Self::V4_18, Self::V4_20];

    /// The form that a release of Xen speaks; none if it is not one that was checked against its headers.
    pub const fn of(xen: XenVersion) -> Option<Self> {
        match (xen.major, xen.minor) {
            (4, 17) => Some(Self::V4_17),
            (4, 18) => Some(Self::V4_18),
            (4, 19 | 20) => Some(Self::V4_20),
            _ => None,
        }
    }

    /// What a domctl states as its interface version.
    pub const fn domctl_interface_version(self) -> u32 {
        match self {
            Self::V4_17 => 0x15,
            Self::V4_18 => 0x16,
            Self::V4_20 => 0x17,
        }
    }

    /// What a sysctl states as its interface version. It is one and the same for all of these, so that only a
    /// domctl (or Xen's release) tells them apart.
    pub const fn sysctl_interface_version(self) -> u32 {
        match self {
            Self::V4_17 | Self::V4_18 | Self::V4_20 => 0x15,
        }
    }
}
