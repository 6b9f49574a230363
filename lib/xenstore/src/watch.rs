//! Watches: who wants to hear of which paths.
//!
//! A table finds the watches set on a path, so that an event asks once for each level above it, and watches that lie
//! elsewhere cost nothing.

use alloc::boxed::Box;
use alloc::vec::Vec;

use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::ConnectionId;
use crate::damage::{Damage, Part, Subject};
use crate::digest::Key;
use crate::item::Item;
use crate::path;

/// A watch's number in the table. It is reused after the watch is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WatchId(u32);

#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub connection: ConnectionId,
    pub path: Box<[u8]>,
    pub token: Box<[u8]>,
    pub depth: Option<u32>,
    /// How many bytes of an event's path are left out: the home of whoever named the path relative to it.
    pub prefix: u16,
    /// When it was set; watches hear of a change in this order.
    pub generation: u64,
    /// Of all of the above.
    pub digest: u64,
}

impl Watch {
    pub(crate) fn item(&self) -> Item<'_> {
        Item::Watch {
            connection: self.connection,
            path: &self.path,
            token: &self.token,
            depth: self.depth,
            relative: self.prefix != 0,
            generation: self.generation,
        }
    }

    fn compute(&self, key: Key) -> u64 {
        let head = [
            u64::from(self.connection.0),
            self.generation,
            self.depth.map_or(u64::MAX, u64::from),
            u64::from(self.prefix),
        ];
        key.bytes(key.bytes(key.numbers(1, &head), &self.path), &self.token)
    }

    fn check(&self, key: Key) -> Result<(), Damage> {
        let found = self.compute(key);
        if found == self.digest {
            return Ok(());
        }
        let subject = Subject::Connection(self.connection);
        Err(Damage { subject, part: Part::Fields, expected: self.digest, found })
    }

    /// What the watcher calls this path.
    pub(crate) fn name_of<'a>(&self, path: &'a [u8]) -> &'a [u8] {
        path.get(usize::from(self.prefix)..).unwrap_or_default()
    }

    /// Whether the watch goes as deep as this path below it.
    fn reaches(&self, path: &[u8]) -> bool {
        self.depth.is_none_or(|depth| path::depth(path) <= path::depth(&self.path) + depth as usize)
    }

    /// How many bytes it counts for.
    pub(crate) fn accounted_size(&self) -> usize {
        self.path.len() + self.token.len()
    }
}

/// The watches on one path.
#[derive(Clone, Debug)]
struct Watched {
    hash: u64,
    ids: SmallVec<[WatchId; 2]>,
}

/// Watches found to match an event, in the order in which they hear of it.
pub(crate) type Matches = SmallVec<[WatchId; 8]>;

#[derive(Clone, Debug)]
pub(crate) struct Watches {
    key: Key,
    watches: Vec<Option<Watch>>,
    free: Vec<WatchId>,
    by_path: HashTable<Watched>,
    /// How many watches there are on paths of each length (modulo the table's size): most levels above an event have
    /// a length at which nobody watches anything, and need not be asked for.
    lengths: Box<[u32; 64]>,
    /// The sum of all watches' digests.
    digest: u64,
}

impl Watches {
    pub(crate) fn new(key: Key) -> Self {
        Self {
            key,
            watches: Vec::new(),
            free: Vec::new(),
            by_path: HashTable::new(),
            lengths: Box::new([0; 64]),
            digest: 0,
        }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    /// Sums all digests up anew.
    pub(crate) fn sum_up(&mut self) {
        self.digest = self.watches.iter().flatten().fold(0, |sum, watch| sum.wrapping_add(watch.digest));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_path.is_empty()
    }

    pub(crate) fn get(&self, id: WatchId) -> Option<&Watch> {
        self.watches.get(id.0 as usize)?.as_ref()
    }

    /// One more than the highest number that was ever in use.
    pub(crate) fn end(&self) -> u32 {
        self.watches.len() as u32
    }

    pub(crate) fn at(&self, index: u32) -> Option<&Watch> {
        self.get(WatchId(index))
    }

    /// Adds a watch; its digest is computed here.
    pub(crate) fn add(&mut self, mut watch: Watch) -> WatchId {
        watch.digest = watch.compute(self.key);
        self.digest = self.digest.wrapping_add(watch.digest);
        self.lengths[watch.path.len() % 64] += 1;
        let hash = self.key.path(&watch.path);
        let id = self.free.pop().unwrap_or_else(|| {
            self.watches.push(None);
            WatchId(self.watches.len() as u32 - 1)
        });
        let watches = &self.watches;
        let found = self.by_path.find_mut(hash, |watched| is_on(watched, hash, &watch.path, watches));
        match found {
            Some(watched) => watched.ids.push(id),
            None => {
                let watched = Watched { hash, ids: SmallVec::from_slice(&[id]) };
                self.by_path.insert_unique(hash, watched, |watched| watched.hash);
            }
        }
        self.watches[id.0 as usize] = Some(watch);
        id
    }

    pub(crate) fn remove(&mut self, id: WatchId) -> Option<Watch> {
        let watch = self.watches.get_mut(id.0 as usize)?.take()?;
        self.digest = self.digest.wrapping_sub(watch.digest);
        let length = &mut self.lengths[watch.path.len() % 64];
        *length = length.saturating_sub(1);
        let hash = self.key.path(&watch.path);
        let found =
            self.by_path.find_entry(hash, |watched| watched.hash == hash && watched.ids.contains(&id));
        match found {
            Ok(mut entry) => {
                entry.get_mut().ids.retain(|other| *other != id);
                if entry.get().ids.is_empty() {
                    entry.remove();
                }
            }
            // The path was damaged: look for the watch everywhere.
            Err(_) => {
                self.by_path.retain(|watched| {
                    watched.ids.retain(|other| *other != id);
                    !watched.ids.is_empty()
                });
            }
        }
        self.free.push(id);
        Some(watch)
    }

    /// A connection's watch on this path with this token, checked.
    pub(crate) fn find(
        &self,
        connection: ConnectionId,
        path: &[u8],
        token: &[u8],
    ) -> Result<Option<WatchId>, Damage> {
        let hash = self.key.path(path);
        let watched = self.by_path.find(hash, |watched| is_on(watched, hash, path, &self.watches));
        for &id in watched.map_or(&[][..], |watched| &watched.ids) {
            let Some(watch) = self.get(id).filter(|watch| watch.connection == connection) else { continue };
            watch.check(self.key)?;
            if *watch.token == *token {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    /// All watches of a connection, however damaged.
    pub(crate) fn of(&self, connection: ConnectionId) -> Vec<WatchId> {
        let ids = (0..self.end()).map(WatchId);
        ids.filter(|&id| self.get(id).is_some_and(|watch| watch.connection == connection)).collect()
    }

    /// Checks a watch.
    pub(crate) fn check(&self, watch: &Watch) -> Result<(), Damage> {
        watch.check(self.key)
    }

    /// The watches that match a change of this path, each checked: those on the path itself, and unless `exact`
    /// those above it.
    pub(crate) fn matching(&self, path: &[u8], exact: bool) -> Result<Matches, Damage> {
        let mut matches = Matches::new();
        if self.is_empty() {
            return Ok(matches);
        }
        for level in path::upwards(path).take(if exact { 1 } else { usize::MAX }) {
            if self.lengths[level.len() % 64] != 0 {
                self.collect(path, level, &mut matches)?;
            }
        }
        if matches.len() > 1 {
            matches.sort_unstable_by_key(|&id| self.get(id).map(|watch| watch.generation));
        }
        Ok(matches)
    }

    fn collect(&self, path: &[u8], level: &[u8], matches: &mut Matches) -> Result<(), Damage> {
        let hash = self.key.path(level);
        let found = self.by_path.find(hash, |watched| is_on(watched, hash, level, &self.watches));
        for &id in found.map_or(&[][..], |watched| &watched.ids) {
            let Some(watch) = self.get(id) else { continue };
            watch.check(self.key)?;
            if watch.reaches(path) {
                matches.push(id);
            }
        }
        Ok(())
    }

    /// Checks one watch.
    pub(crate) fn scrub(&self, index: u32) -> Result<(), Damage> {
        let id = WatchId(index);
        let Some(watch) = self.get(id) else { return Ok(()) };
        watch.check(self.key)?;
        let hash = self.key.path(&watch.path);
        match self.by_path.find(hash, |watched| watched.hash == hash && watched.ids.contains(&id)) {
            Some(_) => Ok(()),
            None => {
                let subject = Subject::Connection(watch.connection);
                Err(Damage { subject, part: Part::Place, expected: hash, found: !hash })
            }
        }
    }

    /// Flips one bit of a watch; false if there is no such watch.
    #[cfg(feature = "harm")]
    pub(crate) fn harm(&mut self, index: u32, bit: usize) -> bool {
        let Some(Some(watch)) = self.watches.get_mut(index as usize) else { return false };
        let (path, token) = (watch.path.len() * 8, watch.token.len() * 8);
        match bit % (path + token + 64 + 64) {
            bit if bit < path => watch.path[bit / 8] ^= 1 << (bit % 8),
            bit if bit < path + token => watch.token[(bit - path) / 8] ^= 1 << (bit % 8),
            bit if bit < path + token + 64 => watch.generation ^= 1 << (bit - path - token),
            bit => watch.digest ^= 1 << (bit - path - token - 64),
        }
        true
    }
}

/// Whether these are the watches on that path; one damaged field does not hide them.
fn is_on(watched: &Watched, hash: u64, path: &[u8], watches: &[Option<Watch>]) -> bool {
    let first = || watched.ids.first().and_then(|id| watches.get(id.0 as usize)?.as_ref());
    watched.hash == hash || first().is_some_and(|watch| *watch.path == *path)
}
