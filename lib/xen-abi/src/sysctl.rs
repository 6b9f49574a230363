//! Control of the host (`sysctl.h`): its state, console, CPU pools and schedulers.
//!
//! As a [`crate::domctl::Domctl`], a [`Sysctl`] carries a command, its structure and the interface's version.

use crate::domctl::{Bitmap, SchedulerId};
use crate::payload::Payload;
use crate::{AbiVersion, Domid, GuestHandle};
use zerocopy::{FromBytes, Immutable, IntoBytes};

numbers! {
    /// The command of a [`Sysctl`].
    pub enum SysctlCommand: u32 {
        /// [`ReadConsole`].
        ReadConsole = 1,
        /// The trace buffer.
        TbufOp = 2,
        /// [`Physinfo`].
        Physinfo = 3,
        /// [`SchedId`].
        SchedId = 4,
        /// Xen's counters.
        PerfcOp = 5,
        /// [`GetDomainInfoList`].
        GetDomainInfoList = 6,
        /// [`DebugKeys`].
        DebugKeys = 7,
        /// [`GetCpuInfo`].
        GetCpuInfo = 8,
        /// [`AvailHeap`].
        AvailHeap = 9,
        /// Statistics of power states.
        GetPmstat = 10,
        /// [`CpuHotplug`].
        CpuHotplug = 11,
        /// Power management.
        PmOp = 12,
        /// Takes pages out of use.
        PageOfflineOp = 14,
        /// Lock statistics.
        LockprofOp = 15,
        /// [`CputopoInfo`].
        CputopoInfo = 16,
        /// The NUMA topology.
        NumaInfo = 17,
        /// [`CpupoolOp`].
        CpupoolOp = 18,
        /// [`SchedulerOp`].
        SchedulerOp = 19,
        /// Coverage of Xen's code.
        CoverageOp = 20,
        /// Cache monitoring.
        PsrCmtOp = 21,
        /// The NUMA nodes of devices.
        PcitopoInfo = 22,
        /// Cache allocation.
        PsrAlloc = 23,
        /// What of the CPU's features can be masked.
        GetCpuLevellingCaps = 25,
        /// The CPU's features.
        GetCpuFeatureset = 26,
        /// Livepatches.
        LivepatchOp = 27,
        /// The CPU's features, in detail.
        GetCpuPolicy = 29,
    }

    /// What [`CpuHotplug`] does.
    pub enum CpuHotplugOp: u32 {
        /// Brings a CPU up.
        Online = 0,
        /// Takes it down.
        Offline = 1,
        /// Brings all siblings up.
        SmtEnable = 2,
        /// Takes all siblings down.
        SmtDisable = 3,
    }

    /// The command of a [`CpupoolOp`].
    pub enum CpupoolCommand: u32 {
        /// Makes a pool.
        Create = 1,
        /// Destroys an empty pool.
        Destroy = 2,
        /// Tells about a pool, or the next one with a higher number.
        Info = 3,
        /// Adds a free CPU to a pool.
        AddCpu = 4,
        /// Takes a CPU out of a pool.
        RmCpu = 5,
        /// Moves a domain to a pool.
        MoveDomain = 6,
        /// Tells the CPUs that are in no pool.
        FreeInfo = 7,
    }

    /// The command of a [`SchedulerOp`].
    pub enum SchedulerCommand: u32 {
        /// Sets the parameters.
        PutInfo = 0,
        /// Gets them.
        GetInfo = 1,
    }
}

/// [`CpupoolOp::cpupool_id`] and [`CpupoolOp::cpu`]: any.
pub const CPUPOOL_PAR_ANY: u32 = u32::MAX;

/// The longest rate limit of a scheduler, in us.
pub const SCHED_RATELIMIT_MAX: u32 = 500_000;

/// The shortest rate limit other than none, in us.
pub const SCHED_RATELIMIT_MIN: u32 = 100;

/// The longest time slice of Credit, in ms.
pub const CSCHED_TSLICE_MAX: u32 = 1000;

/// The shortest time slice of Credit, in ms.
pub const CSCHED_TSLICE_MIN: u32 = 1;

/// The longest migration delay of Credit, in us.
pub const CSCHED_MGR_DLY_MAX_US: u32 = 100_000;

flags! {
    /// What the host can do.
    pub struct PhysCaps: u32 {
        /// Run hardware-virtualised domains.
        const HVM = 1 << 0;
        /// Run PV domains.
        const PV = 1 << 1;
        /// Assign devices, through an IOMMU.
        const DIRECTIO = 1 << 2;
        /// Use nested page tables.
        const HAP = 1 << 3;
        /// Use shadow page tables.
        const SHADOW = 1 << 4;
        /// Use one set of page tables for CPU and IOMMU.
        const IOMMU_HAP_PT_SHARE = 1 << 5;
        /// Trace vCPUs.
        const VMTRACE = 1 << 6;
        /// Give domains performance counters.
        const VPMU = 1 << 7;
        /// Grant tables of version 1.
        const GNTTAB_V1 = 1 << 8;
        /// Grant tables of version 2.
        const GNTTAB_V2 = 1 << 9;
    }
}

structs! {
    /// What `HYPERVISOR_sysctl` takes.
    pub struct Sysctl: 136 {
        /// A [`SysctlCommand`].
        pub cmd: u32,
        /// See [`AbiVersion::sysctl_interface_version`].
        pub interface_version: u32,
        /// The command's structure.
        pub u: Payload<16>,
    }

    /// Reads Xen's console ring.
    pub struct ReadConsole: 24 {
        /// Not 0: what is read is removed.
        pub clear: u8,
        /// Not 0: reading starts at `index`.
        pub incremental: u8,
        /// Zero.
        pub pad0: [u8; 2],
        /// In: where to start. Out: where to go on.
        pub index: u32,
        /// The buffer.
        pub buffer: GuestHandle,
        /// In: the buffer's room in bytes. Out: how many were read.
        pub count: u32,
        /// Zero.
        pub pad1: u32,
    }

    /// The host: its CPUs and memory.
    pub struct Physinfo: 112 {
        /// Hardware threads of a core.
        pub threads_per_core: u32,
        /// Cores of a socket.
        pub cores_per_socket: u32,
        /// CPUs that are up.
        pub nr_cpus: u32,
        /// The highest CPU's number.
        pub max_cpu_id: u32,
        /// NUMA nodes that are up.
        pub nr_nodes: u32,
        /// The highest node's number.
        pub max_node_id: u32,
        /// The CPU's frequency.
        pub cpu_khz: u32,
        /// What the host can do.
        pub capabilities: PhysCaps,
        /// Nothing, on x86.
        pub arch_capabilities: u32,
        /// Zero.
        pub pad: u32,
        /// The machine's memory, in pages.
        pub total_pages: u64,
        /// What of it is free.
        pub free_pages: u64,
        /// What of the free is still to be wiped.
        pub scrub_pages: u64,
        /// What of the free is set aside for domains.
        pub outstanding_pages: u64,
        /// The highest frame.
        pub max_mfn: u64,
        /// Words of the CPU's features.
        pub hw_cap: [u32; 8],
    }

    /// Out: the scheduler of the first pool.
    pub struct SchedId: 4 {
        /// A [`crate::domctl::SchedulerId`].
        pub sched_id: u32,
    }

    /// What Xen knows about all domains.
    pub struct GetDomainInfoList: 24 {
        /// In: the lowest number.
        pub first_domain: Domid,
        /// Zero.
        pub pad0: u16,
        /// In: the buffer's room, in entries.
        pub max_domains: u32,
        /// An array of [`crate::domctl::DomainInfo`].
        pub buffer: GuestHandle,
        /// Out: how many there are in the buffer.
        pub num_domains: u32,
        /// Zero.
        pub pad1: u32,
    }

    /// Has Xen do what its console does for these keys.
    pub struct DebugKeys: 16 {
        /// The keys.
        pub keys: GuestHandle,
        /// How many.
        pub nr_keys: u32,
        /// Zero.
        pub pad: u32,
    }

    /// One CPU.
    pub struct CpuInfo: 8 {
        /// How long it was idle, in ns.
        pub idletime: u64,
    }

    /// All CPUs.
    pub struct GetCpuInfo: 24 {
        /// In: the array's room.
        pub max_cpus: u32,
        /// Zero.
        pub pad0: u32,
        /// An array of [`CpuInfo`].
        pub info: GuestHandle,
        /// Out: how many there are in it.
        pub nr_cpus: u32,
        /// Zero.
        pub pad1: u32,
    }

    /// Free memory, of some kind.
    pub struct AvailHeap: 24 {
        /// In: the least bits of an address; 0 for any.
        pub min_bitwidth: u32,
        /// In: the most bits; 0 for any.
        pub max_bitwidth: u32,
        /// In: the node; -1 for all.
        pub node: i32,
        /// Zero.
        pub pad: u32,
        /// Out: in bytes.
        pub avail_bytes: u64,
    }

    /// Brings a CPU up or down.
    pub struct CpuHotplug: 8 {
        /// Which.
        pub cpu: u32,
        /// A [`CpuHotplugOp`].
        pub op: u32,
    }

    /// Where a CPU is.
    pub struct Cputopo: 12 {
        /// Its core.
        pub core: u32,
        /// Its socket.
        pub socket: u32,
        /// Its node.
        pub node: u32,
    }

    /// Where all CPUs are.
    pub struct CputopoInfo: 16 {
        /// In: the array's room. Out: how many there are.
        pub num_cpus: u32,
        /// Zero.
        pub pad: u32,
        /// An array of [`Cputopo`].
        pub cputopo: GuestHandle,
    }

    /// A pool of CPUs with a scheduler of its own.
    pub struct CpupoolOp: 40 {
        /// A [`CpupoolCommand`].
        pub op: u32,
        /// The pool.
        pub cpupool_id: u32,
        /// Its scheduler, a [`crate::domctl::SchedulerId`].
        pub sched_id: u32,
        /// The domain to move.
        pub domid: u32,
        /// The CPU to add or take out.
        pub cpu: u32,
        /// Out: its domains.
        pub n_dom: u32,
        /// Out: its CPUs.
        pub cpumap: Bitmap,
    }

    /// Parameters of Credit.
    pub struct CreditSchedule: 12 {
        /// The time slice, in ms.
        pub tslice_ms: u32,
        /// How long a vCPU runs undisturbed, in us.
        pub ratelimit_us: u32,
        /// How long a vCPU counts as cache-hot, in us.
        pub vcpu_migr_delay_us: u32,
    }

    /// Parameters of Credit2.
    pub struct Credit2Schedule: 4 {
        /// How long a vCPU runs undisturbed, in us; 0 for no such guarantee.
        pub ratelimit_us: u32,
    }

    /// Sets or gets the parameters of a pool's scheduler.
    pub struct SchedulerOp: 32 {
        /// The pool.
        pub cpupool_id: u32,
        /// A [`crate::domctl::SchedulerId`].
        pub sched_id: u32,
        /// A [`SchedulerCommand`].
        pub cmd: u32,
        /// Zero.
        pub pad: u32,
        /// A [`CreditSchedule`] or [`Credit2Schedule`].
        pub u: Payload<2>,
    }
}

impl SchedulerOp {
    /// Sets the parameters of Credit2 in the pool that every CPU is in at first.
    pub fn put_credit2(schedule: Credit2Schedule) -> Self {
        Self {
            cpupool_id: 0,
            sched_id: SchedulerId::Credit2.raw(),
            cmd: SchedulerCommand::PutInfo.raw(),
            pad: 0,
            u: Payload::new(&schedule),
        }
    }
}

impl Sysctl {
    /// A command with its structure. A structure that does not fit does not compile.
    pub fn new<T: IntoBytes + Immutable>(command: SysctlCommand, version: AbiVersion, payload: &T) -> Self {
        Self { u: Payload::new(payload), ..Self::bare(command, version) }
    }

    /// A command whose structure is only an answer.
    pub fn bare(command: SysctlCommand, version: AbiVersion) -> Self {
        Self { cmd: command.raw(), interface_version: version.sysctl_interface_version(), u: Payload::EMPTY }
    }

    /// The command's structure, as Xen left it. A type that does not fit does not compile.
    pub fn payload<T: FromBytes>(&self) -> T {
        self.u.get()
    }
}
