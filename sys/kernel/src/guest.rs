//! What only the building of guests needs of Xen.

use crate::control::Control;
use pv::Result;
use pv::hypercall::{arg, call};
use xen_abi::domctl::{DomctlCommand, HypercallInit, TscInfo, TscMode};
use xen_abi::errno::Errno;
use xen_abi::grant_table::{GrantTableOp, SetupTable};
use xen_abi::memory::{ForeignMemoryMap, MemoryMap, MemoryMapEntry, MemoryOp};
use xen_abi::{Domid, GuestHandle, Hypercall, Mfn, Pfn};

impl Control {
    /// How `domain` sees the TSC.
    ///
    /// # Errors
    /// Xen's.
    pub fn set_tsc(&self, domain: Domid, mode: TscMode) -> Result {
        self.with(DomctlCommand::SetTscInfo, domain, &TscInfo::new(mode)).map(|_| ())
    }

    /// Has Xen write its hypercall stubs to a page of `domain`.
    ///
    /// # Errors
    /// Xen's: the frame is not the domain's, or not writable to it.
    pub fn fill_hypercall_page(&self, domain: Domid, frame: Mfn) -> Result {
        self.with(DomctlCommand::HypercallInit, domain, &HypercallInit { gmfn: Pfn(frame.0) }).map(|_| ())
    }

    /// What `domain` is told when it asks for its memory map.
    ///
    /// # Errors
    /// Xen's: too many ranges.
    pub fn set_memory_map(&self, domain: Domid, ranges: &[MemoryMapEntry]) -> Result {
        let map = MemoryMap { nr_entries: ranges.len() as u32, pad: 0, buffer: GuestHandle::to(ranges) };
        let mut foreign = ForeignMemoryMap { domid: domain, pad: [0; 3], map };
        let op = u64::from(MemoryOp::SetMemoryMap.raw());
        // SAFETY: Xen reads the structure and the ranges, and keeps a copy of these.
        unsafe { call(Hypercall::MemoryOp, [op, arg(&mut foreign)]) }.map(|_| ())
    }

    /// The first frame of the grant table of `domain`, which has one from here on.
    ///
    /// # Errors
    /// Xen's, for the hypercall as a whole; EINVAL where the operation itself was refused.
    pub fn grant_table(&self, domain: Domid) -> Result<Mfn> {
        let mut frame = Mfn::INVALID;
        let mut setup = SetupTable {
            dom: domain,
            nr_frames: 1,
            frame_list: GuestHandle::to_mut(&mut frame),
            ..Default::default()
        };
        let op = u64::from(GrantTableOp::SetupTable.raw());
        // SAFETY: Xen writes the status to the structure and one frame to the list.
        unsafe { call(Hypercall::GrantTableOp, [op, arg(&mut setup), 1]) }?;
        if setup.status == 0 { Ok(frame) } else { Err(Errno::Einval.into()) }
    }
}
