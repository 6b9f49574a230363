//! Rung 2: a new domain under the old number. It is also how a component is built at all.
//!
//! Guests' grants and event channels name that number, so for them nothing changes. Pages that a
//! guest shares belong to the guest, what a component keeps or shares with others belongs to root, and
//! root unmaps what it has mapped: nothing keeps a zombie.

use crate::books::Books;
use crate::component::{Component, Domain, EXTENT_ORDER, EXTENT_PAGES};
use crate::devices::assign;
use crate::devices::quiesce::{self, REGISTER_PAGES};
use crate::life::{self, Constants, Doing, RepairError, Way};
use crate::micro_reboot::digest_tables;
use core::sync::atomic::Ordering::Relaxed;
use heapless::Vec;
use kernel::control::Control;
use kernel::pv::event;
use kernel::window::Access;
use uk_abi::boot_info::BootReason;
use uk_abi::layout::PAGE_SIZE;
use xen_abi::domctl::{CreateDomain, CreateFlags};
use xen_abi::errno::Errno;
use xen_abi::{Domid, Mfn, Pfn, Port};

/// What Xen counts against a domain's memory besides its pages, in KiB: tables of its own.
const SPARE_KIB: u64 = 1024;

/// Records of mapped pages in a frame of Xen's, of which it must be told how many a domain may have.
const MAPPINGS_PER_FRAME: u32 = 256;

/// Destroys what is left of `component`'s domain and builds it anew.
///
/// # Errors
/// Where Xen refuses a step. What was built by then is destroyed by the next try.
pub fn rebuild(component: &mut Component, control: &Control, books: &mut Books) -> Result<(), RepairError> {
    let reason = if component.incarnation == 0 { BootReason::First } else { BootReason::Rebuild };
    if component.incomplete {
        return Err(RepairError::Incomplete);
    }
    tear_down(component, control)?;
    create(component, control)?;
    component.record(books, false);
    assign::give(component, control, books)?;
    fill(component, control)?;
    connect(component)?;
    life::begin(component, control, reason, Way::Put)?;
    assign::start(component);
    control.unpause(component.domid()).doing("starting the domain")?;
    component.record(books, true);
    Ok(())
}

/// Lets go of all that root holds of the domain, and destroys it.
///
/// # Errors
/// Where Xen refuses a step, or a device cannot be stopped.
pub fn tear_down(component: &mut Component, control: &Control) -> Result<(), RepairError> {
    let domid = component.domid();
    let exists = control.info(domid).doing("asking for the domain")?.is_some();
    if exists {
        control.pause(domid).doing("pausing the domain")?;
    }
    quiesce::quiesce(component, control)?;
    if let Some(domain) = component.domain.take() {
        // The port may be closed already, by a life of root that ended here.
        let _ = event::close(domain.doorbell);
    }
    component.slot.unmap(0, REGISTER_PAGES).doing("unmapping the domain")?;
    if exists {
        control.destroy(domid).doing("destroying the domain")?;
    }
    Ok(())
}

/// An empty domain with its memory.
fn create(component: &mut Component, control: &Control) -> Result<(), RepairError> {
    let domid = component.domid();
    let contained = component.devices.iter().any(|device| device.contained);
    let flags = if contained { CreateFlags::IOMMU } else { CreateFlags::empty() };
    let mappings = component.lent.pages + component.description.grant_window_pages;
    // Xen takes a frame only when it is needed.
    let max_maptrack_frames = mappings.div_ceil(MAPPINGS_PER_FRAME) as u16 + 1;
    match control.create(domid, &CreateDomain { flags, max_maptrack_frames, ..CreateDomain::PV }) {
        Err(error) if error.is(Errno::Eexist) => return Err(RepairError::Zombie),
        answer => answer.doing("creating the domain")?,
    }
    let pages = component.plan.memory_pages();
    control.set_max_mem(domid, pages * 4 + SPARE_KIB).doing("setting its memory limit")?;
    control.set_max_vcpus(domid, 1).doing("giving it a vCPU")?;
    control.set_native_tsc(domid).doing("giving it the TSC")?;
    control.set_weight(domid, component.description.weight).doing("setting its weight")?;
    let mut extents = Vec::new();
    for pfn in (0..pages).step_by(EXTENT_PAGES as usize) {
        let first = control.populate(domid, pfn, EXTENT_ORDER).doing("giving it an extent of memory")?;
        // There is room: the number of extents was checked when root started.
        let _ = extents.push(first);
    }
    let info = control.info(domid).doing("asking for the domain")?.ok_or(RepairError::NoDomain)?;
    let shared_info = info.shared_info_frame;
    component.domain = Some(Domain {
        extents,
        doorbell: Port(0),
        doorbell_there: Port(0),
        shared_info,
        built: (component.incarnation + 1) as u32,
        tables_digest: 0,
    });
    Ok(())
}

/// Its content: image, page tables, p2m, shared pages.
fn fill(component: &mut Component, control: &Control) -> Result<(), RepairError> {
    let domid = component.domid();
    let mapped = component.mapped_pages();
    let shared_info_page = component.shared_info_page();
    let Component { domain: Some(domain), plan, slot, .. } = component else {
        return Err(RepairError::NoDomain);
    };
    let areas = *plan.areas();
    let frame = |page: usize| domain.frame(Pfn(page as u64));
    slot.map(0, mapped, domid, Access::Writable, frame).doing("mapping its memory")?;
    let after_image = areas.image.pages as usize * PAGE_SIZE;
    slot.zero(after_image, mapped * PAGE_SIZE - after_image);
    life::load_image(plan, slot, Constants::Doubtful);

    let mut page = [0; 512];
    let write = |slot: &mut kernel::window::Slot, pfn: Pfn, words: &[u64; 512]| {
        for (to, from) in slot.words(pfn.0 as usize, 1).iter().zip(words) {
            to.store(*from, Relaxed);
        }
    };
    for (index, pfn) in areas.p2m.iter().enumerate() {
        plan.fill_p2m(index as u64, |pfn| domain.frame(pfn), &mut page);
        write(slot, pfn, &page);
    }
    for table in plan.tables() {
        plan.fill_table(&table, |pfn| domain.frame(pfn), domain.shared_info, &mut page);
        write(slot, table.pfn, &page);
    }

    // Xen takes no page as a table that somebody may write to; afterwards root may look at them.
    let (at, count) = (areas.page_tables.start.0 as usize, areas.page_tables.pages as usize);
    slot.unmap(at, count).doing("unmapping its page tables")?;
    control.pin_l4(domid, domain.frame(plan.root_table())).doing("pinning its page tables")?;
    slot.map(at, count, domid, Access::ReadOnly, |n| frame(at + n)).doing("mapping its page tables")?;
    let shared_info: Mfn = domain.shared_info;
    slot.map(shared_info_page, 1, domid, Access::Writable, |_| shared_info)
        .doing("mapping its shared_info")?;
    let digest = digest_tables(component);
    if let Some(domain) = &mut component.domain {
        domain.tables_digest = digest;
    }
    Ok(())
}

/// The doorbell, an event channel between root and the domain, for which the domain need do nothing; and the ports
/// for its peers.
fn connect(component: &mut Component) -> Result<(), RepairError> {
    let domid = component.domid();
    let Some(domain) = &mut component.domain else { return Err(RepairError::NoDomain) };
    domain.doorbell_there = event::alloc_unbound(domid, Domid::DOM0).doing("making its doorbell")?;
    domain.doorbell = event::bind_interdomain(domid, domain.doorbell_there).doing("binding its doorbell")?;
    let built = domain.built;
    component.make_ports(built)
}
