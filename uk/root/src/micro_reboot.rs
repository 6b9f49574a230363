//! Rung 1: a new life in the same domain, with the same memory, event channels and grant maps.

use crate::component::Component;
use crate::devices::{assign, quiesce};
use crate::life::{self, Constants, Doing, RepairError, Way};
use builder::TablePage;
use builder::page_table::Level;
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;
use heapless::Vec;
use kernel::control::Control;
use uk_abi::boot_info::BootReason;
use uk_abi::crash::ENDED;
use uk_abi::layout::{BAR_WINDOW_VA, GRANT_WINDOW_VA, KEPT_WINDOW_VA};
use xen_abi::Pfn;
use xen_abi::domctl::{DomainInfoFlags, SHUTDOWN_MASK, SHUTDOWN_SHIFT};
use xen_abi::mmu::{MmuUpdate, PTE_FRAME_MASK, Pte, PteFlags};

/// Entries mended by one hypercall.
const BATCH: usize = 64;

/// Xen keeps entries of its own in every L4 table: those of its part of the address space.
const HYPERVISOR_ENTRIES: Range<usize> = 256..272;

/// What of an entry must be as planned. Accessed and dirty are the processor's, global is Xen's.
const COMPARED: u64 = PTE_FRAME_MASK
    | PteFlags::PRESENT
        .union(PteFlags::WRITABLE)
        .union(PteFlags::USER)
        .union(PteFlags::PWT)
        .union(PteFlags::PCD)
        .union(PteFlags::NX)
        .bits();

/// Reboots `component` in place.
///
/// # Errors
/// Where Xen refuses a step, or what is left of the domain is not fit for it: a rebuild is needed.
pub fn micro_reboot(component: &mut Component, control: &Control) -> Result<(), RepairError> {
    let domid = component.domid();
    let info = control.info(domid).doing("asking for the domain")?.ok_or(RepairError::NoDomain)?;
    if component.domain.is_none() || info.flags.contains(DomainInfoFlags::DYING) {
        return Err(RepairError::NoDomain);
    }
    let has_shut_down = info.flags.contains(DomainInfoFlags::SHUTDOWN);
    let shutdown_code = info.flags.bits() >> SHUTDOWN_SHIFT & SHUTDOWN_MASK;
    let has_ended_itself = has_shut_down && shutdown_code == ENDED;
    // A life of root that ended in the middle of this has left it paused; pauses nest.
    let is_paused = info.flags.contains(DomainInfoFlags::PAUSED);
    if !has_shut_down && !is_paused {
        control.pause(domid).doing("pausing the domain")?;
    }
    prepare(component, control, if has_ended_itself { Way::Walk } else { Way::Put })?;
    if has_shut_down {
        control.resume(domid).doing("resuming the domain")?;
    }
    if !has_shut_down || is_paused {
        control.unpause(domid).doing("letting the domain run")?;
    }
    Ok(())
}

fn prepare(component: &mut Component, control: &Control, way: Way) -> Result<(), RepairError> {
    quiesce::reset(component, control)?;
    let were_sound = mend_tables(component, control)?;
    let constants =
        if were_sound && component.devices.is_empty() { Constants::Sound } else { Constants::Doubtful };
    life::load_image(&component.plan, &mut component.slot, constants);
    life::begin(component, control, BootReason::MicroReboot, way)?;
    assign::start(component);
    Ok(())
}

/// A number for what the domain's page tables say. To compare it costs a third of comparing them with
/// the plan, entry by entry.
pub fn digest_tables(component: &Component) -> u64 {
    let tables = component.plan.tables().filter(|table| !is_its_own(table));
    let words = tables.flat_map(|table| {
        let skipped = if table.level == Level::L4 { HYPERVISOR_ENTRIES } else { 0..0 };
        let words = component.slot.words(table.pfn.0 as usize, 1).iter().enumerate();
        words.filter(move |(index, _)| !skipped.contains(index)).map(|(_, word)| word)
    });
    // FNV-1a by words: against accidents, not against malice, which Xen's own checks are for.
    words.fold(0xcbf2_9ce4_8422_2325, |digest, word| {
        (digest ^ (word.load(Relaxed) & COMPARED)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// What these windows map is the component's own doing, and outlives its lives: granted pages, and what root keeps.
fn is_its_own(table: &TablePage) -> bool {
    let windows = [GRANT_WINDOW_VA..BAR_WINDOW_VA, KEPT_WINDOW_VA..u64::MAX];
    table.level == Level::L1 && windows.iter().any(|window| window.contains(&table.start.0))
}

/// Compares the domain's page tables with the plan, and mends what differs at the lowest level: a
/// wild unikernel can change its mappings by hypercall. Answers whether they are known to have been sound.
fn mend_tables(component: &Component, control: &Control) -> Result<bool, RepairError> {
    let Some(domain) = &component.domain else { return Err(RepairError::NoDomain) };
    if domain.tables_digest == digest_tables(component) {
        return Ok(true);
    }
    let mut planned = [0; 512];
    let mut updates = Vec::<MmuUpdate, BATCH>::new();
    for table in component.plan.tables() {
        if is_its_own(&table) {
            continue;
        }
        component.plan.fill_table(&table, |pfn: Pfn| domain.frame(pfn), domain.shared_info, &mut planned);
        let found = component.slot.words(table.pfn.0 as usize, 1);
        for (index, (planned, found)) in planned.iter().zip(found).enumerate() {
            let is_xens = table.level == Level::L4 && HYPERVISOR_ENTRIES.contains(&index);
            if is_xens || (planned ^ found.load(Relaxed)) & COMPARED == 0 {
                continue;
            }
            if table.level != Level::L1 {
                return Err(RepairError::TablesDamaged { table: table.pfn });
            }
            let place = domain.frame(table.pfn).addr() + index as u64 * 8;
            // Never full: it is emptied below as soon as it is.
            let _ = updates.push(MmuUpdate::write(place, Pte(*planned)));
            if updates.is_full() {
                control.update_tables(component.domid(), &updates).doing("mending page tables")?;
                updates.clear();
            }
        }
    }
    if !updates.is_empty() {
        control.update_tables(component.domid(), &updates).doing("mending page tables")?;
    }
    Ok(false)
}
