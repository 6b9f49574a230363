//! What only root may ask of Xen: other domains' lives, memory and contexts.
//!
//! Each function is one operation of Xen's interface, with its errors; what order they go in is the
//! business of main.

use crate::call;
use pv::Result;
use pv::hypercall::{arg, call as hypercall};
use xen_abi::context::VcpuGuestContext;
use xen_abi::domctl::{
    CreateDomain, Credit, DomainInfo, Domctl, DomctlCommand, MaxMem, MaxVcpus, SchedulerId, SchedulerOp,
    TscInfo, TscMode, VcpuContext, VcpuInfo,
};
use xen_abi::errno::Errno;
use xen_abi::memory::{MemoryOp, MemoryReservation};
use xen_abi::mmu::{Foreign, MmuUpdate, MmuextOp};
use xen_abi::sysctl::{self, Credit2Schedule, GetDomainInfoList, Physinfo, SchedId, Sysctl, SysctlCommand};
use xen_abi::{AbiVersion, Domid, GuestHandle, Hypercall, Mfn};
use zerocopy::{Immutable, IntoBytes};

/// Xen, to one who may control it.
#[derive(Clone, Copy, Debug)]
pub struct Control {
    version: AbiVersion,
    scheduler: SchedulerId,
}

impl Control {
    /// Finds out which form of the interface this Xen speaks, and which scheduler it runs.
    ///
    /// Xen checks the version that each domctl states. (Sysctls have not changed theirs for long, and
    /// so tell nothing.)
    ///
    /// # Errors
    /// Xen's answer to the last form that was tried, if it speaks none of them.
    pub fn probe() -> Result<Self> {
        let mut answer = Err(Errno::Enosys.into());
        for &version in AbiVersion::ALL {
            let mut control = Self { version, scheduler: SchedulerId::Credit2 };
            answer = control.info(Domid::DOM0);
            if answer.is_ok() {
                let found = control.sysctl::<SchedId>(SysctlCommand::SchedId)?;
                control.scheduler = SchedulerId::from_raw(found.sched_id).unwrap_or(SchedulerId::Credit2);
                return Ok(control);
            }
        }
        answer.map(|_| unreachable!("an answer without an error has been returned"))
    }

    /// The form of the interface.
    pub const fn version(&self) -> AbiVersion {
        self.version
    }

    fn sysctl<T: zerocopy::FromBytes>(&self, command: SysctlCommand) -> Result<T> {
        self.order(Sysctl::bare(command, self.version)).map(|sysctl| sysctl.payload())
    }

    fn order(&self, mut sysctl: Sysctl) -> Result<Sysctl> {
        // SAFETY: Xen reads and writes the structure; the commands of this file ask, or say how Xen shares the processor out.
        unsafe { hypercall(Hypercall::Sysctl, [arg(&mut sysctl)]) }?;
        Ok(sysctl)
    }

    fn bare(&self, command: DomctlCommand, domain: Domid) -> Result<Domctl> {
        self.issue(Domctl::bare(command, domain, self.version))
    }

    pub(crate) fn with<T: IntoBytes + Immutable>(
        &self,
        command: DomctlCommand,
        domain: Domid,
        payload: &T,
    ) -> Result<Domctl> {
        self.issue(Domctl::new(command, domain, self.version, payload))
    }

    fn issue(&self, mut domctl: Domctl) -> Result<Domctl> {
        // SAFETY: Xen reads and writes the structure, and what its payload points to, which every
        // caller in this crate keeps alive. They name other domains than root, so that root's own
        // memory and control flow stay what they are.
        unsafe { hypercall(Hypercall::Domctl, [arg(&mut domctl)]) }?;
        Ok(domctl)
    }

    /// Facts about the machine: memory, CPUs, capabilities.
    ///
    /// # Errors
    /// Xen's.
    pub fn physinfo(&self) -> Result<Physinfo> {
        self.sysctl(SysctlCommand::Physinfo)
    }

    /// Creates an empty, paused domain with the number `domain`.
    ///
    /// # Errors
    /// Xen's: EEXIST where the number is taken, be it by a zombie.
    pub fn create(&self, domain: Domid, config: &CreateDomain) -> Result {
        self.issue(config.domctl(domain, self.version)).map(|_| ())
    }

    /// Destroys `domain`: its memory goes back to Xen, its event channels and grant maps are closed.
    ///
    /// # Errors
    /// Xen's.
    pub fn destroy(&self, domain: Domid) -> Result {
        self.bare(DomctlCommand::DestroyDomain, domain).map(|_| ())
    }

    /// Destroys `domain`, but for `most_us` microseconds at most, or a little longer.
    ///
    /// # Errors
    /// EAGAIN where something of it is left, and the same is to be asked for again; Xen's otherwise.
    pub fn destroy_for(&self, domain: Domid, most_us: u64) -> Result {
        let mut domctl = Domctl::bare(DomctlCommand::DestroyDomain, domain, self.version);
        call::domctl_for(&mut domctl, most_us)
    }

    /// Stops the vCPUs of `domain`; calls nest.
    ///
    /// # Errors
    /// Xen's.
    pub fn pause(&self, domain: Domid) -> Result {
        self.bare(DomctlCommand::PauseDomain, domain).map(|_| ())
    }

    /// Takes one [`Self::pause`] back, or starts a domain that has just been created.
    ///
    /// # Errors
    /// Xen's.
    pub fn unpause(&self, domain: Domid) -> Result {
        self.bare(DomctlCommand::UnpauseDomain, domain).map(|_| ())
    }

    /// Lets a domain that has shut down run again.
    ///
    /// # Errors
    /// Xen's.
    pub fn resume(&self, domain: Domid) -> Result {
        self.bare(DomctlCommand::ResumeDomain, domain).map(|_| ())
    }

    /// What Xen knows of `domain`; none where there is no such domain.
    ///
    /// # Errors
    /// Xen's, but for the one that says so.
    pub fn info(&self, domain: Domid) -> Result<Option<DomainInfo>> {
        match self.bare(DomctlCommand::GetDomainInfo, domain) {
            // Xen answers for the next domain where there is none with this number.
            Ok(domctl) => Ok(Some(domctl.payload::<DomainInfo>()).filter(|info| info.domain == domain)),
            Err(error) if error.is(Errno::Esrch) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What Xen knows of the domains from `first` on, as many as there is room for; one hypercall.
    ///
    /// # Errors
    /// Xen's.
    pub fn infos<'a>(&self, first: Domid, room: &'a mut [DomainInfo]) -> Result<&'a [DomainInfo]> {
        let list = GetDomainInfoList {
            first_domain: first,
            max_domains: room.len() as u32,
            buffer: GuestHandle::to_mut(room),
            ..Default::default()
        };
        let mut sysctl = Sysctl::new(SysctlCommand::GetDomainInfoList, self.version, &list);
        // SAFETY: Xen writes at most max_domains entries to `room`, which lives on.
        unsafe { hypercall(Hypercall::Sysctl, [arg(&mut sysctl)]) }?;
        let found = sysctl.payload::<GetDomainInfoList>().num_domains as usize;
        Ok(&room[..found.min(room.len())])
    }

    /// What Xen knows of a vCPU of `domain`: its CPU time, whether it is blocked.
    ///
    /// # Errors
    /// Xen's.
    pub fn vcpu_info(&self, domain: Domid, vcpu: u32) -> Result<VcpuInfo> {
        let asked = VcpuInfo { vcpu, ..VcpuInfo::default() };
        Ok(self.with(DomctlCommand::GetVcpuInfo, domain, &asked)?.payload())
    }

    /// How many pages `domain` may have, in KiB.
    ///
    /// # Errors
    /// Xen's.
    pub fn set_max_mem(&self, domain: Domid, kib: u64) -> Result {
        self.with(DomctlCommand::MaxMem, domain, &MaxMem { max_memkb: kib }).map(|_| ())
    }

    /// How many vCPUs `domain` has.
    ///
    /// # Errors
    /// Xen's.
    pub fn set_max_vcpus(&self, domain: Domid, max: u32) -> Result {
        self.with(DomctlCommand::MaxVcpus, domain, &MaxVcpus { max }).map(|_| ())
    }

    /// Has `domain` read the TSC itself: emulation costs microseconds for each read.
    ///
    /// # Errors
    /// Xen's.
    pub fn set_native_tsc(&self, domain: Domid) -> Result {
        self.with(DomctlCommand::SetTscInfo, domain, &TscInfo::new(TscMode::NeverEmulate)).map(|_| ())
    }

    /// The share of the CPU that `domain` has against others, in units of the credit schedulers
    /// (256 is what every domain starts with).
    ///
    /// # Errors
    /// Xen's: another scheduler, a weight out of range.
    pub fn set_weight(&self, domain: Domid, weight: u16) -> Result {
        let op = SchedulerOp::put_credit(self.scheduler, Credit { weight, cap: 0 });
        self.with(DomctlCommand::SchedulerOp, domain, &op).map(|_| ())
    }

    /// For how long every domain has the processor, in microseconds, before another may take it away: the rate limit of Credit2.
    ///
    /// # Errors
    /// Xen's: another scheduler, a time out of range.
    pub fn set_slice(&self, slice_us: u32) -> Result {
        let op = sysctl::SchedulerOp::put_credit2(Credit2Schedule { ratelimit_us: slice_us });
        self.order(Sysctl::new(SysctlCommand::SchedulerOp, self.version, &op)).map(|_| ())
    }

    /// Sets a vCPU of `domain`, which must not run, to `context`.
    ///
    /// # Errors
    /// Xen's: a context that it does not allow.
    pub fn set_context(&self, domain: Domid, vcpu: u32, context: &VcpuGuestContext) -> Result {
        let payload = VcpuContext { vcpu, pad: 0, ctxt: GuestHandle::to(context) };
        self.with(DomctlCommand::SetVcpuContext, domain, &payload).map(|_| ())
    }

    /// Sets vCPU 0 of `domain` back to what it was before it first ran: blocked in no poll, with
    /// no page tables.
    ///
    /// # Errors
    /// Xen's.
    pub fn reset_vcpu(&self, domain: Domid) -> Result {
        let payload = VcpuContext { vcpu: 0, pad: 0, ctxt: GuestHandle::NULL };
        self.with(DomctlCommand::SetVcpuContext, domain, &payload).map(|_| ())
    }

    /// Gives `domain` one machine-contiguous extent of 2^`order` pages, its pages from `pfn` on.
    /// Answers the first frame.
    ///
    /// # Errors
    /// ENOMEM where Xen has no such extent or the domain may not have it; Xen's own otherwise.
    pub fn populate(&self, domain: Domid, pfn: u64, order: u32) -> Result<Mfn> {
        let mut extent = pfn;
        let mut reservation = MemoryReservation::new(domain, GuestHandle::to_mut(&mut extent), 1, order);
        let op = u64::from(MemoryOp::PopulatePhysmap.raw());
        // SAFETY: Xen reads the structure and the extent, and writes the frame to the extent; the
        // memory is another domain's.
        let done = unsafe { hypercall(Hypercall::MemoryOp, [op, arg(&mut reservation)]) }?;
        if done == 1 { Ok(Mfn(extent)) } else { Err(Errno::Enomem.into()) }
    }

    /// Pins `table` of `domain` as its L4 table: Xen checks all that hangs on it.
    ///
    /// # Errors
    /// Xen's: an entry that is not allowed, a page of the tables that is mapped writable.
    pub fn pin_l4(&self, domain: Domid, table: Mfn) -> Result {
        // SAFETY: root itself does not use these tables.
        unsafe { pv::mmu::ext_op(&MmuextOp::pin_l4(table), domain) }
    }

    /// Changes entries of page tables of `domain`, with frames of its own.
    ///
    /// # Errors
    /// Xen's, for the first entry that it refuses.
    pub fn update_tables(&self, domain: Domid, updates: &[MmuUpdate]) -> Result {
        // SAFETY: the tables are another domain's; root uses none of them.
        unsafe { pv::mmu::update(updates, Foreign { frames: domain, tables: domain }) }
    }
}
