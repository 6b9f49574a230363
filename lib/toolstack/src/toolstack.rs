//! All VMs of a host, and what drives them.

mod advance;
mod inform;
mod operate;
mod recover;

pub use inform::{DeviceInfo, VmInfo};
pub use operate::Refused;

use crate::broker::Broker;
use crate::changes::Changes;
use crate::journal::Record;
use crate::phase::{Event, StopReason};
use crate::vm::{Clearing, Vm};
use crate::world::{Host, World};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use broker::DomainState;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::Poll;
use uk_abi::register::{Register, State};
use xen_abi::Domid;
use xenstore_session::{Error, Session};
use xlcfg::{Config, OnEvent};

/// How soon after its start a guest crashes that will crash again.
const SOON_US: u64 = 60_000_000;

/// How often in a row a guest may crash so soon and is started anew.
const MAX_CRASHES: u32 = 3;

/// The toolstack of a host.
pub struct Toolstack<'a, W: World> {
    world: &'a W,
    host: Host,
    session: Session<'a, W::StoreBell>,
    broker: &'a Broker<W::Words, W::RootBell>,
    register: Register<W::Words>,
    /// The count of the register's changes when it was looked at last.
    changes: Option<u64>,
    vms: Vec<Vm<'a>>,
    /// A VM is in another phase since the last wait, in which something may be done at once.
    has_moved: bool,
    /// Counts the UUIDs that were made up in this life.
    made_up: u64,
}

impl<'a, W: World> Toolstack<'a, W> {
    /// Waits until there is something to do: a job of root's is done, a node has changed, a domain's state has, or a time has
    /// come. Root's doorbell may also ring for the caller.
    ///
    /// # Errors
    /// XenStore's.
    pub async fn wait(&mut self) -> Result<(), Error> {
        if core::mem::take(&mut self.has_moved) {
            return Ok(());
        }
        let deadline = self.vms.iter().filter_map(Vm::deadline_us).min();
        let world = self.world;
        let mut timer = pin!(async {
            match deadline {
                Some(deadline) => world.wait_until(deadline).await,
                None => core::future::pending().await,
            }
        });
        let mut event = pin!(self.session.event());
        let mut rung = pin!(self.broker.rung());
        let (vms, register, changes) = (&mut self.vms, &self.register, self.changes);
        poll_fn(|context| {
            let mut is_ready = changes != Some(register.changes());
            for vm in vms.iter_mut() {
                if let Some(job) = &mut vm.job
                    && let Poll::Ready(done) = job.as_mut().poll(context)
                {
                    (vm.job, vm.done) = (None, Some(done));
                    is_ready = true;
                }
            }
            // What has changed is read when it is needed.
            if let Poll::Ready(event) = event.as_mut().poll(context) {
                return Poll::Ready(event.map(|_| ()).map_err(Error::Lost));
            }
            is_ready |= rung.as_mut().poll(context).is_ready() || timer.as_mut().poll(context).is_ready();
            if is_ready { Poll::Ready(Ok(())) } else { Poll::Pending }
        })
        .await
    }

    /// Does what there is to do.
    ///
    /// # Errors
    /// XenStore's.
    pub async fn turn(&mut self) -> Result<(), Error> {
        self.follow_register().await?;
        let mut index = 0;
        while index < self.vms.len() {
            self.advance(index).await?;
            if self.vms[index].record.phase == crate::Phase::Forgotten {
                self.vms.remove(index);
            } else {
                index += 1;
            }
        }
        Ok(())
    }

    /// Where each VM is: its name, its phase, its domain.
    pub fn list(&self) -> impl Iterator<Item = (&str, crate::Phase, Option<Domid>)> {
        self.vms.iter().map(|vm| (&*vm.record.name, vm.record.phase, vm.domid()))
    }

    /// Looks at what has become of domains, if the register says that there is something new.
    async fn follow_register(&mut self) -> Result<(), Error> {
        let changes = self.register.changes();
        if self.changes.replace(changes) == Some(changes) {
            return Ok(());
        }
        for index in 0..self.vms.len() {
            let vm = &self.vms[index];
            let Some(domid) = vm.domid().filter(|_| vm.record.phase.has_domain()) else { continue };
            let entry = self.register.get(domid.0);
            if !entry.is_ok_and(|entry| entry.is_some_and(|entry| entry.state == State::Running)) {
                self.look_at(index, domid).await?;
            }
        }
        Ok(())
    }

    /// Asks root what has become of a domain, and draws the consequences.
    async fn look_at(&mut self, index: usize, domid: Domid) -> Result<(), Error> {
        match self.broker.info(domid).await {
            Ok(Some(info)) => match info.state {
                DomainState::ShutDown { reason } => {
                    self.has_stopped(index, StopReason::from_xen(reason)).await?
                }
                DomainState::Dying => self.enter(index, Event::Gone).await?,
                DomainState::Running | DomainState::Paused => {}
            },
            Ok(None) => self.enter(index, Event::Gone).await?,
            Err(refusal) => log::warn!("{}: {domid}: {refusal}", self.vms[index].record.name),
        }
        Ok(())
    }

    /// A guest has stopped: its configuration says what comes next.
    async fn has_stopped(&mut self, index: usize, reason: StopReason) -> Result<(), Error> {
        let now_us = self.world.now_us();
        let vm = &mut self.vms[index];
        let mut action = match reason {
            StopReason::PowerOff => vm.config.on_poweroff,
            StopReason::Reboot => vm.config.on_reboot,
            StopReason::Suspend => OnEvent::Preserve,
            StopReason::Crash => vm.config.on_crash,
            StopReason::Watchdog => vm.config.on_watchdog,
        };
        if vm.record.phase.after(Event::Stopped { reason, action }).is_none() {
            return Ok(());
        }
        log::info!("{} has stopped: {reason}", vm.record.name);
        let starts = &mut vm.record.starts;
        let has_failed = matches!(reason, StopReason::Crash | StopReason::Watchdog);
        let is_soon = now_us < starts.last_us.saturating_add(SOON_US);
        starts.crashes = if has_failed && is_soon { starts.crashes + 1 } else { has_failed.into() };
        let starts_again = matches!(action, OnEvent::Restart | OnEvent::RenameRestart);
        if starts_again && starts.crashes > MAX_CRASHES {
            log::error!("{} crashes again and again: it is kept, and not started anew", vm.record.name);
            action = OnEvent::Preserve;
        }
        let mut changes = Changes::new();
        vm.record.enter_starts(&mut changes);
        let mut successor = None;
        if action == OnEvent::RenameRestart {
            let name = vm.record.name.clone();
            let kept = self.free_name(&name);
            let uuid = self.make_up_uuid(&name);
            let vm = &mut self.vms[index];
            vm.record.name = kept;
            vm.record.enter_name(&mut changes);
            if let Some(domid) = vm.domid() {
                crate::layout::rename(domid, vm.record.uuid, &vm.record.name, &mut changes);
            }
            let record = Record {
                uuid,
                name,
                phase: crate::Phase::Building,
                domain: None,
                leaving: Vec::new(),
                ..vm.record.clone()
            };
            record.enter(&mut changes);
            successor = Some(Vm::new(record, vm.config.clone()));
        }
        self.enter_with(index, Event::Stopped { reason, action }, changes).await?;
        self.vms.extend(successor);
        Ok(())
    }

    /// A name like this one that no VM has.
    fn free_name(&self, name: &str) -> String {
        let is_free = |name: &String| self.find(name).is_none();
        (1..).map(|number: u32| format!("{name}-{number}")).find(is_free).unwrap_or_default()
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.vms.iter().position(|vm| vm.record.name == name)
    }

    /// A UUID that no VM has.
    fn make_up_uuid(&mut self, name: &str) -> crate::Uuid {
        loop {
            self.made_up += 1;
            let uuid = crate::Uuid::made_up(name, self.world.now_us() ^ self.made_up << 48);
            if self.vms.iter().all(|vm| vm.record.uuid != uuid) {
                return uuid;
            }
        }
    }

    /// Journals the phase after `event`, if that means something where the VM is.
    async fn enter(&mut self, index: usize, event: Event) -> Result<(), Error> {
        self.enter_with(index, event, Changes::new()).await
    }

    /// Journals the phase after `event` together with other changes.
    async fn enter_with(&mut self, index: usize, event: Event, mut changes: Changes) -> Result<(), Error> {
        let vm = &mut self.vms[index];
        let Some(phase) = vm.record.phase.after(event) else { return Ok(()) };
        vm.record.phase = phase;
        vm.record.enter_phase(&mut changes);
        self.make(changes).await?;
        let vm = &mut self.vms[index];
        // What was under way for the phase before has no meaning any more.
        (vm.job, vm.done, vm.clearing) = (None, None, Clearing::Begin);
        self.has_moved = true;
        match vm.domid() {
            Some(domid) => log::info!("{}: {phase}, {domid}", vm.record.name),
            None => log::info!("{}: {phase}", vm.record.name),
        }
        Ok(())
    }

    /// Makes changes of XenStore, which is a step of the journal.
    async fn make(&mut self, changes: Changes) -> Result<(), Error> {
        self.world.step();
        changes.commit(&mut self.session).await?;
        self.world.step();
        Ok(())
    }

    /// The configuration of a guest of the description, if it can be had.
    fn config(&self, guest: &str) -> Option<Config> {
        let Some(text) = self.world.config(guest) else {
            log::error!("{guest}: the system description has no such guest");
            return None;
        };
        self.read_config(guest, &text)
    }

    /// The configuration that a text is, if it is one.
    fn read_config(&self, whose: &str, text: &str) -> Option<Config> {
        Config::read(text).inspect_err(|mistake| log::error!("{whose}: its configuration: {mistake}")).ok()
    }
}
