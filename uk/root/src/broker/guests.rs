//! Which domains askers have: making, introducing, destroying them, and what has become of each.

use super::carry_out::{bounded, by_xen};
use super::domains::Guest;
use crate::host::Host;
use crate::loans;
use broker::answer::What;
use broker::{Answer, DomainInfo as Info, DomainState, HostInfo, Outcome, Refusal, VcpuInfo};
use builder::steps::{Create, MAX_VCPUS, TableSizes};
use uk_abi::register::{DOMAINS, Ring, State};
use xen_abi::domctl::{CreateDomain, DomainInfo, DomainInfoFlags, SHUTDOWN_MASK, SHUTDOWN_SHIFT};
use xen_abi::errno::Errno;
use xen_abi::{Domid, GrantRef, Mfn, Port, XenError};

/// Numbers that are tried for a new domain: one is not free as long as somebody holds a page of the domain that had it.
const TRIES: usize = 8;

/// How long a domain is being destroyed by one request, in microseconds: a MiB takes a fifth of a millisecond or so.
const DESTROY_US: u64 = 1_000;

/// Domains that are asked about by one hypercall.
const BATCH: usize = 16;

impl Host {
    pub(super) fn host_info(&self, owner: usize, memory_kib: u64) -> Outcome {
        let physinfo = by_xen(self.control.physinfo())?;
        let (major, minor) = kernel::pv::version::xen_version().unwrap_or_default();
        Ok(Answer::Host(HostInfo {
            free_pages: physinfo.free_pages,
            total_pages: physinfo.total_pages,
            processors: physinfo.nr_cpus,
            xen: (major, minor),
            guest_memory_kib: memory_kib,
            promised_kib: self.broker.domains.promised_kib(owner),
        }))
    }

    pub(super) fn guest_info(&self, domain: Domid) -> Outcome {
        let info = by_xen(self.control.info(domain))?.ok_or(Refusal::xen(Errno::Esrch.into()))?;
        let state = match state_of(&info) {
            State::Gone => DomainState::Dying,
            State::ShutDown { reason } => DomainState::ShutDown { reason },
            State::Running if info.flags.contains(DomainInfoFlags::PAUSED) => DomainState::Paused,
            State::Running => DomainState::Running,
        };
        Ok(Answer::Info(Info {
            state,
            pages: info.tot_pages,
            max_pages: info.max_pages,
            cpu_time_ns: info.cpu_time,
            vcpus: info.nr_online_vcpus,
            shared_info: info.shared_info_frame,
        }))
    }

    pub(super) fn vcpu_info(&self, domain: Domid, vcpu: u32) -> Outcome {
        let info = by_xen(self.control.vcpu_info(domain, vcpu))?;
        Ok(Answer::Vcpu(VcpuInfo {
            online: info.online != 0,
            blocked: info.blocked != 0,
            running: info.running != 0,
            cpu: info.cpu,
            cpu_time_ns: info.cpu_time,
        }))
    }

    pub(super) fn create_guest(
        &mut self,
        owner: usize,
        memory_kib: u64,
        create: &Create,
        weight: u16,
    ) -> Outcome {
        let usual = TableSizes::default();
        let tables = create.tables;
        bounded(What::Vcpus, create.vcpus.into(), MAX_VCPUS.into())?;
        bounded(What::GrantFrames, tables.grant_frames.into(), usual.grant_frames.into())?;
        bounded(What::MaptrackFrames, tables.maptrack_frames.into(), usual.maptrack_frames.into())?;
        bounded(What::Ports, tables.highest_port.into(), usual.highest_port.into())?;
        if let Some(guest) = self.broker.domains.of(owner).find(|guest| guest.handle == create.handle) {
            return Err(Refusal::Exists { domain: guest.domid });
        }
        self.affordable(owner, memory_kib, 0, create.memory_kib)?;
        let domid = self.new_domain(owner, create)?;
        match self.furnish(domid, create, weight) {
            Ok(shared_info) => Ok(Answer::Created { domain: domid, shared_info }),
            Err(error) => {
                // An empty domain goes at once. Refused, it is there to be destroyed by who asked for it.
                if self.control.destroy(domid).is_ok() {
                    self.broker.domains.remove(domid);
                }
                Err(Refusal::xen(error))
            }
        }
    }

    /// Refuses more memory than there may be, beside what is promised but for `instead_of`.
    fn affordable(&self, owner: usize, memory_kib: u64, instead_of: u64, kib: u64) -> Result<(), Refusal> {
        let left_kib = memory_kib.saturating_sub(self.broker.domains.promised_kib(owner) - instead_of);
        if kib <= left_kib { Ok(()) } else { Err(Refusal::Memory { asked_kib: kib, left_kib }) }
    }

    /// Makes a domain under the first number that is free, and notes whose it is before.
    fn new_domain(&mut self, owner: usize, create: &Create) -> Result<Domid, Refusal> {
        let config = CreateDomain {
            handle: create.handle,
            max_vcpus: create.vcpus,
            max_evtchn_port: create.tables.highest_port,
            max_grant_frames: create.tables.grant_frames,
            max_maptrack_frames: create.tables.maptrack_frames,
            ..CreateDomain::PV
        };
        // Components come first.
        let mut number = loans::domid(self.components.len()).0;
        for _ in 0..TRIES {
            let is_free = |number: &u16| self.broker.domains.get(Domid(*number)).is_none();
            let domid = (number..DOMAINS).find(is_free).map(Domid).ok_or(Refusal::NoNumber)?;
            let guest = Guest::new(domid, owner, create.handle, create.memory_kib);
            self.broker.domains.put(guest).map_err(|_| Refusal::NoNumber)?;
            match self.control.create(domid, &config) {
                Ok(()) => return Ok(domid),
                Err(error) => {
                    self.broker.domains.remove(domid);
                    if !error.is(Errno::Eexist) {
                        return Err(Refusal::xen(error));
                    }
                }
            }
            number = domid.0 + 1;
        }
        Err(Refusal::NoNumber)
    }

    fn furnish(&self, domid: Domid, create: &Create, weight: u16) -> Result<Mfn, XenError> {
        let control = &self.control;
        control.set_max_mem(domid, create.memory_kib)?;
        control.set_max_vcpus(domid, create.vcpus)?;
        control.set_tsc(domid, create.tsc)?;
        control.set_weight(domid, weight)?;
        Ok(control.info(domid)?.ok_or(Errno::Esrch)?.shared_info_frame)
    }

    pub(super) fn introduce_guest(
        &mut self,
        domain: Domid,
        frame: Mfn,
        reference: GrantRef,
        port: Port,
    ) -> Outcome {
        let Some(guest) = self.broker.domains.get(domain).copied() else {
            return Err(Refusal::NotYours { domain });
        };
        let ring = Ring { frame: frame.0, reference: reference.0, port: port.0 };
        if guest.introduced {
            let known = self.kept.register().and_then(|register| register.get(domain.0).ok().flatten());
            let is_same = known.is_some_and(|entry| entry.ring == Some(ring));
            return if is_same { Ok(Answer::Done) } else { Err(Refusal::Introduced) };
        }
        // Noted afterwards: a life that ends in between is asked for it once more.
        self.change_register(|register| register.built(domain.0, Some(ring)));
        self.broker.domains.put(Guest { introduced: true, ..guest }).map_err(|_| Refusal::NoNumber)?;
        Ok(Answer::Done)
    }

    pub(super) fn destroy_guest(&mut self, domain: Domid) -> Outcome {
        match self.control.destroy_for(domain, DESTROY_US) {
            Err(error) if error.is(Errno::Eagain) => return Ok(Answer::Again),
            Err(error) if !error.is(Errno::Esrch) => return Err(Refusal::xen(error)),
            _ => {}
        }
        self.change_register(|register| register.became(domain.0, State::Gone));
        self.broker.domains.remove(domain);
        Ok(Answer::Done)
    }

    pub(super) fn set_guest_memory(
        &mut self,
        domain: Domid,
        owner: usize,
        memory_kib: u64,
        kib: u64,
    ) -> Outcome {
        let Some(guest) = self.broker.domains.get(domain).copied() else {
            return Err(Refusal::NotYours { domain });
        };
        self.affordable(owner, memory_kib, guest.memory_kib, kib)?;
        // The greater of both is promised, until Xen has heard of it.
        let most = guest.memory_kib.max(kib);
        self.broker.domains.put(Guest { memory_kib: most, ..guest }).map_err(|_| Refusal::NoNumber)?;
        by_xen(self.control.set_max_mem(domain, kib))?;
        self.broker.domains.put(Guest { memory_kib: kib, ..guest }).map_err(|_| Refusal::NoNumber)?;
        Ok(Answer::Done)
    }

    /// Enters into the register which guests have shut down, and which are there no more.
    pub fn look_after_guests(&mut self) {
        let mut room = [DomainInfo::default(); BATCH];
        let mut next = 0;
        while let Some(first) = self.broker.domains.first_from(next) {
            // Where Xen does not answer, the next crash of anybody asks again.
            let Ok(infos) = self.control.infos(first.domid, &mut room) else { return };
            // Where there is room left, Xen has told of all that there are.
            let is_all = infos.len() < BATCH;
            let end = infos.last().filter(|_| !is_all).map_or(DOMAINS, |last| last.domain.0 + 1);
            next = first.domid.0;
            while let Some(guest) = self.broker.domains.first_from(next)
                && guest.domid.0 < end
            {
                let info = infos.iter().find(|info| info.domain == guest.domid);
                self.note_state(guest, info.map_or(State::Gone, state_of));
                next = guest.domid.0 + 1;
            }
        }
    }

    /// Enters into the register what has become of a guest, and notes its end.
    fn note_state(&mut self, guest: Guest, state: State) {
        let domid = guest.domid.0;
        if !guest.introduced || !self.change_register(|register| register.became(domid, state)) {
            return;
        }
        if let State::ShutDown { reason } = state
            && let Some(owner) = self.components.get(usize::from(guest.owner))
        {
            let name = owner.name;
            self.note(name, format_args!("guest domid={domid} state=shut-down reason={reason}"));
        }
    }

    /// Takes over what the last life has left: which domains there are, Xen knows better than the books.
    pub fn take_over_guests(&mut self) {
        let mut next = 0;
        while let Some(guest) = self.broker.domains.first_from(next) {
            let domid = guest.domid;
            next = domid.0 + 1;
            // Where Xen does not answer, the domain is taken to be there: its owner will find out.
            if let Ok(None) = self.control.info(domid) {
                self.change_register(|register| register.became(domid.0, State::Gone));
                self.broker.domains.remove(domid);
            }
        }
        self.look_after_guests();
    }
}

/// What has become of a domain, as the register says it.
fn state_of(info: &DomainInfo) -> State {
    if info.flags.contains(DomainInfoFlags::DYING) {
        State::Gone
    } else if info.flags.contains(DomainInfoFlags::SHUTDOWN) {
        State::ShutDown { reason: (info.flags.bits() >> SHUTDOWN_SHIFT & SHUTDOWN_MASK) as u8 }
    } else {
        State::Running
    }
}
