//! A guest with a disk, that does as Linux's frontend does and knows what must come back.

use super::Random;
use super::disk::Sector;
use super::machine::Shared;
use blkback::device::Volume;
use blkback::geometry::{Discard, Geometry};
use blkback::keys::Offer;
use blkback::{Disk, VbdId};
use ring::Page;
use ring::request::{Block, Frontend, Ring};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use xen_abi::blkif::{DiscardRequest, IndirectRequest, Operation, Request, ResponseStatus, Segment};
use xen_abi::{Domid, GrantRef};
use zerocopy::IntoBytes;

/// Sectors of a guest's disk.
pub(crate) const SECTORS: u64 = 96;

/// The most segments that are offered for an indirect request.
pub(crate) const INDIRECT: u16 = 20;

/// One value that a sector may have after the power has failed.
#[derive(Clone, Copy, Debug)]
struct Version {
    tag: u64,
    queue: usize,
    /// When it was asked for, and when that was answered, in requests and answers of the guest.
    asked: u64,
    answered: Option<u64>,
}

/// What the guest knows of a sector.
#[derive(Clone, Debug)]
struct Known {
    /// What it may hold: more than one value after a failed write.
    tags: Vec<u64>,
    /// Whether a request that writes it, and whether how many that read it are open.
    writer: bool,
    readers: u32,
    versions: Vec<Version>,
}

/// A request that has not been answered.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) operation: Operation,
    queue: usize,
    sector: u64,
    sectors: u64,
    asked: u64,
    /// The value of the first sector written; each further one has the next.
    tag: u64,
    segments: Vec<(GrantRef, u8, u8)>,
    indirect: Vec<GrantRef>,
    expected: Vec<Vec<u64>>,
}

/// A guest.
pub(crate) struct Guest {
    pub(crate) id: VbdId,
    pub(crate) disk: Disk,
    pub(crate) rings: Vec<Ring<'static, Block>>,
    pub(crate) pages: Vec<&'static [Page]>,
    queues: Vec<Frontend<'static, Block>>,
    machine: Shared,
    known: Vec<Known>,
    pub(crate) open: BTreeMap<u64, Asked>,
    /// Grants that stay granted, to be used again: the last one first.
    pool: Vec<GrantRef>,
    next_gref: u32,
    next_id: u64,
    next_tag: u64,
    clock: u64,
    pub(crate) answers: BTreeMap<i16, u64>,
    /// The sectors of requests that have failed.
    pub(crate) failed: Vec<std::ops::Range<u64>>,
    /// Events that were sent to each queue.
    pub(crate) events: Vec<bool>,
}

/// The content of a sector with a value.
pub(crate) fn content(tag: u64) -> Sector {
    let mut content = [0; 512];
    for (index, bytes) in content.chunks_exact_mut(8).enumerate() {
        bytes.copy_from_slice(&tag.wrapping_mul(index as u64 + 1).to_le_bytes());
    }
    content
}

impl Guest {
    pub(crate) fn new(number: u16, machine: &Shared, random: &mut Random) -> Self {
        let count = 1 << random.below(3);
        let start = if random.chance(50) { 0 } else { random.next() as u32 };
        let mut pages: Vec<&'static [Page]> = Vec::new();
        for _ in 0..1 + random.below(3) {
            let ring: Vec<Page> = (0..count).map(|_| [const { AtomicU32::new(0) }; 1024]).collect();
            pages.push(ring.leak());
        }
        let rings: Vec<Ring<'static, Block>> = pages
            .iter()
            .map(|pages| Ring::new(&pages.iter().collect::<Vec<_>>()).expect("a power of two"))
            .collect();
        let geometry = Geometry {
            sectors: SECTORS,
            sector_size: 512,
            physical_sector_size: 4096,
            read_only: false,
            cdrom: false,
            has_cache: true,
            discard: Some(Discard { granularity: 512, alignment: 0, secure: false }),
        };
        let offer = Offer {
            max_indirect_segments: INDIRECT,
            persistent_grants: [0, 3, 30][random.below(3) as usize],
            ..Offer::default()
        };
        let persistent = offer.persistent_grants > 0 && random.chance(70);
        let known = Known {
            tags: vec![0],
            writer: false,
            readers: 0,
            versions: vec![Version { tag: 0, queue: 0, asked: 0, answered: Some(0) }],
        };
        Self {
            id: VbdId(number),
            disk: Disk { guest: Domid(number + 5), volume: Volume(number), geometry, offer, persistent },
            queues: rings.iter().map(|&ring| Frontend::starting_at(ring, start)).collect(),
            events: vec![false; rings.len()],
            rings,
            pages,
            machine: machine.clone(),
            known: vec![known; SECTORS as usize],
            open: BTreeMap::new(),
            pool: Vec::new(),
            next_gref: 8,
            next_id: random.next(),
            next_tag: 1,
            clock: 0,
            answers: BTreeMap::new(),
            failed: Vec::new(),
        }
    }

    fn grant(&mut self, bytes: Vec<u8>) -> GrantRef {
        let gref = match self.pool.pop().filter(|_| self.disk.persistent) {
            Some(gref) => gref,
            None => {
                self.next_gref += 1;
                GrantRef(self.next_gref)
            }
        };
        self.machine.borrow_mut().grant(self.disk.guest, gref, bytes);
        gref
    }

    /// Takes a grant back, or keeps it to be used again. Returns what the page holds.
    fn take_back(&mut self, gref: GrantRef) -> Vec<u8> {
        if self.disk.persistent {
            self.pool.push(gref);
            self.machine.borrow_mut().granted(self.disk.guest, gref).expect("it is granted").clone()
        } else {
            self.machine.borrow_mut().revoke(self.disk.guest, gref)
        }
    }

    /// Asks, as often as there is room, for a sector behind the end of the disk.
    pub(crate) fn ask_beyond_end(&mut self) {
        for queue in 0..self.queues.len() {
            while self.queues[queue].free() > 0 {
                self.next_id = self.next_id.wrapping_add(1);
                let request = Request {
                    operation: Operation::Discard.raw(),
                    id: self.next_id,
                    sector_number: SECTORS,
                    ..Request::default()
                };
                let mut raw = request;
                raw.as_mut_bytes()[24] = 1;
                self.queues[queue].ask(&raw).expect("there is room");
                let asked = Asked {
                    operation: Operation::Discard,
                    queue,
                    sector: 0,
                    sectors: 0,
                    asked: self.clock,
                    tag: 0,
                    segments: Vec::new(),
                    indirect: Vec::new(),
                    expected: Vec::new(),
                };
                self.open.insert(self.next_id, asked);
            }
        }
    }

    /// Asks for something at random, of sectors that nothing open contradicts.
    pub(crate) fn ask(&mut self, random: &mut Random) {
        let queue = random.below(self.queues.len() as u64) as usize;
        if self.queues[queue].free() == 0 {
            return;
        }
        let operation = match random.below(100) {
            0..40 => Operation::Read,
            40..75 => Operation::Write,
            75..85 => Operation::FlushDiskcache,
            85..92 => Operation::WriteBarrier,
            _ => Operation::Discard,
        };
        let sector = random.below(SECTORS);
        let most = if random.chance(20) { 60 } else { 12 };
        let sectors = match operation {
            Operation::FlushDiskcache if random.chance(80) => 0,
            Operation::WriteBarrier if random.chance(30) => 0,
            _ => 1 + random.below(most.min(SECTORS - sector)),
        };
        let writes = operation != Operation::Read;
        let range = sector as usize..(sector + sectors) as usize;
        let taken = |known: &Known| known.writer || writes && known.readers > 0;
        if self.known[range.clone()].iter().any(taken) {
            return;
        }
        self.clock += 1;
        let tag = if operation == Operation::Discard { 0 } else { self.next_tag };
        let asked = self.clock;
        let mut expected = Vec::new();
        for (known, tag) in self.known[range].iter_mut().zip(self.next_tag..) {
            if writes {
                known.writer = true;
                let tag = if operation == Operation::Discard { 0 } else { tag };
                known.versions.push(Version { tag, queue, asked, answered: None });
            } else {
                known.readers += 1;
                expected.push(known.tags.clone());
            }
        }
        self.next_tag += sectors;
        let data = if operation == Operation::Discard { 0 } else { sectors };
        let segments = self.segments(data, tag, writes, random);
        self.next_id = self.next_id.wrapping_add(1);
        let id = self.next_id;
        let (request, indirect) = self.request(id, operation, sector, sectors, &segments, random);
        self.queues[queue].ask(&request).expect("there is room");
        let asked = Asked { operation, queue, sector, sectors, asked, tag, segments, indirect, expected };
        self.open.insert(id, asked);
    }

    /// Lays sectors out in pages of the guest's, not always as densely as they might be.
    fn segments(
        &mut self,
        sectors: u64,
        tag: u64,
        writes: bool,
        random: &mut Random,
    ) -> Vec<(GrantRef, u8, u8)> {
        let mut segments = Vec::new();
        let mut done = 0;
        while done < sectors {
            let left = (sectors - done).min(8);
            let room = usize::from(INDIRECT) - segments.len() - 1;
            let sparse = random.chance(30) && (sectors - done) < room as u64;
            let count = if sparse { 1 + random.below(left) } else { left };
            let first = if count < 8 && sparse { random.below(8 - count + 1) } else { 0 };
            let mut bytes = vec![0xdd; 4096];
            for place in 0..count {
                if writes {
                    let at = (first + place) as usize * 512;
                    bytes[at..at + 512].copy_from_slice(&content(tag + done + place));
                }
            }
            let gref = self.grant(bytes);
            segments.push((gref, first as u8, (first + count - 1) as u8));
            done += count;
        }
        segments
    }

    fn request(
        &mut self,
        id: u64,
        operation: Operation,
        sector: u64,
        sectors: u64,
        segments: &[(GrantRef, u8, u8)],
        random: &mut Random,
    ) -> (Request, Vec<GrantRef>) {
        let mut request =
            Request { operation: operation.raw(), id, sector_number: sector, ..Request::default() };
        let raw = |&(gref, first_sect, last_sect): &_| Segment { gref, first_sect, last_sect, pad: [0; 2] };
        if operation == Operation::Discard {
            let discard = DiscardRequest {
                operation: operation.raw(),
                id,
                sector_number: sector,
                nr_sectors: sectors,
                ..DiscardRequest::default()
            };
            request.as_mut_bytes()[..32].copy_from_slice(discard.as_bytes());
            return (request, Vec::new());
        }
        let may_be_indirect = matches!(operation, Operation::Read | Operation::Write);
        if segments.len() <= 11 && !(may_be_indirect && random.chance(20)) {
            request.nr_segments = segments.len() as u8;
            for (place, segment) in request.seg.iter_mut().zip(segments) {
                *place = raw(segment);
            }
            return (request, Vec::new());
        }
        let mut bytes: Vec<u8> =
            segments.iter().flat_map(|segment| raw(segment).as_bytes().to_vec()).collect();
        bytes.resize(4096, 0xcc);
        let gref = self.grant(bytes);
        let mut indirect = IndirectRequest {
            operation: Operation::Indirect.raw(),
            indirect_op: operation.raw(),
            nr_segments: segments.len() as u16,
            id,
            sector_number: sector,
            ..IndirectRequest::default()
        };
        indirect.indirect_grefs[0] = gref;
        request.as_mut_bytes()[..64].copy_from_slice(indirect.as_bytes());
        (request, vec![gref])
    }

    /// Shows the backend what was asked. Returns whether it wants an event for that.
    pub(crate) fn publish(&mut self) -> bool {
        self.queues.iter_mut().fold(false, |event, queue| queue.publish() | event)
    }

    /// Takes the answers of the queues for which an event came, and checks each.
    pub(crate) fn collect(&mut self) {
        for queue in 0..self.queues.len() {
            if !core::mem::take(&mut self.events[queue]) {
                continue;
            }
            while let Some(response) = self.queues[queue].take().expect("the backend's index is in reach") {
                let asked = self.open.remove(&response.id);
                let asked =
                    asked.unwrap_or_else(|| panic!("request {} is answered, and not open", response.id));
                assert_eq!((response.operation, queue), (asked.operation.raw(), asked.queue));
                *self.answers.entry(response.status).or_default() += 1;
                self.clock += 1;
                self.check(&asked, response.status == ResponseStatus::Okay.raw());
            }
            assert_eq!(self.queues[queue].final_check(), Ok(false));
        }
    }

    fn check(&mut self, asked: &Asked, okay: bool) {
        let mut read = Vec::new();
        for &(gref, first, last) in &asked.segments {
            let bytes = self.take_back(gref);
            read.extend_from_slice(&bytes[usize::from(first) * 512..(usize::from(last) + 1) * 512]);
        }
        for &gref in &asked.indirect {
            self.take_back(gref);
        }
        let range = asked.sector as usize..(asked.sector + asked.sectors) as usize;
        let now = self.clock;
        for (place, known) in self.known[range].iter_mut().enumerate() {
            if asked.operation == Operation::Read {
                known.readers -= 1;
                let found = &read.get(place * 512..place * 512 + 512);
                let fits = asked.expected[place].iter().any(|&tag| *found == Some(&content(tag)[..]));
                assert!(fits || !okay, "sector {}: {found:?}", asked.sector + place as u64);
                continue;
            }
            known.writer = false;
            let tag = if asked.operation == Operation::Discard { 0 } else { asked.tag + place as u64 };
            if okay {
                known.tags = vec![tag];
                let version = known.versions.iter_mut().rfind(|version| version.asked == asked.asked);
                version.expect("it was noted").answered = Some(now);
            } else {
                known.tags.push(tag);
            }
        }
        if !okay {
            self.failed.push(asked.sector..asked.sector + asked.sectors);
        } else {
            match asked.operation {
                Operation::FlushDiskcache => {
                    self.lasts(|version| version.answered.is_some_and(|answered| answered < asked.asked));
                }
                Operation::WriteBarrier => {
                    let (queue, asked) = (asked.queue, asked.asked);
                    self.lasts(|version| {
                        version.answered.is_some() && version.queue == queue && version.asked <= asked
                    });
                }
                _ => {}
            }
        }
    }

    /// Of each sector, forgets what came before the last version that is on the medium now.
    fn lasts(&mut self, on_medium: impl Fn(&Version) -> bool) {
        for known in &mut self.known {
            if let Some(last) = known.versions.iter().rposition(&on_medium) {
                known.versions.drain(..last);
            }
        }
    }

    /// Whether a sector may hold this after the power has failed.
    pub(crate) fn survives(&self, sector: u64, found: &Sector) -> bool {
        self.known[sector as usize].versions.iter().any(|version| content(version.tag) == *found)
    }

    /// Whether a sector may hold this when nothing is open.
    pub(crate) fn holds(&self, sector: u64, found: &Sector) -> bool {
        self.known[sector as usize].tags.iter().any(|&tag| content(tag) == *found)
    }

    /// Takes all grants back: what the backend has mapped cannot be.
    pub(crate) fn leave(&mut self) {
        for gref in core::mem::take(&mut self.pool) {
            self.machine.borrow_mut().revoke(self.disk.guest, gref);
        }
    }
}
