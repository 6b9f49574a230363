//! The hypervisor itself, through the devices that Linux has for it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use linux::evtchn::{EventChannels, LocalPort};
use linux::gntdev::Grants;
use linux::privcmd;
use linux::shared::SharedMemory;
use xen_abi::Domid;
use xen_abi::domctl::DomainInfoFlags;
use xen_abi::virq::Virq;
use xenstore::Census;

use super::{DomainState, Event, Hypervisor, RingPage};
use crate::account;

/// The grant entry that the builder of every domain fills for XenStore (Xen's `grant_table.h`).
const XENSTORE_GRANT: u32 = 1;

const PAGE: usize = 4096;

/// Xen, as a privileged domain sees it.
#[derive(Debug)]
pub struct Xen {
    channels: EventChannels,
    grants: Grants,
    hypervisor: privcmd::Hypervisor,
    domains_changed: LocalPort,
}

impl Xen {
    /// Whether this is a domain that controls others.
    pub fn is_here() -> bool {
        std::fs::read_to_string("/proc/xen/capabilities").is_ok_and(|text| text.contains("control_d"))
    }

    /// Opens the devices and asks for the news of dying domains.
    ///
    /// # Errors
    /// What the devices and Xen say.
    pub fn open() -> io::Result<Self> {
        let channels = EventChannels::open()?;
        let domains_changed = channels.bind_virq(Virq::DomExc.raw())?;
        let hypervisor = privcmd::Hypervisor::open()?;
        Ok(Self { channels, grants: Grants::open()?, hypervisor, domains_changed })
    }
}

/// Which domains Xen has. Each question is a hypercall or two; they come when guests are built.
#[derive(Debug)]
pub struct XenCensus {
    grants: Grants,
    hypervisor: privcmd::Hypervisor,
}

impl XenCensus {
    /// Opens the devices.
    ///
    /// # Errors
    /// What they say.
    pub fn open() -> io::Result<Self> {
        Ok(Self { grants: Grants::open()?, hypervisor: privcmd::Hypervisor::open()? })
    }
}

impl Census for XenCensus {
    fn exists(&self, domid: Domid) -> bool {
        // The list begins with the domain that is asked for, or with the next one.
        let found = self.hypervisor.domains(domid);
        found.is_ok_and(|found| found.first().is_some_and(|info| info.domain == domid))
    }

    fn has_ring(&self, domid: Domid) -> bool {
        self.grants.map(domid.0.into(), XENSTORE_GRANT).is_ok()
    }
}

impl Hypervisor for Xen {
    fn events(&self) -> BorrowedFd<'_> {
        self.channels.as_fd()
    }

    fn next_event(&mut self) -> io::Result<Option<Event>> {
        let port = self.channels.pending()?;
        Ok(port.map(|port| {
            if port == self.domains_changed { Event::DomainsChanged(port) } else { Event::Port(port) }
        }))
    }

    fn listen(&mut self, port: LocalPort) -> io::Result<()> {
        self.channels.unmask(port)?;
        account::wrote(size_of::<u32>());
        Ok(())
    }

    fn notify(&mut self, port: LocalPort) -> io::Result<()> {
        self.channels.notify(port)
    }

    fn bind(&mut self, domid: Domid, remote_port: u32) -> io::Result<LocalPort> {
        self.channels.bind_interdomain(domid.0.into(), remote_port)
    }

    fn remote_port(&mut self, domid: Domid, port: LocalPort) -> io::Result<u32> {
        let other = self.hypervisor.other_end(port)?;
        let port = other.filter(|(other, _)| *other == domid).map(|(_, port)| port);
        port.ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn unbind(&mut self, port: LocalPort) -> io::Result<()> {
        self.channels.unbind(port)
    }

    fn hand_over(&mut self, ready: bool) -> io::Result<()> {
        // There can be one such port in a domain: the next daemon asks for its own.
        if ready {
            return self.channels.unbind(self.domains_changed);
        }
        self.domains_changed = self.channels.bind_virq(Virq::DomExc.raw())?;
        Ok(())
    }

    fn map(&mut self, domid: Domid) -> io::Result<RingPage> {
        self.grants.map(domid.0.into(), XENSTORE_GRANT).map(RingPage::Granted)
    }

    fn own_ring(&mut self) -> io::Result<(RingPage, u32)> {
        let text = std::fs::read_to_string("/proc/xen/xsd_port")?;
        let port = text.trim().parse().map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
        let page: File = OpenOptions::new().read(true).write(true).open("/proc/xen/xsd_kva")?;
        Ok((RingPage::Mapped(SharedMemory::map_device(&page, PAGE)?), port))
    }

    fn states(&mut self) -> io::Result<BTreeMap<Domid, DomainState>> {
        let mut states = BTreeMap::new();
        let mut first = Domid(0);
        loop {
            let some = self.hypervisor.domains(first)?;
            let Some(last) = some.last() else { return Ok(states) };
            first = Domid(last.domain.0.saturating_add(1));
            states.extend(some.iter().map(|info| (info.domain, state(info.flags))));
        }
    }
}

fn state(flags: DomainInfoFlags) -> DomainState {
    if flags.contains(DomainInfoFlags::DYING) {
        DomainState::Dying
    } else if flags.contains(DomainInfoFlags::SHUTDOWN) {
        DomainState::Shutdown
    } else {
        DomainState::Running
    }
}
