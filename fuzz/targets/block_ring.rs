//! A guest's disk whose ring holds anything, with pages behind it that do too.
#![no_main]

use blkback::device::{Busy, Command, CommandId, Completion, Device, Outcome, Volume};
use blkback::geometry::{Discard, Geometry};
use blkback::keys::Offer;
use blkback::pages::{Copy, Direction, MapError, Page, Pages};
use blkback::{Blkback, Disk, Limits, Report, VbdId};
use libfuzzer_sys::fuzz_target;
use ring::Page as RingPage;
use ring::request::{Block, Ring};
use rvmm_fuzz::{byte, take, words};
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use xen_abi::grant_table::{GrantError, GrantStatus};
use xen_abi::{Domid, GrantRef};

const SLOTS: usize = 40;
const SECTORS: u64 = 64;
type Backend<'a> = Blkback<'a, &'a [AtomicU64], SLOTS>;

/// Every other grant is good, and gives bytes that are the same each time.
struct Memory<'a> {
    guest: &'a [u8],
    used: BTreeSet<u32>,
    mapped: BTreeSet<u32>,
    pages: Vec<Vec<u8>>,
}

impl Memory<'_> {
    fn check(gref: GrantRef) -> Result<(), GrantError> {
        if gref.0 % 2 == 0 { Ok(()) } else { Err(GrantError::Known(GrantStatus::BadGntref)) }
    }
}

impl Pages for Memory<'_> {
    fn allocate(&mut self) -> Option<Page> {
        let free = (0..self.pages.len() as u32).find(|page| !self.used.contains(page))?;
        self.used.insert(free);
        Some(Page(free))
    }

    fn release(&mut self, page: Page) {
        assert!(self.used.remove(&page.0), "it was allocated");
    }

    fn copy(&mut self, copies: &mut [Copy]) {
        for copy in copies {
            assert!(
                copy.guest_offset + copy.bytes <= 4096 && copy.offset + copy.bytes <= 4096 && copy.bytes > 0
            );
            assert!(self.used.contains(&copy.page.0), "it was allocated");
            copy.result = Self::check(copy.gref);
            if copy.direction == Direction::In {
                let bytes = self.guest.iter().cycle().skip(copy.gref.0 as usize % 1000);
                let page = &mut self.pages[copy.page.0 as usize];
                page[copy.offset as usize..][..copy.bytes as usize]
                    .iter_mut()
                    .zip(bytes)
                    .for_each(|(to, from)| *to = *from);
            }
        }
    }

    fn read(&self, page: Page, offset: u32, bytes: &mut [u8]) {
        bytes.copy_from_slice(&self.pages[page.0 as usize][offset as usize..][..bytes.len()]);
    }

    fn map(&mut self, _: Domid, gref: GrantRef) -> Result<Page, MapError> {
        Self::check(gref).map_err(MapError::Grant)?;
        assert!(self.mapped.insert(gref.0), "it was not mapped");
        Ok(Page(gref.0))
    }

    fn unmap(&mut self, pages: &[Page]) {
        pages.iter().for_each(|page| assert!(self.mapped.remove(&page.0), "it was mapped"));
    }
}

/// Finishes everything, as the bytes say.
struct Instantly<'a> {
    bytes: &'a [u8],
    finished: VecDeque<Completion>,
}

impl Device for Instantly<'_> {
    fn max_pieces(&self) -> usize {
        3
    }

    fn takes_gaps(&self) -> bool {
        true
    }

    fn submit(&mut self, command: CommandId, _: Volume, what: Command<'_>) -> Result<(), Busy> {
        match what {
            Command::Read { sector, pieces } | Command::Write { sector, pieces } => {
                let bytes: u32 = pieces.iter().map(|piece| piece.bytes).sum();
                assert!(sector + u64::from(bytes) / 512 <= SECTORS && bytes > 0);
            }
            Command::Discard { sector, sectors, .. } => assert!(sector + sectors <= SECTORS),
            Command::Flush => {}
        }
        let outcome = match byte(&mut self.bytes) % 8 {
            0 => Outcome::Failed,
            1 => Outcome::Unsupported,
            2 => return Err(Busy),
            _ => Outcome::Done,
        };
        self.finished.push_back(Completion { command, outcome });
        Ok(())
    }

    fn completion(&mut self) -> Option<Completion> {
        self.finished.pop_front()
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes;
    let first: Vec<&[u8]> = (0..3).map(|_| take(&mut bytes, 32)).collect();
    let page: RingPage = [const { AtomicU32::new(0) }; 1024];
    // Requests, as many as there are bytes for.
    let fill = bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    page[16..].iter().zip(fill).for_each(|(word, value)| word.store(value, Relaxed));
    let ring: Ring<'_, Block> = Ring::new(&[&page]).expect("a ring may have one page");

    let kept = words(&[], Backend::WORDS);
    let (mut backend, _) = Backend::open(&kept[..], 1, Limits::default()).expect("there is memory for it");
    let mut pages = Memory {
        guest: if bytes.is_empty() { &[1] } else { bytes },
        used: BTreeSet::new(),
        mapped: BTreeSet::new(),
        pages: vec![vec![0; 4096]; 40],
    };
    let mut device = Instantly { bytes: first[0], finished: VecDeque::new() };
    let mut choices = first[1];
    let geometry = Geometry {
        sectors: SECTORS,
        sector_size: 512,
        physical_sector_size: 512,
        read_only: false,
        cdrom: false,
        has_cache: true,
        discard: Some(Discard { granularity: 512, alignment: 0, secure: true }),
    };
    let disk = Disk {
        guest: Domid(5),
        volume: Volume(0),
        geometry,
        offer: Offer { max_indirect_segments: 40, persistent_grants: 16, ..Offer::default() },
        persistent: byte(&mut choices) % 2 == 0,
    };
    let id = VbdId(0);
    backend.connect(id, disk, &[ring]).expect("the ring is new");
    backend.driver_ready(&mut pages);

    let (mut broken, mut drained, mut produced) = (false, false, 0_u32);
    let mut run = |backend: &mut Backend<'_>, pages: &mut Memory<'_>, device: &mut Instantly<'_>| {
        for _ in 0..200 {
            let mut restart = false;
            let again = backend.run(0, device, pages, &mut |report| match report {
                Report::Broken { .. } => broken = true,
                Report::Drained { .. } => drained = true,
                Report::DriverAtFault => restart = true,
                Report::Notify { .. } | Report::Failed { .. } | Report::GivenUp { .. } => {}
            });
            if restart {
                device.finished.clear();
                backend.driver_ready(pages);
            }
            if !again && !restart && device.finished.is_empty() && backend.shadow().running() == 0 {
                break;
            }
        }
        (broken, drained)
    };
    for _ in 0..8 {
        let step = u32::from(byte(&mut choices));
        // Mostly a few more; sometimes what cannot be.
        produced = if step < 250 { produced.wrapping_add(step % 16) } else { step.wrapping_mul(0x0101_0101) };
        page[0].store(produced, Relaxed);
        let (broken, _) = run(&mut backend, &mut pages, &mut device);
        if broken {
            break;
        }
        assert_eq!(backend.open_requests(id), 0, "answered");
        assert_eq!(page[2].load(Relaxed), produced, "shown");
    }
    backend.disconnect(id);
    let (_, drained) = run(&mut backend, &mut pages, &mut device);
    assert!(drained && pages.used.is_empty() && pages.mapped.is_empty());
});
