//! Where each record is: a hash table with chains, in ordinary memory.

/// Type and key of a record.
pub(crate) type Id = (u16, u32);

/// The end of a chain.
const END: u16 = u16::MAX;

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotState {
    Free,
    Used(Id),
    Lost,
}

/// Each slot is in the chain of its bucket, in the chain of the free slots, or in none because it is lost.
#[derive(Debug)]
pub(crate) struct Index<const SLOTS: usize> {
    buckets: [u16; SLOTS],
    next: [u16; SLOTS],
    state: [SlotState; SLOTS],
    free: u16,
}

impl<const SLOTS: usize> Index<SLOTS> {
    /// An index in which every slot is lost.
    pub(crate) const fn new() -> Self {
        const { assert!(SLOTS > 0 && SLOTS < END as usize) };
        Index { buckets: [END; SLOTS], next: [END; SLOTS], state: [SlotState::Lost; SLOTS], free: END }
    }

    /// Spreads keys that follow one another, as keys do, over all buckets.
    fn bucket((type_id, key): Id) -> usize {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let hash = (((type_id as u64) << 32) | key as u64).wrapping_mul(GOLDEN) >> 32;
        hash as usize % SLOTS
    }

    fn chain(&self, first: u16) -> impl Iterator<Item = usize> {
        let link = |slot: u16| (slot != END).then_some(slot as usize);
        core::iter::successors(link(first), move |&slot| link(self.next[slot]))
    }

    pub(crate) fn find(&self, id: Id) -> Option<usize> {
        self.chain(self.buckets[Self::bucket(id)]).find(|&slot| self.state[slot] == SlotState::Used(id))
    }

    pub(crate) fn first_free(&self) -> Option<usize> {
        self.chain(self.free).next()
    }

    pub(crate) fn state(&self, slot: usize) -> SlotState {
        self.state[slot]
    }

    /// Puts a slot that is lost, or the first free one, into the chain of `id`.
    pub(crate) fn insert(&mut self, slot: usize, id: Id) {
        if self.free == slot as u16 {
            self.free = self.next[slot];
        }
        let bucket = &mut self.buckets[Self::bucket(id)];
        self.next[slot] = *bucket;
        *bucket = slot as u16;
        self.state[slot] = SlotState::Used(id);
    }

    /// Takes `id` out of its chain; its slot is in none then.
    pub(crate) fn remove(&mut self, id: Id) -> Option<usize> {
        let slot = self.find(id)?;
        let bucket = Self::bucket(id);
        let before = self.chain(self.buckets[bucket]).find(|&before| self.next[before] == slot as u16);
        match before {
            Some(before) => self.next[before] = self.next[slot],
            None => self.buckets[bucket] = self.next[slot],
        }
        self.state[slot] = SlotState::Lost;
        Some(slot)
    }

    /// Puts a slot that is in no chain into that of the free ones.
    pub(crate) fn set_free(&mut self, slot: usize) {
        self.next[slot] = self.free;
        self.free = slot as u16;
        self.state[slot] = SlotState::Free;
    }

    pub(crate) fn used(&self) -> impl Iterator<Item = (usize, Id)> {
        self.state.iter().enumerate().filter_map(|(slot, state)| match state {
            SlotState::Used(id) => Some((slot, *id)),
            _ => None,
        })
    }

    pub(crate) fn lost(&self) -> impl Iterator<Item = usize> {
        self.state.iter().enumerate().filter(|(_, state)| **state == SlotState::Lost).map(|(slot, _)| slot)
    }
}
