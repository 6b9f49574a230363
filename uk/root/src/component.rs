//! What root knows about one component.

use crate::books::{Books, DomainRecord, MAX_EXTENTS};
use crate::channels::Offers;
use crate::devices::Device;
use crate::loans::{self, Lent};
use builder::{MachineRange, UkParams, UkPlan};
use description::Component as Description;
use heapless::Vec;
use kernel::pv::event;
use kernel::window::Slot;
use monitor::Fault;
use uk_abi::device_info::BARS;
use uk_abi::health::{HealthPage, WORDS};
use uk_abi::log_ring::LogReader;
use xen_abi::{Domid, Mfn, Pfn, Port};

/// Pages in an extent: what Xen gives as one piece of machine memory.
pub const EXTENT_PAGES: u64 = 512;

/// The order of an extent, as Xen counts it.
pub const EXTENT_ORDER: u32 = 9;

/// One component: its plan, and its domain if there is one.
pub struct Component {
    /// Its place in the description, and in everything else that root counts by component.
    pub index: usize,
    /// Its name.
    pub name: &'static str,
    /// What the description says.
    pub description: &'static Description,
    /// How its domain is laid out.
    pub plan: UkPlan<'static>,
    /// Where root maps its pages: at their pfn up to [`Component::mapped_pages`], then `shared_info`; at
    /// the end its devices' registers.
    pub slot: Slot,
    /// Its devices.
    pub devices: &'static mut [Device],
    /// What root lends it.
    pub lent: Lent,
    /// The ports between it and those that it shares memory with.
    pub offers: Offers,
    /// Whether this host lacks a device that it cannot do without.
    pub incomplete: bool,
    /// Lives that it has had.
    pub incarnation: u64,
    /// Its domain.
    pub domain: Option<Domain>,
    /// When its last fault was injected, if it was.
    pub injected_us: Option<u64>,
    /// How it has failed last, and when that was found, if it has in this life of root.
    pub last_fault: Option<(Fault, u64)>,
    /// When its current second ends, in which the next three are counted.
    pub second_ends_us: u64,
    /// Lines of its log that were printed.
    pub log_printed: u32,
    /// Lines of its log that were not, for want of room or because there were too many.
    pub log_unprinted: u64,
    /// Rings of its doorbell.
    pub doorbell_rings: u32,
    /// Whether it has the greatest weight for a while.
    pub boosted: bool,
}

/// A component's domain, complete or being built.
pub struct Domain {
    /// First frames of its extents.
    pub extents: Vec<Mfn, MAX_EXTENTS>,
    /// Root's end of the doorbell.
    pub doorbell: Port,
    /// The component's end of it.
    pub doorbell_there: Port,
    /// Its `shared_info`.
    pub shared_info: Mfn,
    /// The life that it was built for.
    pub built: u32,
    /// What its page tables come to when they are as planned; 0 while that is not known.
    pub tables_digest: u64,
}

impl Domain {
    /// The machine frame of `pfn`.
    pub fn frame(&self, pfn: Pfn) -> Mfn {
        match self.extents.get((pfn.0 / EXTENT_PAGES) as usize) {
            Some(first) => *first + pfn.0 % EXTENT_PAGES,
            None => Mfn::INVALID,
        }
    }
}

impl Component {
    /// A component without a domain.
    pub fn new(
        index: usize,
        name: &'static str,
        description: &'static Description,
        plan: UkPlan<'static>,
        slot: Slot,
        devices: &'static mut [Device],
        lent: Lent,
    ) -> Self {
        Self {
            index,
            name,
            description,
            plan,
            slot,
            devices,
            lent,
            offers: Offers::new(),
            incomplete: false,
            incarnation: 0,
            domain: None,
            injected_us: None,
            last_fault: None,
            second_ends_us: 0,
            log_printed: 0,
            log_unprinted: 0,
            doorbell_rings: 0,
            boosted: false,
        }
    }

    /// Rings its doorbell: it wakes and looks at its health page.
    pub fn ring(&self) {
        if let Some(domain) = &self.domain {
            // A port that cannot be rung belongs to a domain that is dying: its repair is under way.
            let _ = event::send(domain.doorbell);
        }
    }

    /// Tells it where it finds the registers of its devices.
    pub fn place_registers(&mut self) {
        let mut mapped = 0;
        for device in self.devices.iter_mut() {
            let bars: Vec<usize, BARS> = device.mappable().map(|(bar, _)| bar).collect();
            for bar in bars {
                device.info.bars[bar].va = self.plan.bar_address(mapped).map_or(0, |address| address.0);
                mapped += 1;
            }
        }
    }

    /// The parameters for the plan of a component that is lent so many pages, with so many devices, whose registers
    /// are `bars`.
    pub fn params(
        description: &'static Description,
        kept_pages: u32,
        devices: usize,
        bars: &'static [MachineRange],
    ) -> UkParams<'static> {
        UkParams {
            memory_pages: description.memory_pages,
            stack_pages: description.stack_pages,
            log_pages: description.log_pages,
            kept_pages,
            grant_window_pages: description.grant_window_pages,
            dma_pages: description.dma_pages,
            devices: devices as u32,
            bars,
        }
    }

    /// Its domain's number.
    pub fn domid(&self) -> Domid {
        loans::domid(self.index)
    }

    /// Pages of it that root maps: all but heap and DMA memory.
    pub fn mapped_pages(&self) -> usize {
        self.plan.areas().heap.start.0 as usize
    }

    /// Where in the slot its `shared_info` is mapped.
    pub fn shared_info_page(&self) -> usize {
        self.mapped_pages()
    }

    /// Its health page, if it has a domain.
    pub fn health(&self) -> Option<HealthPage<'_>> {
        self.domain.as_ref()?;
        let page = self.plan.areas().health.start.0 as usize;
        let words = self.slot.words(page, 1).first_chunk::<WORDS>()?;
        Some(HealthPage::new(words))
    }

    /// A reader of its log ring, if it has a domain.
    pub fn log(&self) -> Option<LogReader<&[core::sync::atomic::AtomicU64]>> {
        self.domain.as_ref()?;
        let log = self.plan.areas().log;
        LogReader::new(self.slot.words(log.start.0 as usize, log.pages as usize)).ok()
    }

    /// Writes down what a new life of root must know of it.
    pub fn record(&self, books: &mut Books, complete: bool) {
        let Some(domain) = &self.domain else { return };
        let record = DomainRecord {
            incarnation: self.incarnation,
            complete,
            extents: domain.extents.iter().map(|first| first.0).collect(),
            doorbell: domain.doorbell.0,
            doorbell_there: domain.doorbell_there.0,
            built: domain.built,
            offered: self.offered_ports(),
        };
        // The books have room for a record of each component.
        let _ = books.put(self.index as u32, &record);
    }
}
