//! Carrying out the steps that concern one domain alone.
//!
//! Each is bounded, whoever asks for it. Whose frames those are that a step names, Xen knows, and refuses to map or pin
//! others.

use broker::answer::What;
use broker::{Answer, Outcome, Refusal, Request};
use builder::steps::{MAX_BYTES, MAX_EXTENTS, MAX_ORDER, MAX_RANGES, MAX_VCPUS};
use heapless::Vec;
use kernel::call;
use kernel::control::Control;
use kernel::pv::event;
use kernel::window::{Access, Slot};
use uk_abi::layout::PAGE_SIZE;
use xen_abi::context::VcpuGuestContext;
use xen_abi::errno::Errno;
use xen_abi::grant_table::{GrantEntryV1, GrantFlags, NR_RESERVED_ENTRIES};
use xen_abi::memory::MemoryMapEntry;
use xen_abi::{Domid, GrantRef, MachineAddr, Mfn, XenError};
use zerocopy::{FromBytes, IntoBytes};

/// Pages of the slot that a step works in; nothing stays mapped there.
pub const WORK_PAGES: usize = MAX_BYTES / PAGE_SIZE;

/// What steps are carried out with.
pub struct Hands<'a> {
    /// Xen.
    pub control: &'a Control,
    /// Where pages of a domain are mapped while a step works on them.
    pub slot: &'a mut Slot,
    /// The boot archive.
    pub archive: &'a [u8],
}

impl Hands<'_> {
    /// Does what `request` asks for, with the `data` that go with it. What needs more than a domain is not for this.
    ///
    /// # Errors
    /// [`Refusal`]: Xen's, or that it is more than one step may be.
    pub fn carry_out(&mut self, request: &Request, data: &[u8]) -> Outcome {
        let control = self.control;
        match *request {
            Request::MemoryMap { domain } => {
                let ranges = memory_map(data)?;
                control.set_memory_map(domain, &ranges).map_err(Refusal::xen)?;
            }
            Request::Populate { domain, first, order, count } => {
                return self.populate(domain, first.0, order, count);
            }
            Request::AllocatePort { domain, remote } => {
                return event::alloc_unbound(domain, remote).map(Answer::Port).map_err(Refusal::xen);
            }
            Request::Write { domain, at } => self.write(domain, at, data)?,
            Request::Copy { domain, at, offset, length } => {
                bounded(What::Length, length.into(), MAX_BYTES as u64)?;
                let end = offset.saturating_add(length.into());
                bounded(What::ArchiveOffset, end, self.archive.len() as u64)?;
                let archive = self.archive;
                self.write(domain, at, &archive[offset as usize..end as usize])?;
            }
            Request::Clear { domain, at, length } => {
                bounded(What::Length, length.into(), MAX_BYTES as u64)?;
                let length = length as usize;
                self.on_pages(domain, at, length, |slot, offset| slot.zero(offset, length))?;
            }
            Request::HypercallPage { domain, frame } => {
                control.fill_hypercall_page(domain, frame).map_err(Refusal::xen)?;
            }
            Request::Grant { domain, entry, to, frame } => self.grant(domain, entry, to, frame)?,
            Request::Pin { domain, root } => control.pin_l4(domain, root).map_err(Refusal::xen)?,
            Request::Context { domain, vcpu } => {
                bounded(What::Vcpus, vcpu.into(), u64::from(MAX_VCPUS) - 1)?;
                let context = VcpuGuestContext::read_from_bytes(data).map_err(|_| Refusal::Malformed)?;
                control.set_context(domain, vcpu, &context).map_err(Refusal::xen)?;
            }
            Request::Unpause { domain } => control.unpause(domain).map_err(Refusal::xen)?,
            Request::Pause { domain } => control.pause(domain).map_err(Refusal::xen)?,
            Request::SetWeight { domain, weight } => {
                control.set_weight(domain, weight).map_err(Refusal::xen)?;
            }
            Request::Host
            | Request::Find { .. }
            | Request::Next { .. }
            | Request::Info { .. }
            | Request::Vcpu { .. }
            | Request::Create { .. }
            | Request::Component { .. }
            | Request::Event { .. }
            | Request::Restart { .. }
            | Request::Release { .. }
            | Request::Inject { .. }
            | Request::Introduce { .. }
            | Request::Destroy { .. }
            | Request::SetMaxMemory { .. } => return Err(Refusal::Malformed),
        }
        Ok(Answer::Done)
    }

    fn populate(&mut self, domain: Domid, first: u64, order: u32, count: u32) -> Outcome {
        bounded(What::Extents, count.into(), MAX_EXTENTS as u64)?;
        bounded(What::Order, order.into(), MAX_ORDER.into())?;
        let mut frames = Vec::new();
        for index in 0..u64::from(count) {
            // Xen may have to scrub it first.
            call::beat();
            match self.control.populate(domain, first.wrapping_add(index << order), order) {
                // There is room for as many as may be asked for.
                Ok(frame) => frames.push(frame).unwrap_or(()),
                Err(error) if error.is(Errno::Enomem) => break,
                Err(error) => return Err(Refusal::xen(error)),
            }
        }
        Ok(Answer::Frames(frames))
    }

    fn grant(&mut self, domain: Domid, entry: GrantRef, to: Domid, frame: Mfn) -> Result<(), Refusal> {
        bounded(What::GrantEntry, entry.0.into(), u64::from(NR_RESERVED_ENTRIES) - 1)?;
        // An entry has room for 32 bits of a frame.
        let frame = u32::try_from(frame.0).map_err(|_| Refusal::xen(Errno::E2big.into()))?;
        let table = self.control.grant_table(domain).map_err(Refusal::xen)?.addr();
        let granted = GrantEntryV1 { flags: GrantFlags::PERMIT_ACCESS, domid: to, frame };
        let at = MachineAddr(table.0 + u64::from(entry.0) * size_of::<GrantEntryV1>() as u64);
        // One store of a word: a domain that runs sees the entry as a whole.
        self.write(domain, at, granted.as_bytes())
    }

    fn write(&mut self, domain: Domid, at: MachineAddr, bytes: &[u8]) -> Result<(), Refusal> {
        self.on_pages(domain, at, bytes.len(), |slot, offset| slot.write(offset, bytes))
    }

    /// Maps the frames that `length` bytes from `at` on lie in, and does `change` with the place of the first byte in the
    /// slot.
    fn on_pages(
        &mut self,
        domain: Domid,
        at: MachineAddr,
        length: usize,
        change: impl FnOnce(&mut Slot, usize),
    ) -> Result<(), Refusal> {
        let offset = at.page_offset() as usize;
        let most = WORK_PAGES * PAGE_SIZE - offset;
        bounded(What::Length, length as u64, most as u64)?;
        let pages = (offset + length).div_ceil(PAGE_SIZE);
        let first = at.mfn().0;
        // A frame that cannot be is Xen's to refuse.
        let frame = |page: usize| Mfn(first.wrapping_add(page as u64));
        let mapped = self.slot.map(0, pages, domain, Access::Writable, frame);
        if mapped.is_ok() {
            change(self.slot, offset);
        }
        // What stays mapped would keep a page from becoming a page table, and the domain from going away.
        self.slot.unmap(0, pages).and(mapped).map_err(Refusal::xen)
    }
}

/// The entries of a memory map.
fn memory_map(data: &[u8]) -> Result<Vec<MemoryMapEntry, MAX_RANGES>, Refusal> {
    let (entries, rest) = data.as_chunks::<{ size_of::<MemoryMapEntry>() }>();
    if !rest.is_empty() {
        return Err(Refusal::Malformed);
    }
    bounded(What::Ranges, entries.len() as u64, MAX_RANGES as u64)?;
    Ok(entries.iter().map(|entry| zerocopy::transmute!(*entry)).collect())
}

/// Refuses what is more than the most.
pub fn bounded(what: What, asked: u64, most: u64) -> Result<(), Refusal> {
    if asked <= most { Ok(()) } else { Err(Refusal::TooMuch { what, asked, most }) }
}

/// What Xen has answered, as the broker says it.
pub fn by_xen<T>(answer: Result<T, XenError>) -> Result<T, Refusal> {
    answer.map_err(Refusal::xen)
}
