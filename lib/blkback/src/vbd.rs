//! One frontend's disk: its rings, and where each of them stands.

use crate::device::Volume;
use crate::flight::{Answer, Taken};
use crate::geometry::Geometry;
use crate::keys::{MAX_QUEUES, Offer};
use crate::persistent::Persistent;
use crate::reason::Reason;
use alloc::vec::Vec;
use ring::request::{Backend, Block, Position, Ring};
use shadow::{Group, Journal, Open, Token};
use uk_abi::Words;
use xen_abi::{Domid, blkif};

/// Names a frontend's disk among those of one driver. It stays the same when the uk is born again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VbdId(pub u16);

impl VbdId {
    pub(crate) const fn group(self) -> Group {
        Group(self.0)
    }

    /// The number of a queue's ring in the journal.
    pub(crate) const fn ring(self, queue: usize) -> u32 {
        self.0 as u32 * MAX_QUEUES as u32 + queue as u32
    }
}

/// What a frontend is connected to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Whose grants are in the requests.
    pub guest: Domid,
    /// Where the requests go.
    pub volume: Volume,
    /// What the volume is.
    pub geometry: Geometry,
    /// What the frontend was offered.
    pub offer: Offer,
    /// Whether the frontend promises to use the same grants again and again.
    pub persistent: bool,
}

/// Whether a frontend is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// It is.
    On,
    /// No longer, and what it has broken has been reported.
    Broken,
    /// No longer; when nothing of its is in use this is to be reported.
    Leaving,
}

#[derive(Debug)]
pub(crate) struct Queue<'a> {
    pub(crate) memory: Ring<'a, Block>,
    pub(crate) ring: Backend<'a, Block>,
    /// Answers have been written and not shown.
    pub(crate) dirty: bool,
    /// The frontend gets an event whether it wants one or not: a life before may have died before it sent one.
    pub(crate) poke: bool,
}

#[derive(Debug)]
pub(crate) struct Vbd<'a> {
    pub(crate) disk: Disk,
    pub(crate) queues: Vec<Queue<'a>>,
    pub(crate) persistent: Persistent,
    /// There was no room for one of its pages to stay mapped.
    pub(crate) lacks_room: bool,
    pub(crate) service: Service,
    /// How many requests are under way.
    pub(crate) open: usize,
}

/// The answer to a request, as it stands in the ring.
pub(crate) fn response(answer: &Answer) -> blkif::Response {
    blkif::Response { id: answer.id, operation: answer.code, status: answer.status, ..Default::default() }
}

/// A disk's queues, where an earlier life or an earlier part of this one left them: what is open is what the journal says, in
/// `open`. A queue that the journal does not know begins where its ring does. All answers have been shown when this returns.
///
/// # Errors
/// The journal and the rings contradict each other: a record was lost, or the frontend has written what is not its to write.
pub(crate) fn queues<'a, M: Words, const SLOTS: usize, const PAYLOAD: usize>(
    rings: &[Ring<'a, Block>],
    id: VbdId,
    open: &[(Token, Open<Taken>)],
    journal: &mut Journal<M, Taken, SLOTS, PAYLOAD>,
) -> Result<Vec<Queue<'a>>, Reason> {
    let elsewhere = |entry: &Open<Taken>| match entry {
        Open::Begun { work, .. } => usize::from(work.queue) >= rings.len(),
        Open::Answering(answer) => usize::from(answer.queue) >= rings.len(),
    };
    let by_journal = open.iter().filter(|(_, entry)| elsewhere(entry)).count() as u32;
    if by_journal > 0 {
        return Err(Reason::Contradiction { queue: rings.len() as u16, by_ring: 0, by_journal });
    }
    rings.iter().zip(0..).map(|(&ring, number)| queue(ring, id, number, open, journal)).collect()
}

fn queue<'a, M: Words, const SLOTS: usize, const PAYLOAD: usize>(
    memory: Ring<'a, Block>,
    id: VbdId,
    queue: u16,
    open: &[(Token, Open<Taken>)],
    journal: &mut Journal<M, Taken, SLOTS, PAYLOAD>,
) -> Result<Queue<'a>, Reason> {
    let number = id.ring(usize::from(queue));
    let shown = memory.shown();
    let mut hidden = Vec::new();
    let mut ended = Vec::new();
    let mut begun = 0;
    let mut consumed = journal.cursor(number).unwrap_or(shown);
    for (token, entry) in open {
        match entry {
            Open::Begun { work, .. } if work.queue == queue => {
                begun += 1;
                // The cursor is noted after the requests that it stands behind.
                if work.index.wrapping_sub(consumed).cast_signed() >= 0 {
                    consumed = work.index.wrapping_add(1);
                }
            }
            Open::Answering(answer) if answer.queue == queue => {
                ended.push(*token);
                if answer.position.wrapping_sub(shown).cast_signed() >= 0 {
                    hidden.push(answer);
                }
            }
            Open::Begun { .. } | Open::Answering(_) => {}
        }
    }
    hidden.sort_unstable_by_key(|answer| answer.position.wrapping_sub(shown));
    let by_journal = begun + hidden.len() as u32;
    let by_ring = consumed.wrapping_sub(shown);
    let in_place = |(answer, place): (&&Answer, u32)| answer.position == shown.wrapping_add(place);
    if by_ring != by_journal || !hidden.iter().zip(0..).all(in_place) {
        return Err(Reason::Contradiction { queue, by_ring, by_journal });
    }
    let mut ring = Backend::resume(memory, Position { consumed, answered: shown })?;
    journal.set_cursor(number, consumed)?;
    for answer in hidden {
        // There are as many to answer as the journal says.
        let _ = ring.respond(&response(answer));
    }
    ring.publish();
    for token in ended {
        journal.end(token);
    }
    Ok(Queue { memory, ring, dirty: false, poke: true })
}

/// What of a journal is one disk's.
pub(crate) fn entries_of(id: VbdId, open: &mut Vec<(Token, Open<Taken>)>) -> Vec<(Token, Open<Taken>)> {
    let vbd = |entry: &Open<Taken>| match entry {
        Open::Begun { work, .. } => work.vbd,
        Open::Answering(answer) => answer.vbd,
    };
    let (ours, others) = open.drain(..).partition(|(_, entry)| vbd(entry) == id.0);
    *open = others;
    ours
}
