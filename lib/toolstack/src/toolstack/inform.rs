//! What an operator is told of VMs.

use super::Toolstack;
use crate::journal::DeviceId;
use crate::layout::{Device, Kind};
use crate::phase::Phase;
use crate::uuid::Uuid;
use crate::world::World;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use broker::{Answer, Request, VcpuInfo};
use core::str::FromStr;
use xen_abi::Domid;
use xenstore_session::{Error, Transaction};

/// KiB in a page.
const PAGE_KIB: u64 = 4;

/// A VM, as an operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VmInfo {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: Uuid,
    /// Its domain, if it has one.
    pub domid: Option<Domid>,
    /// Where it is in its life.
    pub phase: Phase,
    /// Memory that it has, in KiB; while it has no domain, what it is to have.
    pub memory_kib: u64,
    /// Its vCPUs.
    pub vcpus: u32,
    /// CPU time that they have used, in microseconds.
    pub cpu_us: u64,
}

/// A device of a VM, as both its ends have it in XenStore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Which.
    pub id: DeviceId,
    /// Its two ends.
    pub device: Device,
    /// An interface's address; what the guest calls a disk.
    pub name: String,
    /// The frontend's state, as `xenbus.h` counts.
    pub state: Option<u32>,
    /// The frontend's event channel, or the first of two.
    pub event_channel: Option<u32>,
    /// What the frontend has granted as rings: a disk has one, an interface has that to send first.
    pub rings: Vec<u32>,
}

impl<W: World> Toolstack<'_, W> {
    /// How many VMs there are.
    pub fn count(&self) -> usize {
        self.vms.len()
    }

    /// Which VM has this name.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.find(name)
    }

    /// What there is to say of a VM; none if there are not so many. Root is asked, so it takes a while.
    pub async fn inform(&self, index: usize) -> Option<VmInfo> {
        let vm = self.vms.get(index)?;
        let mut info = VmInfo {
            name: vm.record.name.clone(),
            uuid: vm.record.uuid,
            domid: vm.domid(),
            phase: vm.record.phase,
            memory_kib: vm.config.memory_mib << 10,
            vcpus: vm.config.vcpus,
            cpu_us: 0,
        };
        if let Some(domid) = info.domid
            && let Ok(Some(domain)) = self.broker.info(domid).await
        {
            info.memory_kib = domain.pages * PAGE_KIB;
            info.vcpus = domain.vcpus;
            info.cpu_us = domain.cpu_time_ns / 1000;
        }
        Some(info)
    }

    /// What the vCPUs of a VM do, of those that root can tell of, by their numbers; none if it has no domain.
    pub async fn vcpus(&self, index: usize) -> Vec<(u32, VcpuInfo)> {
        let mut vcpus = Vec::new();
        let Some(vm) = self.vms.get(index) else { return vcpus };
        let Some(domain) = vm.domid() else { return vcpus };
        for vcpu in 0..vm.config.most_vcpus {
            if let Ok(Answer::Vcpu(info)) = self.broker.ask(&Request::Vcpu { domain, vcpu }).await {
                vcpus.push((vcpu, info));
            }
        }
        vcpus
    }

    /// The devices of a VM that have nodes in XenStore.
    ///
    /// # Errors
    /// XenStore's.
    pub async fn devices(&mut self, index: usize) -> Result<Vec<DeviceInfo>, Error> {
        let Some(vm) = self.vms.get(index) else { return Ok(Vec::new()) };
        let devices: Vec<_> = vm.devices(&self.host).collect();
        let mut infos = Vec::new();
        for (id, device) in devices {
            let (front, back) = (device.frontend_path(), device.backend_path());
            let (name, rings): (_, &[&str]) = match device.kind {
                Kind::Vif => (format!("{front}/mac"), &["tx-ring-ref", "rx-ring-ref"]),
                Kind::Vbd => (format!("{back}/dev"), &["ring-ref"]),
            };
            let mut info = DeviceInfo {
                id,
                device,
                name: self.value(&name).await?.unwrap_or_default(),
                state: self.value(&format!("{front}/state")).await?,
                event_channel: self.value(&format!("{front}/event-channel")).await?,
                rings: Vec::new(),
            };
            if info.event_channel.is_none() {
                info.event_channel = self.value(&format!("{front}/event-channel-tx")).await?;
            }
            for ring in rings {
                info.rings.extend(self.value::<u32>(&format!("{front}/{ring}")).await?);
            }
            infos.push(info);
        }
        Ok(infos)
    }

    /// What a node says, if it is there and says such a thing.
    async fn value<T: FromStr>(&mut self, path: &str) -> Result<Option<T>, Error> {
        let value = self.session.find(Transaction::NONE, path).await?;
        Ok(value.and_then(|bytes| core::str::from_utf8(&bytes).ok()?.parse().ok()))
    }
}
