//! Flipping bits on purpose, in whatever a master or a replica keeps: for tests, and for whoever wants to see on a running
//! host what becomes of it. A number says which bit; the same number flips the same one.

use crate::keeper::Keeper;
use crate::master::Master;
use crate::record::Record;
use crate::replica::Replica;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use uk_abi::Words;
use uk_abi::fault::Fault;
use xenstore::item::{Item, ItemList};
use xenstore::{ConnectionId, Spot};

/// How deep a walk to a node goes at most.
const DEPTH: usize = 16;

/// Watches that are tried, until there is one with the number.
const WATCHES: usize = 64;

/// Numbers that follow from one, evenly spread (SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) as usize
    }

    fn below(&mut self, end: usize) -> usize {
        self.roll() % end.max(1)
    }
}

impl<W: Words> Master<W> {
    /// Flips the bit with the number `seed` of those that `fault`, one of [`Fault::FLIPS`], is about. Returns which one that
    /// is; `None` if there is none, or no state.
    pub fn harm(&mut self, fault: Fault, seed: u64) -> Option<String> {
        let mut dice = Dice(seed);
        match fault {
            _ if !self.is_serving() => None,
            Fault::FlipSession => {
                let open: Vec<(u32, usize)> = self.slots.iter().map(|(id, slot)| (*id, *slot)).collect();
                let (owner, slot) = *open.get(dice.below(open.len()))?;
                self.sessions.flip(slot, dice.roll());
                Some(format!("the session of connection {owner}"))
            }
            Fault::FlipChannel => {
                let replica = dice.below(self.links.len());
                let link = self.links.get(replica)?;
                match dice.below(2) {
                    0 => link.to.flip(dice.roll()),
                    _ => link.from.flip(dice.roll()),
                }
                Some(format!("the channels of replica {replica}"))
            }
            _ => self.keeper.harm(fault, &mut dice),
        }
    }
}

impl<W: Words> Replica<W> {
    /// As [`Master::harm`]. A replica has no sessions.
    pub fn harm(&mut self, fault: Fault, seed: u64) -> Option<String> {
        let mut dice = Dice(seed);
        match fault {
            Fault::FlipChannel => {
                match dice.below(2) {
                    0 => self.inbox.flip(dice.roll()),
                    _ => self.outbox.flip(dice.roll()),
                }
                Some("its channels".into())
            }
            _ => self.keeper.harm(fault, &mut dice),
        }
    }
}

impl<W: Words> Keeper<W> {
    fn harm(&mut self, fault: Fault, dice: &mut Dice) -> Option<String> {
        match fault {
            Fault::FlipNode => self.harm_node(&[Spot::Path, Spot::Record, Spot::Times], dice),
            Fault::FlipTree => self.harm_node(&[Spot::Parent, Spot::Children, Spot::Index], dice),
            Fault::FlipDigest => self.harm_node(&[Spot::Own, Spot::Tree], dice),
            Fault::FlipClient => self.harm_client(dice),
            Fault::FlipVault => Some(format!("word {} of the vault", self.vault().flip(dice.roll())?)),
            Fault::FlipCopies => self.harm_copies(dice),
            _ => None,
        }
    }

    /// The path of some node: down from the root to a leaf, or at each node with a chance of one in `stops` no further.
    fn some_path(&self, stops: usize, dice: &mut Dice) -> Vec<u8> {
        let mut path = b"/".to_vec();
        for _ in 0..DEPTH {
            let mut children = self.state.engine.children(&path);
            if children.is_empty() || dice.below(stops) == 1 {
                break;
            }
            path = children.swap_remove(dice.below(children.len()));
        }
        path
    }

    fn harm_node(&mut self, spots: &[Spot], dice: &mut Dice) -> Option<String> {
        let path = self.some_path(8, dice);
        let (first, bit) = (dice.below(spots.len()), dice.roll());
        // The root has no parent, a leaf no children.
        let mut spots = spots.iter().cycle().skip(first).take(spots.len());
        let spot = spots.find(|spot| self.state.engine.harm_node(&path, **spot, bit))?;
        Some(format!("{spot:?} of {}", path.escape_ascii()))
    }

    fn harm_client(&mut self, dice: &mut Dice) -> Option<String> {
        let (which, bit) = (dice.below(WATCHES), dice.roll());
        let ids: Vec<ConnectionId> = self.state.engine.connections().map(|(id, _)| id).collect();
        if dice.below(2) == 0
            && let Some(watch) = (0..WATCHES)
                .map(|next| (which + next) % WATCHES)
                .find(|watch| self.state.engine.harm_watch(*watch as u32, bit))
        {
            return Some(format!("watch {watch}"));
        }
        let id = *ids.get(which % ids.len().max(1))?;
        self.state.engine.harm_connection(id, bit).then(|| format!("connection {}", id.0))
    }

    /// One leaf in memory, and all that the vault has of it.
    fn harm_copies(&mut self, dice: &mut Dice) -> Option<String> {
        let path = self.some_path(1, dice);
        let bit = dice.roll();
        if !self.state.engine.harm_node(&path, Spot::Record, bit) {
            return None;
        }
        let is_of = |item: Item<'_>| matches!(item, Item::Node { path: at, .. } if *at == *path);
        let tells_of = |payload: &[u64]| {
            Record::read(payload).is_some_and(|record| ItemList::new(record.items()).flatten().any(is_of))
        };
        let records = self.abandon_pass().flip_frames(bit, tells_of);
        Some(format!("{} and {records} records of it", path.escape_ascii()))
    }
}
