//! A VM, as this life of the toolstack knows it.

use crate::boot::BootError;
use crate::journal::{DeviceId, DeviceRecord, DomainRecord, Record};
use crate::layout::{Device, Kind};
use crate::world::Host;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use broker::Refusal;
use core::future::Future;
use core::pin::Pin;
use xen_abi::Domid;
use xlcfg::Config;

/// Something that takes root a while, and needs nobody else.
pub(crate) type Job<'a> = Pin<Box<dyn Future<Output = Done> + 'a>>;

/// What has become of it.
pub(crate) enum Done {
    /// The domain is built, or cannot be.
    Built(Result<DomainRecord, BootError>),
    /// The domain is gone, or cannot be destroyed.
    Destroyed(Result<(), Refusal>),
}

/// How far taking a VM away has come, in this life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clearing {
    /// Nothing is done yet.
    Begin,
    /// Its devices' backends are letting go; they have time until then.
    Devices { deadline_us: u64 },
    /// Its nodes are gone; its domain is being destroyed.
    Domain,
    /// Its domain could not be destroyed; it is tried again then.
    Again { at_us: u64 },
}

pub(crate) struct Vm<'a> {
    pub(crate) record: Record,
    pub(crate) config: Config,
    pub(crate) job: Option<Job<'a>>,
    pub(crate) done: Option<Done>,
    pub(crate) clearing: Clearing,
    /// Until when the backends of devices that are being taken away have time.
    pub(crate) leaving: BTreeMap<DeviceId, u64>,
}

impl Vm<'_> {
    pub(crate) fn new(record: Record, config: Config) -> Self {
        Self { record, config, job: None, done: None, clearing: Clearing::Begin, leaving: BTreeMap::new() }
    }

    /// Its domain, if XenStore has nodes of it.
    pub(crate) fn domid(&self) -> Option<Domid> {
        self.record.domain.map(|domain| domain.domid)
    }

    /// The two ends of a device of its domain; none if nobody serves such devices.
    pub(crate) fn device(&self, (kind, id): DeviceId, host: &Host) -> Option<Device> {
        let backend = match kind {
            Kind::Vif => host.net,
            Kind::Vbd => host.disk,
        };
        Some(Device { kind, id, guest: self.domid()?, backend: backend? })
    }

    /// All devices that have nodes, also those that are being taken away.
    pub(crate) fn devices(&self, host: &Host) -> impl Iterator<Item = (DeviceId, Device)> {
        let ids = self.record.devices.keys().chain(&self.record.leaving);
        ids.filter_map(|id| Some((*id, self.device(*id, host)?)))
    }

    /// The lowest number that no network interface has.
    pub(crate) fn free_vif(&self) -> u32 {
        let taken = |id: &u32| {
            let id = (Kind::Vif, *id);
            self.record.devices.contains_key(&id) || self.record.leaving.contains(&id)
        };
        (0..).find(|id| !taken(id)).unwrap_or(u32::MAX)
    }

    /// When something is to be looked at again, if nothing happens before.
    pub(crate) fn deadline_us(&self) -> Option<u64> {
        let phase = match (self.record.phase, self.clearing) {
            (crate::Phase::Stopping { deadline_us, .. }, _) => Some(deadline_us),
            (crate::Phase::Destroying { .. }, Clearing::Devices { deadline_us }) => Some(deadline_us),
            (crate::Phase::Destroying { .. }, Clearing::Again { at_us }) => Some(at_us),
            _ => None,
        };
        phase.into_iter().chain(self.leaving.values().copied()).min()
    }
}

/// The devices that a configuration asks for.
pub(crate) fn devices_of(config: &Config) -> Option<BTreeMap<DeviceId, DeviceRecord>> {
    let vifs =
        config.vifs.iter().zip(0..).map(|(vif, id)| Some(((Kind::Vif, id), DeviceRecord::Vif(vif.clone()))));
    let disks = config.disks.iter().map(|disk| {
        Some(((Kind::Vbd, crate::layout::vbd_number(&disk.vdev)?), DeviceRecord::Vbd(disk.clone())))
    });
    vifs.chain(disks).collect()
}
