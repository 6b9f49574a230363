//! What is done for a VM in each phase.

use super::Toolstack;
use crate::boot::{self, build};
use crate::changes::Changes;
use crate::journal::{DeviceId, DeviceRecord, DomainRecord};
use crate::layout::{self, Device};
use crate::phase::{Event, Phase};
use crate::vm::{Clearing, Done};
use crate::world::World;
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use broker::{Answer, DomainState, Refusal, Request};
use uk_abi::Words;
use xen_abi::Domid;
use xen_abi::domctl::DomainHandle;
use xen_abi::grant_table::RESERVED_XENSTORE;
use xen_abi::xenbus::XenbusState;
use xenstore_session::{Doorbell, Error, Transaction};

/// How long backends have to let go of a device, as with libxl. One that is being revived is back long before.
pub(super) const DEVICE_PATIENCE_US: u64 = 10_000_000;

/// Until something is tried again that root has refused.
const RETRY_US: u64 = 1_000_000;

impl<W: World> Toolstack<'_, W> {
    /// Does for a VM what there is to do where it is.
    pub(super) async fn advance(&mut self, index: usize) -> Result<(), Error> {
        match self.vms[index].record.phase {
            Phase::Building => self.go_on_building(index).await,
            Phase::Starting => self.set_going(index).await,
            Phase::Stopping { deadline_us, .. } if self.world.now_us() >= deadline_us => {
                log::warn!("{}: its time to stop is over", self.vms[index].record.name);
                self.enter(index, Event::Late).await
            }
            Phase::Running | Phase::Paused | Phase::Stopping { .. } | Phase::Preserved { .. } => {
                self.take_devices_away(index).await
            }
            Phase::Destroying { .. } => self.go_on_clearing(index).await,
            Phase::Forgotten => Ok(()),
        }
    }

    async fn go_on_building(&mut self, index: usize) -> Result<(), Error> {
        let vm = &mut self.vms[index];
        match vm.done.take() {
            Some(Done::Built(Ok(domain))) => self.has_been_built(index, domain).await,
            Some(Done::Built(Err(error))) => {
                log::error!("{}: {error}", vm.record.name);
                self.enter(index, Event::Failed).await
            }
            Some(Done::Destroyed(_)) | None if vm.job.is_some() => Ok(()),
            Some(Done::Destroyed(_)) | None => self.begin_building(index).await,
        }
    }

    async fn begin_building(&mut self, index: usize) -> Result<(), Error> {
        let (world, broker, host) = (self.world, self.broker, self.host);
        let vm = &mut self.vms[index];
        let (name, guest) = (&vm.record.name, &vm.record.guest);
        let ramdisk = match (&vm.config.ramdisk, world.ramdisk(guest)) {
            (Some(path), None) => Err(("ramdisk", path)),
            (_, ramdisk) => Ok(ramdisk.unwrap_or_default()),
        };
        let kernel = world.kernel(guest).ok_or(("kernel", &vm.config.kernel));
        match (kernel, ramdisk) {
            (Ok(kernel), Ok(ramdisk)) => {
                let (config, handle) = (vm.config.clone(), vm.record.uuid.0);
                vm.job = Some(Box::pin(async move {
                    let params = boot::params(&config, ramdisk, handle, host.store, host.own);
                    let place = |bytes: &[u8]| world.place(bytes);
                    Done::Built(build(broker, kernel, &params, config.cpu_weight, place).await)
                }));
                Ok(())
            }
            (Err((what, path)), _) | (_, Err((what, path))) => {
                log::error!("{name}: there is no {what} {path}");
                self.enter(index, Event::Failed).await
            }
        }
    }

    /// Gives XenStore all nodes of a domain that has been built.
    async fn has_been_built(&mut self, index: usize, built: DomainRecord) -> Result<(), Error> {
        let vm = &mut self.vms[index];
        vm.record.domain = Some(built);
        let config = &vm.config;
        let mut changes = Changes::new();
        layout::domain(
            &layout::Domain {
                domid: built.domid,
                uuid: vm.record.uuid,
                name: &vm.record.name,
                target_kib: config.memory_mib << 10,
                most_kib: config.most_memory_mib << 10,
                vcpus: config.vcpus,
                most_vcpus: config.most_vcpus,
                store: built.store,
                console: built.console,
                console_server: self.host.own,
                kernel: &config.kernel,
                ramdisk: config.ramdisk.as_deref(),
                cmdline: &config.cmdline,
                started_us: self.world.now_us(),
            },
            &mut changes,
        );
        for (id, record) in &vm.record.devices {
            if let Some(device) = vm.device(*id, &self.host) {
                add_device(&device, record, vm.record.uuid.mac(id.1), &mut changes);
            }
        }
        vm.record.starts.last_us = self.world.now_us();
        vm.record.enter_starts(&mut changes);
        vm.record.enter_domain(&mut changes);
        self.enter_with(index, Event::Built, changes).await
    }

    /// Lets a domain run that has everything it needs; perhaps it runs already.
    async fn set_going(&mut self, index: usize) -> Result<(), Error> {
        let vm = &self.vms[index];
        let Some(DomainRecord { domid, store, console }) = vm.record.domain else {
            return self.enter(index, Event::Gone).await;
        };
        let introduce = Request::Introduce {
            domain: domid,
            frame: store.frame,
            reference: RESERVED_XENSTORE,
            port: store.port,
        };
        self.world.open_console(domid, console);
        let started = match self.broker.ask(&introduce).await {
            Ok(_) => self.make_it_run(domid, true).await,
            Err(refusal) => Err(refusal),
        };
        match started {
            Ok(()) => self.enter(index, Event::Started).await,
            Err(Refusal::NotYours { .. }) => self.enter(index, Event::Gone).await,
            Err(refusal) => {
                log::error!("{}: it cannot be started: {refusal}", self.vms[index].record.name);
                self.enter(index, Event::Failed).await
            }
        }
    }

    /// Has a domain run or be paused, whatever it does now. One that has stopped stays as it is.
    pub(super) async fn make_it_run(&self, domain: Domid, run: bool) -> Result<(), Refusal> {
        loop {
            let info = self.broker.info(domain).await?.ok_or(Refusal::NotYours { domain })?;
            let request = match info.state {
                DomainState::Paused if run => Request::Unpause { domain },
                DomainState::Running if !run => Request::Pause { domain },
                _ => return Ok(()),
            };
            match self.broker.ask(&request).await {
                // Whether it was done is seen at the next look.
                Ok(_) | Err(Refusal::Interrupted) => {}
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// Takes devices away whose backends have let go, or whose time is over.
    async fn take_devices_away(&mut self, index: usize) -> Result<(), Error> {
        for id in self.vms[index].record.leaving.clone() {
            let vm = &mut self.vms[index];
            let now_us = self.world.now_us();
            let deadline_us = *vm.leaving.entry(id).or_insert(now_us + DEVICE_PATIENCE_US);
            let Some(device) = vm.device(id, &self.host) else { continue };
            let has_let_go = self.has_let_go(&device).await?;
            if !has_let_go && now_us < deadline_us {
                continue;
            }
            let vm = &mut self.vms[index];
            if !has_let_go {
                log::warn!(
                    "{}: {} is taken away although it is in use",
                    vm.record.name,
                    device.backend_path()
                );
            }
            vm.record.leaving.retain(|leaving| *leaving != id);
            vm.leaving.remove(&id);
            let is_last = vm.devices(&self.host).all(|((kind, _), _)| kind != id.0);
            let mut changes = Changes::new();
            device.remove(is_last, &mut changes);
            vm.record.enter_left(id, &mut changes);
            self.make(changes).await?;
            log::info!("{}: {} {} is gone", self.vms[index].record.name, id.0, id.1);
        }
        Ok(())
    }

    /// Whether a device's backend has let go of it: it is closed, or its directory is gone.
    async fn has_let_go(&mut self, device: &Device) -> Result<bool, Error> {
        let state = self.session.find(Transaction::NONE, &format!("{}/state", device.backend_path())).await?;
        let closed = XenbusState::Closed.raw();
        Ok(state.is_none_or(|state| {
            core::str::from_utf8(&state).ok().and_then(|text| text.parse().ok()) == Some(closed)
        }))
    }

    /// Takes away what there is of a VM, first what others have of it, then its nodes, then its domain.
    async fn go_on_clearing(&mut self, index: usize) -> Result<(), Error> {
        let vm = &mut self.vms[index];
        match (vm.clearing, vm.done.take()) {
            (Clearing::Begin, _) => self.begin_clearing(index).await,
            (Clearing::Devices { deadline_us }, _) => {
                let devices: Vec<_> = vm.devices(&self.host).collect();
                for (_, device) in &devices {
                    if self.world.now_us() < deadline_us && !self.has_let_go(device).await? {
                        return Ok(());
                    }
                }
                self.clear_nodes(index).await
            }
            (Clearing::Domain, Some(Done::Destroyed(Ok(())))) => self.enter(index, Event::Cleared).await,
            (Clearing::Domain, Some(Done::Destroyed(Err(refusal)))) => {
                log::error!("{}: its domain cannot be destroyed: {refusal}", vm.record.name);
                vm.clearing = Clearing::Again { at_us: self.world.now_us() + RETRY_US };
                Ok(())
            }
            (Clearing::Again { at_us }, _) if self.world.now_us() >= at_us => {
                self.destroy_domain(index);
                Ok(())
            }
            (Clearing::Domain | Clearing::Again { .. }, _) => Ok(()),
        }
    }

    /// Stops the guest for good, and has its devices' backends let go.
    async fn begin_clearing(&mut self, index: usize) -> Result<(), Error> {
        let Some(domid) = self.vms[index].domid() else {
            return self.clear_nodes(index).await;
        };
        // One that does not run any more, or is not there, need not be stopped.
        if let Err(refusal) = self.make_it_run(domid, false).await
            && !matches!(refusal, Refusal::NotYours { .. })
        {
            log::warn!("{}: {domid} cannot be paused: {refusal}", self.vms[index].record.name);
        }
        let mut changes = Changes::new();
        changes.remove(format!("{}/device", layout::home(domid)));
        let devices: Vec<_> = self.vms[index].devices(&self.host).collect();
        for (_, device) in &devices {
            if !self.has_let_go(device).await? {
                device.close(&mut changes);
            }
        }
        self.make(changes).await?;
        let deadline_us = self.world.now_us() + DEVICE_PATIENCE_US;
        self.vms[index].clearing = Clearing::Devices { deadline_us };
        Box::pin(self.go_on_clearing(index)).await
    }

    /// Takes all nodes of a domain away, with what the journal says of it, and begins to destroy it.
    async fn clear_nodes(&mut self, index: usize) -> Result<(), Error> {
        let vm = &mut self.vms[index];
        if let Some(domid) = vm.domid() {
            self.world.close_console(domid);
            let mut changes = Changes::new();
            for (_, device) in vm.devices(&self.host) {
                device.remove(true, &mut changes);
            }
            layout::remove_domain(domid, vm.record.uuid, &mut changes);
            for id in core::mem::take(&mut vm.record.leaving) {
                vm.record.enter_left(id, &mut changes);
            }
            vm.leaving.clear();
            vm.record.domain = None;
            vm.record.enter_domain(&mut changes);
            self.make(changes).await?;
        }
        self.destroy_domain(index);
        Ok(())
    }

    fn destroy_domain(&mut self, index: usize) {
        let broker = self.broker;
        let vm = &mut self.vms[index];
        let handle = vm.record.uuid.0;
        vm.clearing = Clearing::Domain;
        vm.job = Some(Box::pin(async move { Done::Destroyed(destroy(broker, handle).await) }));
    }
}

/// Destroys the domain with this handle, if there is one.
pub(super) async fn destroy<W: Words, B: Doorbell>(
    broker: &crate::Broker<W, B>,
    handle: DomainHandle,
) -> Result<(), Refusal> {
    while let Answer::Domain(Some((domain, _))) = broker.ask_aside(&Request::Find { handle }).await? {
        while let Answer::Again = broker.ask_aside(&Request::Destroy { domain }).await? {}
    }
    Ok(())
}

/// Makes both ends of a device.
pub(super) fn add_device(device: &Device, record: &DeviceRecord, mac: [u8; 6], changes: &mut Changes) {
    match record {
        DeviceRecord::Vif(vif) => layout::vif(device, vif, mac, changes),
        DeviceRecord::Vbd(disk) => layout::vbd(device, disk, changes),
    }
}

/// A device, as people name it.
pub(super) fn device_name((kind, id): DeviceId) -> alloc::string::String {
    format!("{kind} {id}")
}
