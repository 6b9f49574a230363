//! Xen and a broker, as far as building a guest needs them: carries steps out on simulated frames, and takes nothing
//! that it should not be asked for.

use std::collections::BTreeMap;

use builder::{
    Answer, Build, BuildError, Extent, GuestPlan, Step,
    steps::{Create, MAX_BYTES, MAX_EXTENTS, MAX_ORDER, MAX_RANGES, MAX_VCPUS},
};
use xen_abi::{
    Domid, GrantRef, MachineAddr, Mfn, Pfn, Port, context::VcpuGuestContext, memory::MemoryMapEntry,
};

const PAGE: usize = 4096;

/// The frame of shared_info; no page of a guest has it.
pub(crate) const SHARED_INFO: Mfn = Mfn(0x99);

/// What a page holds that nobody has written to: Xen promises nothing.
const STALE: u8 = 0xa5;

/// What Xen has in store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Store {
    /// The greatest order of a free piece.
    pub(crate) order: u32,
    /// Pieces that it gives at once.
    pub(crate) at_once: usize,
    /// Pages in all.
    pub(crate) pages: u64,
    /// Whether pieces follow each other.
    pub(crate) contiguous: bool,
}

impl Store {
    pub(crate) const PLENTY: Self =
        Self { order: MAX_ORDER, at_once: MAX_EXTENTS, pages: u64::MAX, contiguous: false };
}

/// A domain that was built.
pub(crate) struct Domain {
    store: Store,
    next_frame: u64,
    pub(crate) create: Option<Create>,
    pub(crate) memory_map: Vec<MemoryMapEntry>,
    /// The frame of each page, in order.
    pub(crate) frames: Vec<Mfn>,
    memory: BTreeMap<Mfn, [u8; PAGE]>,
    /// Who may bind to the port that is this one's index plus 1.
    pub(crate) ports: Vec<Domid>,
    pub(crate) grants: BTreeMap<GrantRef, (Domid, Mfn)>,
    pub(crate) hypercall_page: Option<Mfn>,
    pub(crate) pinned: Option<Mfn>,
    pub(crate) context: Option<VcpuGuestContext>,
    pub(crate) running: bool,
    /// Names of the steps taken.
    pub(crate) steps: Vec<&'static str>,
}

/// Builds `plan` with plenty of memory.
pub(crate) fn build(plan: &GuestPlan<'_>) -> Domain {
    let room = (plan.params().memory_pages / 512 + 10) as usize;
    try_build(plan, Store::PLENTY, room).unwrap()
}

/// Builds `plan` with what `store` has, and room for so many extents.
pub(crate) fn try_build(plan: &GuestPlan<'_>, store: Store, room: usize) -> Result<Domain, BuildError> {
    let mut domain = Domain::new(store);
    let mut room = vec![Extent::default(); room];
    let mut build = Build::new(plan, &mut room);
    while let Some(step) = build.step() {
        let mut frames = Vec::new();
        let answer = domain.carry_out(&step, &mut frames);
        build.answer(answer)?;
    }
    let extents = build.extents();
    assert!((0..).zip(&domain.frames).all(|(pfn, frame)| extents.frame(Pfn(pfn)) == *frame));
    assert_eq!(extents.frame(Pfn(domain.frames.len() as u64)), Mfn::INVALID);
    Ok(domain)
}

impl Domain {
    fn new(store: Store) -> Self {
        Self {
            store,
            next_frame: 0x10_0000,
            create: None,
            memory_map: Vec::new(),
            frames: Vec::new(),
            memory: BTreeMap::new(),
            ports: Vec::new(),
            grants: BTreeMap::new(),
            hypercall_page: None,
            pinned: None,
            context: None,
            running: false,
            steps: Vec::new(),
        }
    }

    fn carry_out<'f>(&mut self, step: &Step<'_>, frames: &'f mut Vec<Mfn>) -> Answer<'f> {
        self.steps.push(step.name());
        assert!(!self.running, "{step:?} on a running domain");
        assert_eq!(self.create.is_none(), matches!(step, Step::Create(_)), "{step:?} comes first, once");
        match *step {
            Step::Create(create) => {
                assert!((1..=MAX_VCPUS).contains(&create.vcpus));
                self.create = Some(create);
                self.memory.insert(SHARED_INFO, [0; PAGE]);
                return Answer::Created { shared_info: SHARED_INFO };
            }
            Step::MemoryMap(ranges) => {
                assert!(ranges.len() <= MAX_RANGES);
                self.memory_map = ranges.to_vec();
            }
            Step::Populate { first, order, count } => {
                assert_eq!(first.0, self.frames.len() as u64, "memory is given in order");
                assert!((1..=MAX_EXTENTS).contains(&count) && order <= MAX_ORDER);
                self.populate(order, count, frames);
                return Answer::Frames(frames);
            }
            Step::AllocatePort { remote } => {
                self.ports.push(remote);
                return Answer::Port(Port(self.ports.len() as u32));
            }
            Step::Write { at, bytes } => self.write(at, bytes),
            Step::Clear { at, length } => self.write(at, &[0; MAX_BYTES + 1][..length]),
            Step::HypercallPage { frame } => {
                assert!(self.memory.contains_key(&frame));
                self.hypercall_page = Some(frame);
            }
            Step::Grant { entry, to, frame } => {
                assert!(entry.0 < xen_abi::grant_table::NR_RESERVED_ENTRIES);
                assert!(self.memory.contains_key(&frame));
                self.grants.insert(entry, (to, frame));
            }
            Step::Pin { root } => {
                assert!(self.memory.contains_key(&root));
                assert_eq!(self.pinned.replace(root), None, "pinned once");
            }
            Step::Context { vcpu, context } => {
                assert_eq!(vcpu, 0);
                self.context = Some(*context);
            }
            Step::Unpause => self.running = true,
        }
        Answer::Done
    }

    fn populate(&mut self, order: u32, count: usize, given: &mut Vec<Mfn>) {
        let pages = 1u64 << order;
        let in_store = order <= self.store.order;
        while in_store && given.len() < count.min(self.store.at_once) && self.store.pages >= pages {
            self.store.pages -= pages;
            let first = self.next_frame.next_multiple_of(pages);
            self.next_frame = first + pages + if self.store.contiguous { 0 } else { 7 };
            given.push(Mfn(first));
            for frame in (first..first + pages).map(Mfn) {
                self.frames.push(frame);
                self.memory.insert(frame, [STALE; PAGE]);
            }
        }
    }

    /// Writes bytes to frames that follow each other.
    fn write(&mut self, at: MachineAddr, bytes: &[u8]) {
        assert!((1..=MAX_BYTES).contains(&bytes.len()), "{} bytes", bytes.len());
        assert_eq!(self.pinned, None, "page tables are not written to once they are pinned");
        let (mut frame, mut offset, mut rest) = (at.mfn(), at.page_offset() as usize, bytes);
        let mut pages = 0;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(PAGE - offset));
            let page = self.memory.get_mut(&frame).expect("a frame of the domain");
            page[offset..offset + now.len()].copy_from_slice(now);
            (frame, offset, rest) = (frame + 1, 0, later);
            pages += 1;
        }
        assert!(pages * PAGE <= MAX_BYTES, "{} bytes at {at} are on {pages} pages", bytes.len());
    }

    /// The content of a frame.
    pub(crate) fn page(&self, frame: Mfn) -> &[u8; PAGE] {
        &self.memory[&frame]
    }

    /// The same as a page table or a part of a list.
    pub(crate) fn words(&self, frame: Mfn) -> Vec<u64> {
        self.page(frame).chunks(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect()
    }
}
