//! Carrying out the steps of which building a guest consists.
//!
//! Each step is bounded, whoever asks for it, and concerns one domain alone: whose frames those are that a step names,
//! Xen knows, and refuses to map or pin others.

use builder::steps::{Answer, Create, MAX_BYTES, MAX_EXTENTS, MAX_ORDER, MAX_RANGES, MAX_VCPUS, Step};
use heapless::Vec;
use kernel::call;
use kernel::control::Control;
use kernel::pv::event;
use kernel::window::{Access, Slot};
use uk_abi::layout::PAGE_SIZE;
use xen_abi::domctl::CreateDomain;
use xen_abi::errno::Errno;
use xen_abi::grant_table::{GrantEntryV1, GrantFlags, NR_RESERVED_ENTRIES};
use xen_abi::{Domid, MachineAddr, Mfn, Port, XenError};
use zerocopy::IntoBytes;

/// Pages of the slot that a step works in; nothing stays mapped there.
pub const WORK_PAGES: usize = MAX_BYTES / PAGE_SIZE;

/// What a step has brought; [`Outcome::answer`] is what the plan wants to hear of it.
#[derive(Debug)]
pub enum Outcome {
    /// It is done.
    Done,
    /// The domain's shared page.
    Created(Mfn),
    /// First frames of extents.
    Frames(Vec<Mfn, MAX_EXTENTS>),
    /// The domain's port.
    Port(Port),
}

impl Outcome {
    /// As the builder names it.
    pub fn answer(&self) -> Answer<'_> {
        match self {
            Self::Done => Answer::Done,
            Self::Created(shared_info) => Answer::Created { shared_info: *shared_info },
            Self::Frames(frames) => Answer::Frames(frames),
            Self::Port(port) => Answer::Port(*port),
        }
    }
}

/// Does what `step` asks for, on `domid`, with the first [`WORK_PAGES`] pages of `slot` to work in.
///
/// # Errors
/// Xen's; E2BIG where a step is larger than one may be.
pub fn carry_out(
    step: &Step<'_>,
    domid: Domid,
    control: &Control,
    slot: &mut Slot,
) -> Result<Outcome, XenError> {
    match *step {
        Step::Create(ref create) => return self::create(create, domid, control),
        Step::MemoryMap(ranges) => {
            bounded(ranges.len(), MAX_RANGES)?;
            control.set_memory_map(domid, ranges)?;
        }
        Step::Populate { first, order, count } => {
            bounded(count, MAX_EXTENTS)?;
            bounded(order as usize, MAX_ORDER as usize)?;
            let mut frames = Vec::new();
            for index in 0..count as u64 {
                // Xen may have to scrub it first.
                call::beat();
                match control.populate(domid, first.0 + (index << order), order) {
                    // There is room for as many as were asked for.
                    Ok(frame) => frames.push(frame).unwrap_or(()),
                    Err(error) if error.is(Errno::Enomem) => break,
                    Err(error) => return Err(error),
                }
            }
            return Ok(Outcome::Frames(frames));
        }
        Step::AllocatePort { remote } => return Ok(Outcome::Port(event::alloc_unbound(domid, remote)?)),
        Step::Write { at, bytes } => {
            on_pages(at, bytes.len(), domid, slot, |slot, offset| slot.write(offset, bytes))?;
        }
        Step::Clear { at, length } => {
            on_pages(at, length, domid, slot, |slot, offset| slot.zero(offset, length))?;
        }
        Step::HypercallPage { frame } => control.fill_hypercall_page(domid, frame)?,
        Step::Grant { entry, to, frame } => {
            bounded(entry.0 as usize, NR_RESERVED_ENTRIES as usize - 1)?;
            let frame = u32::try_from(frame.0).map_err(|_| XenError::from(Errno::E2big))?;
            let table = control.grant_table(domid)?.addr();
            let granted = GrantEntryV1 { flags: GrantFlags::PERMIT_ACCESS, domid: to, frame };
            let at = MachineAddr(table.0 + (entry.0 as usize * size_of::<GrantEntryV1>()) as u64);
            // The domain does not run: it sees the entry as a whole.
            on_pages(at, size_of_val(&granted), domid, slot, |slot, offset| {
                slot.write(offset, granted.as_bytes());
            })?;
        }
        Step::Pin { root } => control.pin_l4(domid, root)?,
        Step::Context { vcpu, context } => {
            bounded(vcpu as usize, 0)?;
            control.set_context(domid, context)?;
        }
        Step::Unpause => control.unpause(domid)?,
    }
    Ok(Outcome::Done)
}

fn create(create: &Create, domid: Domid, control: &Control) -> Result<Outcome, XenError> {
    bounded(create.vcpus as usize, MAX_VCPUS as usize)?;
    let config = CreateDomain {
        handle: create.handle,
        max_vcpus: create.vcpus,
        max_evtchn_port: create.tables.highest_port,
        max_grant_frames: create.tables.grant_frames,
        max_maptrack_frames: create.tables.maptrack_frames,
        ..CreateDomain::PV
    };
    control.create(domid, &config)?;
    control.set_max_mem(domid, create.memory_kib)?;
    control.set_max_vcpus(domid, create.vcpus)?;
    control.set_tsc(domid, create.tsc)?;
    let info = control.info(domid)?.ok_or(Errno::Esrch)?;
    Ok(Outcome::Created(info.shared_info_frame))
}

/// Maps the frames that `length` bytes from `at` on lie in, and does `change` with the place of the first byte in the
/// slot.
fn on_pages(
    at: MachineAddr,
    length: usize,
    domid: Domid,
    slot: &mut Slot,
    change: impl FnOnce(&mut Slot, usize),
) -> Result<(), XenError> {
    let offset = at.page_offset() as usize;
    bounded(length, MAX_BYTES)?;
    let pages = (offset + length).div_ceil(PAGE_SIZE);
    bounded(pages, WORK_PAGES)?;
    let first = at.mfn();
    let mapped = slot.map(0, pages, domid, Access::Writable, |page| first + page as u64);
    if mapped.is_ok() {
        change(slot, offset);
    }
    // What stays mapped would keep a page from becoming a page table, and the domain from going away.
    slot.unmap(0, pages)?;
    mapped
}

fn bounded(asked: usize, most: usize) -> Result<(), XenError> {
    if asked <= most { Ok(()) } else { Err(Errno::E2big.into()) }
}
