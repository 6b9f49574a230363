//! Control of a domain (`domctl.h`): building, starting, stopping, inspecting and destroying it.
//!
//! A [`Domctl`] carries a command and the structure that belongs to it. Xen refuses one of the wrong
//! interface version, which therefore comes with each ([`AbiVersion`]). Only dom0 may issue most of them.

mod access;
mod create;
mod device;
mod info;
mod memory;
mod scheduler;
mod vcpu;

pub use access::*;
pub use create::*;
pub use device::*;
pub use info::*;
pub use memory::*;
pub use scheduler::*;
pub use vcpu::*;

use crate::payload::Payload;
use crate::{AbiVersion, Domid};
use zerocopy::{FromBytes, Immutable, IntoBytes};

numbers! {
    /// The command of a [`Domctl`].
    pub enum DomctlCommand: u32 {
        /// Makes a domain, paused and without memory: [`CreateDomain`]. `domain` asks for a number, 0 for
        /// any, and tells the number that it got.
        CreateDomain = 1,
        /// Destroys a domain; Xen itself resumes the work where it was preempted. No argument.
        DestroyDomain = 2,
        /// Pauses a domain; pauses count. No argument.
        PauseDomain = 3,
        /// Undoes one pause. No argument.
        UnpauseDomain = 4,
        /// [`DomainInfo`]. If there is no such domain, Xen 4.17 answers for the next one with a higher
        /// number, and later versions with `-ESRCH`: the number in the answer tells.
        GetDomainInfo = 5,
        /// [`VcpuAffinity`].
        SetVcpuAffinity = 9,
        /// [`ShadowOp`].
        ShadowOp = 10,
        /// [`MaxMem`].
        MaxMem = 11,
        /// [`VcpuContext`]. A null handle resets the vCPU: it forgets its page tables, and what it was
        /// blocked in.
        SetVcpuContext = 12,
        /// [`VcpuContext`].
        GetVcpuContext = 13,
        /// [`VcpuInfo`].
        GetVcpuInfo = 14,
        /// [`MaxVcpus`].
        MaxVcpus = 15,
        /// [`SchedulerOp`].
        SchedulerOp = 16,
        /// [`SetDomainHandle`].
        SetDomainHandle = 17,
        /// Whether Xen's debugger may stop the domain.
        SetDebugging = 18,
        /// [`IrqPermission`].
        IrqPermission = 19,
        /// [`IomemPermission`].
        IomemPermission = 20,
        /// [`IoportPermission`].
        IoportPermission = 21,
        /// [`HypercallInit`].
        HypercallInit = 22,
        /// [`SetTimeOffset`].
        SetTimeOffset = 24,
        /// [`VcpuAffinity`].
        GetVcpuAffinity = 25,
        /// Memory for real mode, which Xen no longer does.
        RealModeArea = 26,
        /// Lets a domain that shut down run on. No argument.
        ResumeDomain = 27,
        /// [`SendTrigger`].
        SendTrigger = 28,
        /// [`Subscribe`].
        Subscribe = 29,
        /// [`HvmContext`].
        GetHvmContext = 33,
        /// [`HvmContext`].
        SetHvmContext = 34,
        /// [`AddressSize`].
        SetAddressSize = 35,
        /// [`AddressSize`].
        GetAddressSize = 36,
        /// [`AssignDevice`].
        AssignDevice = 37,
        /// Binds a device interrupt to a translated domain.
        BindPtIrq = 38,
        /// Maps device memory into a translated domain.
        MemoryMapping = 39,
        /// Maps I/O ports into a translated domain.
        IoportMapping = 40,
        /// More of a vCPU's state.
        SetExtVcpuContext = 42,
        /// More of a vCPU's state.
        GetExtVcpuContext = 43,
        /// [`AssignDevice`]: whether it could be assigned.
        TestAssignDevice = 45,
        /// [`SetTarget`].
        SetTarget = 46,
        /// [`AssignDevice`].
        DeassignDevice = 47,
        /// Undoes [`DomctlCommand::BindPtIrq`].
        UnbindPtIrq = 48,
        /// The devices that can only be assigned together.
        GetDeviceGroup = 50,
        /// Single steps.
        DebugOp = 54,
        /// One record of the [`HvmContext`].
        GetHvmContextPartial = 55,
        /// Memory events.
        VmEventOp = 56,
        /// Memory sharing.
        MemSharingOp = 57,
        /// [`TscInfo`].
        GetTscInfo = 59,
        /// [`TscInfo`].
        SetTscInfo = 60,
        /// [`GetPageFrameInfo3`].
        GetPageFrameInfo3 = 61,
        /// The extended state of a vCPU.
        SetVcpuExtState = 62,
        /// The extended state of a vCPU.
        GetVcpuExtState = 63,
        /// Whether memory events need a listener.
        SetAccessRequired = 64,
        /// Checks the table from pages to frames.
        AuditP2m = 65,
        /// [`SetVirqHandler`].
        SetVirqHandler = 66,
        /// Marks a page as broken.
        SetBrokenPageP2m = 67,
        /// The NUMA nodes that a domain prefers.
        SetNodeAffinity = 68,
        /// The NUMA nodes that a domain prefers.
        GetNodeAffinity = 69,
        /// Flushes caches, on Arm.
        CacheFlush = 71,
        /// Model-specific registers of a vCPU.
        GetVcpuMsrs = 72,
        /// Model-specific registers of a vCPU.
        SetVcpuMsrs = 73,
        /// The virtual NUMA topology.
        SetVnumaInfo = 74,
        /// Cache monitoring.
        PsrCmtOp = 75,
        /// Introspection.
        MonitorOp = 77,
        /// Cache allocation.
        PsrAlloc = 78,
        /// Resets Xen's side of a domain whose memory stays. No argument.
        SoftReset = 79,
        /// A virtual UART, on Arm.
        VuartOp = 81,
        /// The CPU's features, as the domain sees them.
        GetCpuPolicy = 82,
        /// The CPU's features, as the domain sees them.
        SetCpuPolicy = 83,
        /// Traces of a vCPU.
        VmtraceOp = 84,
        /// [`PagingMempool`].
        GetPagingMempoolSize = 85,
        /// [`PagingMempool`].
        SetPagingMempoolSize = 86,
    }
}

/// Bytes for the structure of a [`Domctl`].
const WORDS: usize = 16;

structs! {
    /// What `HYPERVISOR_domctl` takes.
    pub struct Domctl: 144 {
        /// A [`DomctlCommand`].
        pub cmd: u32,
        /// See [`AbiVersion::domctl_interface_version`].
        pub interface_version: u32,
        /// The domain.
        pub domain: Domid,
        /// Zero.
        pub pad: [u16; 3],
        /// The command's structure.
        pub u: Payload<WORDS>,
    }
}

impl Domctl {
    /// A command with its structure. A structure that does not fit does not compile.
    pub fn new<T: IntoBytes + Immutable>(
        command: DomctlCommand,
        domain: Domid,
        version: AbiVersion,
        payload: &T,
    ) -> Self {
        Self { u: Payload::new(payload), ..Self::bare(command, domain, version) }
    }

    /// A command without a structure, or one whose structure is only an answer.
    pub fn bare(command: DomctlCommand, domain: Domid, version: AbiVersion) -> Self {
        Self {
            cmd: command.raw(),
            interface_version: version.domctl_interface_version(),
            domain,
            pad: [0; 3],
            u: Payload::EMPTY,
        }
    }

    /// The command's structure, as Xen left it. A type that does not fit does not compile.
    pub fn payload<T: FromBytes>(&self) -> T {
        self.u.get()
    }
}
