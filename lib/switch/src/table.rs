//! Which address was last seen behind which port.
//!
//! Buckets of a few entries each, chosen by a hash with a secret seed: a look costs the same whatever the table holds,
//! and nobody can choose addresses that meet in one bucket. A port has room for [`LEARNED_MAX`] addresses; one more
//! takes the place of another of its own in the same bucket, or is not remembered. So a flood of made-up addresses evicts
//! nobody else's. An address that is not remembered costs a flood, never a frame.

use crate::{MAX_PORTS, PortId};
use alloc::vec::Vec;
use smoltcp::wire::EthernetAddress;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Entries of one bucket.
const WAYS: usize = 4;

/// Buckets of the table; a power of two.
const BUCKETS: usize = 512;

/// Addresses that the table has room for.
pub const TABLE_ENTRIES: usize = WAYS * BUCKETS;

/// Addresses that are remembered for one port: a segment of a few hundred machines behind a card, and an eighth of the
/// table for a hostile one.
pub const LEARNED_MAX: u16 = 256;

#[derive(Clone, Copy, Debug)]
struct Entry {
    bridge: u8,
    port: PortId,
    mac: EthernetAddress,
    seen_us: u64,
}

#[derive(Debug)]
pub(crate) struct Table {
    buckets: Vec<[Option<Entry>; WAYS]>,
    learned: [u16; MAX_PORTS],
    seed: u64,
    aging_us: u64,
    /// The bucket that is swept next.
    sweep: usize,
}

impl Table {
    pub(crate) fn new(seed: u64, aging_us: u64) -> Self {
        Self {
            buckets: alloc::vec![[None; WAYS]; BUCKETS],
            learned: [0; MAX_PORTS],
            seed,
            aging_us,
            sweep: 0,
        }
    }

    fn bucket(&self, bridge: u8, mac: EthernetAddress) -> usize {
        let [a, b, c, d, e, f] = mac.0;
        xxh3_64_with_seed(&[a, b, c, d, e, f, bridge], self.seed) as usize % BUCKETS
    }

    fn is_old(&self, entry: &Entry, now_us: u64) -> bool {
        now_us.saturating_sub(entry.seen_us) >= self.aging_us
    }

    /// The port behind which an address was seen of late.
    pub(crate) fn find(&self, bridge: u8, mac: EthernetAddress, now_us: u64) -> Option<PortId> {
        let bucket = &self.buckets[self.bucket(bridge, mac)];
        let found = bucket.iter().flatten().find(|entry| entry.bridge == bridge && entry.mac == mac)?;
        (!self.is_old(found, now_us)).then_some(found.port)
    }

    /// Notes that an address was seen behind a port. Whether it is remembered.
    pub(crate) fn learn(&mut self, bridge: u8, mac: EthernetAddress, port: PortId, now_us: u64) -> bool {
        let entry = Entry { bridge, port, mac, seen_us: now_us };
        let index = self.bucket(bridge, mac);
        let is_it = |slot: &Option<Entry>| slot.is_some_and(|e| e.bridge == bridge && e.mac == mac);
        if let Some(way) = self.buckets[index].iter().position(is_it) {
            let moved = self.buckets[index][way].is_some_and(|found| found.port != port);
            if moved && self.is_full(port) {
                return false;
            }
            self.put(index, way, Some(entry));
            return true;
        }
        let of_port = |slot: &Option<Entry>| slot.is_some_and(|e| e.port == port);
        let free = |slot: &Option<Entry>| slot.is_none_or(|e| self.is_old(&e, now_us));
        let bucket = &self.buckets[index];
        let way = if self.is_full(port) {
            // Its share is used up: it may forget one of its own, here, and nowhere else.
            oldest(bucket, of_port)
        } else {
            bucket.iter().position(free).or_else(|| oldest(bucket, of_port))
        };
        if let Some(way) = way {
            self.put(index, way, Some(entry));
        }
        way.is_some()
    }

    fn is_full(&self, port: PortId) -> bool {
        self.learned[port.index()] >= LEARNED_MAX
    }

    /// The only place where entries change, so that the counts are right.
    fn put(&mut self, index: usize, way: usize, entry: Option<Entry>) {
        if let Some(old) = self.buckets[index][way] {
            self.learned[old.port.index()] -= 1;
        }
        if let Some(new) = entry {
            self.learned[new.port.index()] += 1;
        }
        self.buckets[index][way] = entry;
    }

    /// Forgets what is old, in the next few buckets.
    pub(crate) fn sweep(&mut self, now_us: u64, buckets: usize) {
        for _ in 0..buckets.min(BUCKETS) {
            let index = self.sweep;
            self.sweep = (index + 1) % BUCKETS;
            for way in 0..WAYS {
                if self.buckets[index][way].is_some_and(|entry| self.is_old(&entry, now_us)) {
                    self.put(index, way, None);
                }
            }
        }
    }

    /// Forgets everything behind a port.
    pub(crate) fn forget(&mut self, port: PortId) {
        for index in 0..BUCKETS {
            for way in 0..WAYS {
                if self.buckets[index][way].is_some_and(|entry| entry.port == port) {
                    self.put(index, way, None);
                }
            }
        }
    }

    /// How many addresses are remembered for a port.
    pub(crate) const fn learned(&self, port: PortId) -> u16 {
        self.learned[port.index()]
    }
}

/// The oldest of the entries that may go.
fn oldest(bucket: &[Option<Entry>; WAYS], may_go: impl Fn(&Option<Entry>) -> bool) -> Option<usize> {
    let candidates = (0..WAYS).filter(|&way| may_go(&bucket[way]));
    candidates.min_by_key(|&way| bucket[way].map_or(0, |entry| entry.seen_us))
}
