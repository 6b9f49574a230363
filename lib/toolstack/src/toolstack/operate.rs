//! Doing what the operator wants.

use super::Toolstack;
use super::advance::{DEVICE_PATIENCE_US, add_device, device_name};
use crate::Uuid;
use crate::changes::Changes;
use crate::command::{Command, Order};
use crate::console::NotTyped;
use crate::journal::{self, DeviceId, DeviceRecord, Record, Starts};
use crate::layout::{self, Kind};
use crate::phase::{Event, Phase, Wish};
use crate::vm::{Vm, devices_of};
use crate::world::World;
use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};
use thiserror::Error;
use xenstore_session::{Error, Transaction};
use xlcfg::Config;

/// Bytes of a configuration: XenStore, where it is journalled, takes 4 KiB in a node.
const MAX_CONFIG: usize = 3072;

/// Why something that the operator wants is not done.
#[derive(Debug, Error)]
pub enum Refused {
    /// There is no such VM.
    #[error("there is no VM {0}")]
    NoVm(String),
    /// There is a VM of this name.
    #[error("there is a VM {0} already")]
    NameTaken(String),
    /// The VM is in a phase in which that means nothing.
    #[error("{name} is {phase}: it cannot be asked for that now")]
    Phase {
        /// Which.
        name: String,
        /// Where it is.
        phase: Phase,
    },
    /// More than the VM may have.
    #[error("{asked} {what} are asked for, {most} is the most")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much.
        asked: u64,
        /// The most.
        most: u64,
    },
    /// There is such a device.
    #[error("{0} has this device already")]
    DeviceTaken(String),
    /// There is no such device.
    #[error("{0} has no such device")]
    NoDevice(String),
    /// Nobody serves such devices.
    #[error("no unikernel of this host serves {0}s")]
    NoBackend(Kind),
    /// The configuration cannot be used.
    #[error("{0} has no configuration that can be used")]
    Config(String),
    /// Nothing is kept of a console.
    #[error("nothing is kept of the console of {0}")]
    NoConsole(String),
    /// A guest cannot be given a line.
    #[error("{name}: {why}")]
    NotTyped {
        /// Which.
        name: String,
        /// Why.
        why: NotTyped,
    },
    /// A configuration has a mistake.
    #[error("the configuration: {0}")]
    Mistake(String),
    /// No guest of the description has such a kernel, with that ramdisk.
    #[error("no guest of the system description has the kernel {0}, with that ramdisk")]
    NoKernel(String),
    /// XenStore's.
    #[error(transparent)]
    Store(#[from] Error),
}

impl<'a, W: World> Toolstack<'a, W> {
    /// Does what the operator wants, or begins to. What is refused, and why, is said in the log. `number` is the command's own, and not
    /// 0: by it a line for a guest is known that a life has been asked for which has ended meanwhile.
    ///
    /// # Errors
    /// XenStore's.
    pub async fn operate(&mut self, command: Command, number: u64) -> Result<(), Error> {
        said(self.carry_out(command, number).await)
    }

    /// The same for whoever wants to know why something is refused.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn carry_out(&mut self, command: Command, number: u64) -> Result<(), Refused> {
        match command {
            Command::List => {
                for (name, phase, domid) in self.list() {
                    log::info!(
                        "{name}: {phase}{}",
                        domid.map_or(String::new(), |domid| format!(", {domid}"))
                    );
                }
                log::info!("{} VMs", self.vms.len());
                Ok(())
            }
            Command::Nodes => {
                log::info!("XenStore has {} nodes", self.count_nodes().await?);
                Ok(())
            }
            Command::Create { guest, name } => {
                let vm = self.new_vm(&guest, name)?;
                self.begin(vm, Changes::new()).await
            }
            Command::On { name, order } => match self.find(&name) {
                Some(index) => self.order(index, order, number).await,
                None => Err(Refused::NoVm(name)),
            },
        }
    }

    /// How many nodes XenStore has. What comes or goes meanwhile is counted or not.
    async fn count_nodes(&mut self) -> Result<usize, Error> {
        let mut left = vec![String::from("/")];
        let mut count = 0;
        while let Some(path) = left.pop() {
            count += 1;
            let names = match self.session.directory(Transaction::NONE, &path).await {
                Err(error) if error.is_not_found() => continue,
                names => names?,
            };
            let above = path.trim_end_matches('/');
            left.extend(names.iter().map(|name| format!("{above}/{name}")));
        }
        Ok(count)
    }

    /// Makes a VM from a configuration, as `xl.cfg` has it. Its kernel and ramdisk are those of the guest of the description which
    /// it names as its kernel, or which has the same. Answers its name.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn create_from(&mut self, text: &str) -> Result<String, Refused> {
        if text.len() > MAX_CONFIG {
            return Err(Refused::TooMuch {
                what: "bytes of a configuration",
                asked: text.len() as u64,
                most: MAX_CONFIG as u64,
            });
        }
        let config = Config::read(text).map_err(|mistake| Refused::Mistake(format!("{mistake}")))?;
        let Some(guest) = self.guest_with(&config) else {
            return Err(Refused::NoKernel(config.kernel));
        };
        let mut vm = self.vm_of(&guest, config, None)?;
        vm.record.config = Some(text.into());
        let name = vm.record.name.clone();
        self.begin(vm, Changes::new()).await?;
        Ok(name)
    }

    /// The guest of the description whose kernel and ramdisk a configuration means.
    fn guest_with(&self, config: &Config) -> Option<String> {
        let has_same = |guest: &&str| {
            let own = self.world.config(guest).and_then(|text| Config::read(&text).ok());
            *guest == config.kernel
                || own.is_some_and(|own| own.kernel == config.kernel && own.ramdisk == config.ramdisk)
        };
        self.world.guests().find(has_same).map(String::from)
    }

    /// Makes a VM from a guest of the description when the host starts, and notes that this was done.
    pub(super) async fn create_at_start(&mut self, guest: &str) -> Result<(), Error> {
        let mut changes = Changes::new();
        journal::enter_started(guest, &mut changes);
        match self.new_vm(guest, None) {
            Ok(vm) => said(self.begin(vm, changes).await),
            Err(refused) => {
                log::error!("refused: {refused}");
                self.make(changes).await
            }
        }
    }

    /// Begins a VM's life.
    async fn begin(&mut self, vm: Vm<'a>, mut changes: Changes) -> Result<(), Refused> {
        vm.record.enter(&mut changes);
        self.make(changes).await?;
        log::info!("{}: {}", vm.record.name, vm.record.phase);
        self.vms.push(vm);
        self.has_moved = true;
        Ok(())
    }

    fn new_vm<'v>(&mut self, guest: &str, name: Option<String>) -> Result<Vm<'v>, Refused> {
        let config = self.config(guest).ok_or_else(|| Refused::Config(guest.into()))?;
        self.vm_of(guest, config, name)
    }

    fn vm_of<'v>(&mut self, guest: &str, config: Config, name: Option<String>) -> Result<Vm<'v>, Refused> {
        let is_another = name.is_some();
        let name = name.unwrap_or_else(|| config.name.clone());
        if self.find(&name).is_some() {
            return Err(Refused::NameTaken(name));
        }
        let devices = devices_of(&config).ok_or_else(|| Refused::Config(guest.into()))?;
        for (kind, _) in devices.keys() {
            self.backend(*kind)?;
        }
        // A UUID is given once.
        let configured = config
            .uuid
            .map(Uuid)
            .filter(|uuid| !is_another && self.vms.iter().all(|vm| vm.record.uuid != *uuid));
        let uuid = configured.unwrap_or_else(|| self.make_up_uuid(&name));
        let record = Record {
            uuid,
            name,
            guest: guest.into(),
            config: None,
            phase: Phase::Building,
            domain: None,
            devices,
            leaving: Vec::new(),
            starts: Starts::default(),
        };
        Ok(Vm::new(record, config))
    }

    fn backend(&self, kind: Kind) -> Result<(), Refused> {
        let backend = match kind {
            Kind::Vif => self.host.net,
            Kind::Vbd => self.host.disk,
        };
        backend.map(|_| ()).ok_or(Refused::NoBackend(kind))
    }

    async fn order(&mut self, index: usize, order: Order, number: u64) -> Result<(), Refused> {
        match order {
            Order::Type(line) => {
                let (domid, name) = (self.console_of(index)?, &self.vms[index].record.name);
                let typed = self.world.type_into(domid, number, &line);
                typed.map_err(|why| Refused::NotTyped { name: name.clone(), why })?;
                // Not what: it may be a password, and the event log is everybody's who may look.
                log::info!("{name}: a line is typed");
                Ok(())
            }
            Order::Recall => {
                let domid = self.console_of(index)?;
                let is_kept = self.world.recall_console(domid);
                is_kept.then_some(()).ok_or_else(|| Refused::NoConsole(self.vms[index].record.name.clone()))
            }
            Order::Destroy => self.asked(index, Event::Destroy, Changes::new()).await,
            Order::Stop { wish, patience_us } => {
                let mut changes = Changes::new();
                let what = match wish {
                    Wish::PowerOff => "poweroff",
                    Wish::Reboot => "reboot",
                };
                if let Some(domid) = self.vms[index].domid() {
                    layout::ask_guest(domid, what, &mut changes);
                }
                let deadline_us = self.world.now_us().saturating_add(patience_us);
                self.asked(index, Event::Stop { wish, deadline_us }, changes).await
            }
            Order::Pause => self.pause(index, Event::Pause, false).await,
            Order::Unpause => self.pause(index, Event::Unpause, true).await,
            Order::Press(key) => {
                let mut changes = Changes::new();
                layout::press(self.live_domain(index)?, key, &mut changes);
                Ok(self.make(changes).await?)
            }
            Order::Balloon(mib) => self.balloon(index, mib).await,
            Order::Vcpus(count) => self.set_vcpus(index, count).await,
            Order::AttachVif(vif) => {
                let id = (Kind::Vif, self.vms[index].free_vif());
                self.attach(index, id, DeviceRecord::Vif(vif)).await
            }
            Order::AttachDisk(disk) => {
                let number = layout::vbd_number(&disk.vdev);
                let number = number.ok_or_else(|| Refused::NoDevice(self.vms[index].record.name.clone()))?;
                self.attach(index, (Kind::Vbd, number), DeviceRecord::Vbd(disk)).await
            }
            Order::Detach(kind, id) => self.detach(index, (kind, id)).await,
        }
    }

    /// Enters what the operator's wish leads to.
    async fn asked(&mut self, index: usize, event: Event, changes: Changes) -> Result<(), Refused> {
        let Record { name, phase, .. } = &self.vms[index].record;
        if phase.after(event).is_none() {
            return Err(Refused::Phase { name: name.clone(), phase: *phase });
        }
        Ok(self.enter_with(index, event, changes).await?)
    }

    async fn pause(&mut self, index: usize, event: Event, run: bool) -> Result<(), Refused> {
        self.asked(index, event, Changes::new()).await?;
        if let Some(domid) = self.vms[index].domid()
            && let Err(refusal) = self.make_it_run(domid, run).await
        {
            log::error!("{}: {domid}: {refusal}", self.vms[index].record.name);
        }
        Ok(())
    }

    /// The domain of a VM that has, or has had, something to say.
    fn console_of(&self, index: usize) -> Result<xen_abi::Domid, Refused> {
        let vm = &self.vms[index];
        let domid = vm.domid().filter(|_| vm.record.phase.has_domain());
        domid.ok_or_else(|| Refused::NoConsole(vm.record.name.clone()))
    }

    /// The VM's domain, if it is one that can be asked for something.
    fn live_domain(&self, index: usize) -> Result<xen_abi::Domid, Refused> {
        let vm = &self.vms[index];
        let is_live = matches!(vm.record.phase, Phase::Running | Phase::Paused);
        vm.domid()
            .filter(|_| is_live)
            .ok_or_else(|| Refused::Phase { name: vm.record.name.clone(), phase: vm.record.phase })
    }

    async fn balloon(&mut self, index: usize, mib: u64) -> Result<(), Refused> {
        let domid = self.live_domain(index)?;
        let most = self.vms[index].config.most_memory_mib;
        if mib > most {
            return Err(Refused::TooMuch { what: "MiB", asked: mib, most });
        }
        let mut changes = Changes::new();
        layout::balloon(domid, mib << 10, &mut changes);
        Ok(self.make(changes).await?)
    }

    async fn set_vcpus(&mut self, index: usize, count: u32) -> Result<(), Refused> {
        let domid = self.live_domain(index)?;
        let most = self.vms[index].config.most_vcpus;
        if count == 0 || count > most {
            return Err(Refused::TooMuch { what: "vCPUs", asked: count.into(), most: most.into() });
        }
        let mut changes = Changes::new();
        layout::vcpus(domid, count, most, &mut changes);
        Ok(self.make(changes).await?)
    }

    async fn attach(&mut self, index: usize, id: DeviceId, device: DeviceRecord) -> Result<(), Refused> {
        self.live_domain(index)?;
        self.backend(id.0)?;
        let vm = &mut self.vms[index];
        if vm.record.devices.contains_key(&id) || vm.record.leaving.contains(&id) {
            return Err(Refused::DeviceTaken(vm.record.name.clone()));
        }
        let mut changes = Changes::new();
        if let Some(ends) = vm.device(id, &self.host) {
            add_device(&ends, &device, vm.record.uuid.mac(id.1), &mut changes);
        }
        vm.record.enter_device(id, &device, &mut changes);
        vm.record.devices.insert(id, device);
        self.make(changes).await?;
        log::info!("{}: has {}", self.vms[index].record.name, device_name(id));
        Ok(())
    }

    async fn detach(&mut self, index: usize, id: DeviceId) -> Result<(), Refused> {
        self.live_domain(index)?;
        let vm = &mut self.vms[index];
        if vm.record.devices.remove(&id).is_none() {
            return Err(Refused::NoDevice(vm.record.name.clone()));
        }
        let mut changes = Changes::new();
        if let Some(ends) = vm.device(id, &self.host) {
            ends.close(&mut changes);
        }
        vm.record.enter_leaving(id, &mut changes);
        vm.record.leaving.push(id);
        vm.leaving.insert(id, self.world.now_us() + DEVICE_PATIENCE_US);
        Ok(self.make(changes).await?)
    }
}

/// Says in the log what is refused, and why. Only an error of XenStore is one.
fn said(done: Result<(), Refused>) -> Result<(), Error> {
    match done {
        Err(Refused::Store(error)) => return Err(error),
        Err(refused) => log::error!("refused: {refused}"),
        Ok(()) => {}
    }
    Ok(())
}
