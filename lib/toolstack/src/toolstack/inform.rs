//! What an operator is told of VMs.

use super::Toolstack;
use crate::phase::Phase;
use crate::uuid::Uuid;
use crate::world::World;
use alloc::string::String;
use xen_abi::Domid;

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
}
