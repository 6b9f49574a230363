//! A request on its way: from the ring to the device and back.

use crate::device::{Outcome, Piece};
use crate::geometry::Geometry;
use crate::request::{Operation, Request, Segment};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};
use shadow::Order;

/// A request as it is noted in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) vbd: u16,
    pub(crate) queue: u16,
    /// Its index in the ring.
    pub(crate) index: u32,
    pub(crate) request: Request,
}

/// An answer as it is noted in the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Answer {
    pub(crate) vbd: u16,
    pub(crate) queue: u16,
    /// Its index in the ring.
    pub(crate) position: u32,
    pub(crate) id: u64,
    pub(crate) code: u8,
    pub(crate) status: i16,
}

impl shadow::Work for Taken {
    type Answer = Answer;
    const VERSION: u16 = 1;
}

impl Taken {
    /// How the request stands to the others of its disk.
    pub(crate) fn order(&self) -> Order {
        match self.request.operation {
            Operation::Barrier => Order::Fence,
            Operation::Flush => Order::Flush,
            Operation::Read | Operation::Write | Operation::Discard { .. } | Operation::Unknown => {
                Order::Free
            }
        }
    }
}

/// One thing that the device has to do for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Flush.
    Flush,
    /// Read or write the data.
    Transfer,
    /// Discard.
    Discard { sectors: u64, secure: bool },
}

/// Whose pages the data lie in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere yet.
    Nowhere,
    /// In the driver's own.
    Own,
    /// In the guest's, mapped.
    Mapped,
}

/// The most commands that the device is given for one request at a time.
const MAX_COMMANDS: usize = 8;

/// A request on its way.
#[derive(Debug)]
pub(crate) struct Flight {
    /// The request; none if nothing is under way here.
    pub(crate) taken: Option<Taken>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) place: Place,
    /// What the device has to do, one after the other.
    stages: heapless::Vec<Stage, 3>,
    stage: usize,
    /// How many commands, or pieces, of this stage have been submitted.
    pub(crate) submitted: usize,
    /// The commands that the device has: of each, the first of its pieces.
    pub(crate) under_way: heapless::Vec<u16, MAX_COMMANDS>,
    /// The worst that the device has said of any.
    pub(crate) worst: Outcome,
    /// Told with each command, so that what comes late is not taken for something else.
    pub(crate) generation: u32,
}

impl Flight {
    pub(crate) const EMPTY: Self = Self {
        taken: None,
        segments: Vec::new(),
        pieces: Vec::new(),
        place: Place::Nowhere,
        stages: heapless::Vec::new(),
        stage: 0,
        submitted: 0,
        under_way: heapless::Vec::new(),
        worst: Outcome::Done,
        generation: 0,
    };

    /// Sets out for a request.
    pub(crate) fn begin(&mut self, taken: Taken) {
        self.reset();
        self.taken = Some(taken);
    }

    /// Goes back to where it set out. Whatever it held has been released.
    pub(crate) fn reset(&mut self) {
        self.segments.clear();
        self.pieces.clear();
        self.place = Place::Nowhere;
        self.stages.clear();
        self.next_stage();
        self.stage = 0;
        self.under_way.clear();
        self.worst = Outcome::Done;
    }

    /// Plans what the device has to do, now that the segments are known.
    pub(crate) fn plan(&mut self, geometry: &Geometry) {
        let Some(taken) = &self.taken else { return };
        let data = (!self.segments.is_empty()).then_some(Stage::Transfer);
        let flush = geometry.has_cache.then_some(Stage::Flush);
        let stages = match taken.request.operation {
            Operation::Read | Operation::Write => [data, None, None],
            Operation::Flush => [flush, data, None],
            Operation::Barrier => [flush, data, data.and(flush)],
            Operation::Discard { sectors: 0, .. } | Operation::Unknown => [None; 3],
            Operation::Discard { sectors, secure } => {
                let secure = secure && geometry.discard.is_some_and(|discard| discard.secure);
                [Some(Stage::Discard { sectors, secure }), None, None]
            }
        };
        self.stages = stages.into_iter().flatten().collect();
    }

    /// What the device has to do now; nothing, if it has done all.
    pub(crate) fn stage(&self) -> Option<Stage> {
        self.stages.get(self.stage).copied()
    }

    /// Takes in that the device has finished one of the commands; returns whether it had it.
    pub(crate) fn finish(&mut self, generation: u32, first: u16, outcome: Outcome) -> bool {
        let place = self.under_way.iter().position(|&other| other == first);
        let Some(place) = place.filter(|_| generation == self.generation) else { return false };
        self.under_way.swap_remove(place);
        self.worst = worse(self.worst, outcome);
        true
    }

    /// Goes on to what the device has to do next.
    pub(crate) fn next_stage(&mut self) {
        self.stage += 1;
        self.submitted = 0;
        self.generation = self.generation.wrapping_add(1);
    }

    /// Whether all of this stage has been submitted.
    pub(crate) fn is_submitted(&self) -> bool {
        match self.stage() {
            Some(Stage::Transfer) => self.submitted == self.pieces.len(),
            Some(Stage::Flush | Stage::Discard { .. }) => self.submitted == 1,
            None => true,
        }
    }
}

/// Of what the device has said of several commands, that which counts for all of them.
fn worse(one: Outcome, other: Outcome) -> Outcome {
    let weight = |outcome| match outcome {
        Outcome::Done => 0,
        Outcome::Unsupported => 1,
        Outcome::Failed => 2,
        Outcome::Aborted => 3,
    };
    if weight(one) >= weight(other) { one } else { other }
}
