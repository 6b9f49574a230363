//! Carrying a plan out, one step at a time.

use xen_abi::{
    MachineAddr, Mfn, PAGE_SHIFT, PAGE_SIZE, Pfn, Port,
    context::VcpuGuestContext,
    grant_table::{RESERVED_CONSOLE, RESERVED_XENSTORE},
    memory::MemoryMapEntry,
    mmu::PTES_PER_TABLE,
    shared_info::{LEGACY_MAX_VCPUS, VcpuInfo},
    start_info::StartInfo,
};
use zerocopy::IntoBytes;

use super::{
    error::BuildError,
    extents::{Extent, Extents},
    plan::{Connections, GuestPlan, Piece},
};
use crate::steps::{Answer, Create, MAX_BYTES, MAX_EXTENTS, MAX_ORDER, Step};

/// What Xen counts against a domain's memory besides its pages, in KiB: tables of its own.
const SPARE_KIB: u64 = 1024;

/// Machine frames can have 40 bits (52-bit physical addresses).
const FRAME_LIMIT: u64 = 1 << 40;

/// An entry of a version 1 grant table has room for 32 bits of a frame.
const GRANT_FRAME_LIMIT: u64 = 1 << 32;

/// Where a build is: which step is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Create,
    MemoryMap,
    Populate {
        order: u32,
    },
    StorePort,
    ConsolePort,
    /// So many bytes of a piece are written, of its zeros too.
    Piece {
        index: usize,
        done: u64,
    },
    P2m {
        index: u64,
    },
    StartInfo,
    StoreRing,
    ConsoleRing,
    MaskEvents,
    Table {
        index: usize,
    },
    HypercallPage,
    Pin,
    StoreGrant,
    ConsoleGrant,
    Context,
    Unpause,
    Finished,
}

/// A plan that is being carried out.
///
/// [`Build::step`] says what is to be done next. Whoever does it tells [`Build::answer`] what came of it; until then the
/// step stays the same. A step that fails ends the build: what exists of the domain is destroyed, and that is all.
/// Nothing of the guest is copied but the page that is being made up.
///
/// ```
/// # fn build(kernel: &[u8]) -> Result<(), Box<dyn core::error::Error>> {
/// use builder::{Answer, Build, Extent, GuestParams, GuestPlan, Step};
///
/// let params = GuestParams { memory_pages: 16 << 10, most_pages: 16 << 10, ..GuestParams::default() };
/// let plan = GuestPlan::new(kernel, &params)?;
/// let mut room = [Extent::default(); 64];
/// let mut build = Build::new(&plan, &mut room);
/// while let Some(step) = build.step() {
///     let frames;
///     let answer = match step {
///         // Hypercalls, or a request to somebody who may issue them.
///         Step::Populate { count, .. } => {
///             frames = vec![xen_abi::Mfn(0x1234); count];
///             Answer::Frames(&frames)
///         }
///         _ => Answer::Done,
///     };
///     build.answer(answer)?;
/// }
/// # Ok(())
/// # }
/// # assert!(build(&[0; 64]).is_err());
/// ```
#[derive(Debug)]
pub struct Build<'a> {
    plan: &'a GuestPlan<'a>,
    extents: Extents<'a>,
    stage: Stage,
    connections: Connections,
    memory_map: [MemoryMapEntry; 1],
    /// The page that is being made up.
    page: [u64; PTES_PER_TABLE],
    start_info: StartInfo,
    /// The start of the page that Xen shares with the guest.
    vcpu_infos: [VcpuInfo; LEGACY_MAX_VCPUS],
    context: VcpuGuestContext,
}

impl<'a> Build<'a> {
    /// The build of `plan` from its start. `room` is for the extents of the guest's memory: one for each 2 MiB is
    /// enough, unless Xen's memory is fragmented.
    pub fn new(plan: &'a GuestPlan<'a>, room: &'a mut [Extent]) -> Self {
        Self {
            plan,
            extents: Extents::new(room),
            stage: Stage::Create,
            connections: Connections { shared_info: Mfn::INVALID, store: Port(0), console: Port(0) },
            memory_map: plan.memory_map(),
            page: [0; PTES_PER_TABLE],
            start_info: StartInfo::default(),
            // A kernel unmasks events when it can take them. Xen masks none, and has some from the start.
            vcpu_infos: [VcpuInfo { evtchn_upcall_mask: 1, ..VcpuInfo::default() }; LEGACY_MAX_VCPUS],
            context: VcpuGuestContext::default(),
        }
    }

    /// The guest's memory, as far as it has got any.
    pub fn extents(&self) -> &Extents<'a> {
        &self.extents
    }

    /// Ports and frames that the toolstack introduces the guest to XenStore and its console with; valid once the
    /// memory is written.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// The next step; none when the guest is running.
    pub fn step(&mut self) -> Option<Step<'_>> {
        let Self { plan, extents, stage, connections, memory_map, page, start_info, vcpu_infos, context } =
            self;
        let (params, areas) = (plan.params(), plan.areas());
        let frame_of = |pfn| extents.frame(pfn);
        Some(match *stage {
            Stage::Create => Step::Create(Create {
                handle: params.handle,
                memory_kib: (params.most_pages << (PAGE_SHIFT - 10)) + SPARE_KIB,
                vcpus: params.vcpus,
                tsc: params.tsc,
                tables: params.tables,
            }),
            Stage::MemoryMap => Step::MemoryMap(memory_map),
            Stage::Populate { order } => {
                let first = Pfn(extents.pages());
                Step::Populate { first, order, count: extents_wanted(plan, extents, order) }
            }
            Stage::StorePort => Step::AllocatePort { remote: params.store? },
            Stage::ConsolePort => Step::AllocatePort { remote: params.console },
            Stage::Piece { index, done } => {
                let piece = plan.pieces().nth(index)?;
                let (at, length) = next_run(&piece, done, extents);
                match piece.bytes.get(done as usize..) {
                    Some(rest) if !rest.is_empty() => Step::Write { at, bytes: &rest[..length] },
                    _ => Step::Clear { at, length },
                }
            }
            Stage::P2m { index } => {
                plan.fill_p2m(index, frame_of, page);
                write(frame_of(areas.p2m.start + index), page.as_bytes())
            }
            Stage::StartInfo => {
                *start_info = plan.start_info(connections, frame_of);
                write(frame_of(areas.start_info), start_info.as_bytes())
            }
            Stage::StoreRing => clear(frame_of(areas.store)),
            Stage::ConsoleRing => clear(frame_of(areas.console)),
            Stage::MaskEvents => {
                Step::Write { at: connections.shared_info.addr(), bytes: vcpu_infos.as_bytes() }
            }
            Stage::Table { index } => {
                let table = plan.tables().nth(index)?;
                plan.fill_table(&table, frame_of, page);
                write(frame_of(table.pfn), page.as_bytes())
            }
            Stage::HypercallPage => Step::HypercallPage { frame: frame_of(plan.hypercall_page()?) },
            Stage::Pin => Step::Pin { root: frame_of(plan.root_table()) },
            Stage::StoreGrant => {
                Step::Grant { entry: RESERVED_XENSTORE, to: params.store?, frame: frame_of(areas.store) }
            }
            Stage::ConsoleGrant => {
                Step::Grant { entry: RESERVED_CONSOLE, to: params.console, frame: frame_of(areas.console) }
            }
            Stage::Context => {
                plan.fill_context(frame_of, context);
                Step::Context { vcpu: 0, context }
            }
            Stage::Unpause => Step::Unpause,
            Stage::Finished => return None,
        })
    }

    /// Takes what carrying out the last step has brought.
    ///
    /// # Errors
    /// See [`BuildError`]; the build cannot go on then.
    pub fn answer(&mut self, answer: Answer<'_>) -> Result<(), BuildError> {
        let plan = self.plan;
        self.stage = match (self.stage, answer) {
            (Stage::Create, Answer::Created { shared_info }) => {
                self.connections.shared_info = checked(shared_info, FRAME_LIMIT)?;
                Stage::MemoryMap
            }
            (Stage::MemoryMap, Answer::Done) => self.populate(MAX_ORDER),
            (Stage::Populate { order }, Answer::Frames(frames)) => self.take_frames(order, frames)?,
            (Stage::StorePort, Answer::Port(port)) => {
                self.connections.store = port;
                Stage::ConsolePort
            }
            (Stage::ConsolePort, Answer::Port(port)) => {
                self.connections.console = port;
                for page in [plan.areas().store, plan.areas().console] {
                    checked(self.extents.frame(page), GRANT_FRAME_LIMIT)?;
                }
                Stage::Piece { index: 0, done: 0 }
            }
            (Stage::Create | Stage::Populate { .. } | Stage::StorePort | Stage::ConsolePort, _)
            | (_, Answer::Created { .. } | Answer::Frames(_) | Answer::Port(_))
            | (Stage::Finished, _) => return Err(self.wrong_answer()),
            (Stage::Piece { index, done }, Answer::Done) => self.after_piece(index, done),
            (Stage::P2m { index }, _) if index + 1 < plan.areas().p2m.pages => {
                Stage::P2m { index: index + 1 }
            }
            (Stage::P2m { .. }, _) => Stage::StartInfo,
            (Stage::StartInfo, _) => Stage::StoreRing,
            (Stage::StoreRing, _) => Stage::ConsoleRing,
            (Stage::ConsoleRing, _) => Stage::MaskEvents,
            (Stage::MaskEvents, _) => Stage::Table { index: 0 },
            (Stage::Table { index }, _) if plan.tables().nth(index + 1).is_some() => {
                Stage::Table { index: index + 1 }
            }
            (Stage::Table { .. }, _) if plan.hypercall_page().is_some() => Stage::HypercallPage,
            (Stage::Table { .. } | Stage::HypercallPage, _) => Stage::Pin,
            (Stage::Pin, _) if plan.params().store.is_some() => Stage::StoreGrant,
            (Stage::Pin | Stage::StoreGrant, _) => Stage::ConsoleGrant,
            (Stage::ConsoleGrant, _) => Stage::Context,
            (Stage::Context, _) => Stage::Unpause,
            (Stage::Unpause, _) => Stage::Finished,
        };
        Ok(())
    }

    /// Asks for extents of at most `order`, as long as memory is wanted.
    fn populate(&self, order: u32) -> Stage {
        let wanted = self.plan.params().memory_pages - self.extents.pages();
        match wanted.checked_ilog2() {
            Some(largest) => Stage::Populate { order: order.min(largest) },
            None if self.plan.params().store.is_some() => Stage::StorePort,
            None => Stage::ConsolePort,
        }
    }

    fn take_frames(&mut self, order: u32, frames: &[Mfn]) -> Result<Stage, BuildError> {
        let asked = extents_wanted(self.plan, &self.extents, order);
        if frames.len() > asked {
            return Err(BuildError::TooManyFrames { asked, found: frames.len() });
        }
        let wanted = self.plan.params().memory_pages;
        for frame in frames {
            let frame = checked(*frame, FRAME_LIMIT)?;
            if !self.extents.push(frame, 1 << order) {
                let (room, populated) = (self.extents.room(), self.extents.pages());
                return Err(BuildError::Fragmented { room, populated, wanted });
            }
        }
        match order.checked_sub(1) {
            _ if !frames.is_empty() => Ok(self.populate(order)),
            // Xen has no more pieces of this size, but perhaps smaller ones.
            Some(smaller) => Ok(self.populate(smaller)),
            None => Err(BuildError::NoMemory { populated: self.extents.pages(), wanted }),
        }
    }

    fn after_piece(&self, index: usize, done: u64) -> Stage {
        let mut pieces = self.plan.pieces().skip(index);
        let Some(piece) = pieces.next() else { return Stage::P2m { index: 0 } };
        let done = done + next_run(&piece, done, &self.extents).1 as u64;
        if done < piece.bytes.len() as u64 + piece.zeros {
            Stage::Piece { index, done }
        } else if pieces.next().is_some() {
            Stage::Piece { index: index + 1, done: 0 }
        } else {
            Stage::P2m { index: 0 }
        }
    }

    fn wrong_answer(&mut self) -> BuildError {
        let wanted = match self.stage {
            Stage::Create => "the frame that Xen shares with the domain",
            Stage::Populate { .. } => "frames",
            Stage::StorePort | Stage::ConsolePort => "a port",
            Stage::Finished => "nothing: there is no step left",
            _ => "that it is done",
        };
        BuildError::Answer { step: self.step().map_or("none", |step| step.name()), wanted }
    }
}

/// How many extents of this order are asked for next.
fn extents_wanted(plan: &GuestPlan<'_>, extents: &Extents<'_>, order: u32) -> usize {
    let pages = plan.params().memory_pages - extents.pages();
    (pages >> order).min(MAX_EXTENTS as u64) as usize
}

/// Where the next bytes of a piece go, and how many of them: as many as are of one sort (bytes or zeros), in frames
/// that follow each other, on no more pages than a step may touch.
fn next_run(piece: &Piece<'_>, done: u64, extents: &Extents<'_>) -> (MachineAddr, usize) {
    let offset = piece.offset + done;
    let in_page = offset % PAGE_SIZE;
    // There is a frame: the plan has no piece outside the guest's memory.
    let (frame, pages) = extents.run(Pfn(offset >> PAGE_SHIFT)).unwrap_or((Mfn::INVALID, 1));
    let room = (pages << PAGE_SHIFT).min(MAX_BYTES as u64) - in_page;
    let bytes = piece.bytes.len() as u64;
    let left = if done < bytes { bytes - done } else { bytes + piece.zeros - done };
    (MachineAddr(frame.addr().0 + in_page), left.min(room) as usize)
}

fn write(frame: Mfn, bytes: &[u8]) -> Step<'_> {
    Step::Write { at: frame.addr(), bytes }
}

fn clear(frame: Mfn) -> Step<'static> {
    Step::Clear { at: frame.addr(), length: PAGE_SIZE as usize }
}

fn checked(frame: Mfn, limit: u64) -> Result<Mfn, BuildError> {
    if frame.0 < limit { Ok(frame) } else { Err(BuildError::Frame { frame, limit }) }
}
