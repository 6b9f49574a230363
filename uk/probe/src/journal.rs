//! What a probe keeps in its recovery box, and what it finds there when it starts.

use core::fmt;
use libos::Uk;
use libos::recovery_box::{OpenReport, Origin, Record};
use libos::uk_abi::boot_info::{BootInfo, BootReason};
use libos::xen_abi::Port;
use serde::{Deserialize, Serialize};

/// The last so many lives are on record.
const LIVES_KEPT: u64 = 8;

/// Records: the lives, the work, the doom, and as many again to spare.
const SLOTS: usize = 20;

/// Bytes of the largest record.
const PAYLOAD: usize = 32;

/// One life, under its number modulo [`LIVES_KEPT`]. Each confirms the one before it.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Life {
    /// Its number, from 1.
    number: u64,
    /// Why it began: a [`BootReason`].
    reason: u32,
    /// The [`seal`](Self::seal) of the life before it.
    seal_before: u64,
}

impl Record for Life {
    const TYPE: u16 = 1;
    const VERSION: u16 = 1;
}

impl Life {
    /// A number that says what this record and all before it say.
    fn seal(&self) -> u64 {
        let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        [self.number, u64::from(self.reason), self.seal_before].into_iter().fold(1, mix)
    }
}

/// Work done in all lives. There is one, under key 0.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Work {
    /// Units done.
    units: u64,
    /// The sum of their numbers, which are 1, 2, 3 ...
    sum: u64,
}

impl Record for Work {
    const TYPE: u16 = 2;
    const VERSION: u16 = 1;
}

impl Work {
    fn is_sound(&self) -> bool {
        let units = u128::from(self.units);
        (units * (units + 1) / 2) as u64 == self.sum
    }
}

/// Lives to come that are to crash. There is one, under key 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doom {
    /// How many.
    pub lives: u64,
    /// Whether before their first beat.
    pub at_boot: bool,
}

impl Record for Doom {
    const TYPE: u16 = 3;
    const VERSION: u16 = 1;
}

/// Lives of one domain that the page which it shares with itself has seen. There is one, under key 0.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Loops {
    /// How many.
    lives: u64,
    /// The incarnation that entered them.
    incarnation: u64,
}

impl Record for Loops {
    const TYPE: u16 = 4;
    const VERSION: u16 = 1;
}

/// The port by which the domain notifies itself. There is one, under key 0.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct OwnPort(u32);

impl Record for OwnPort {
    const TYPE: u16 = 5;
    const VERSION: u16 = 1;
}

/// Questions that were put to a partner. Under its domain's number.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Questions(u64);

impl Record for Questions {
    const TYPE: u16 = 6;
    const VERSION: u16 = 1;
}

/// What a life has found in its recovery box.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// What the box itself says.
    pub opened: OpenReport,
    /// The number of this life.
    pub life: u64,
    /// Why it began.
    pub reason: BootReason,
    /// Units of work that were done before.
    pub work: u64,
    /// Records that are missing, lost, or do not say what they must.
    pub wrong: u64,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { opened, life, reason, work, wrong } = self;
        let reason = match reason {
            BootReason::First => "first start",
            BootReason::MicroReboot => "micro-reboot",
            BootReason::Rebuild => "rebuild",
        };
        write!(f, "life {life} by {reason}, work {work}, {wrong} records wrong, box {opened}")
    }
}

/// The journal.
pub struct Journal {
    records: libos::Records<SLOTS, PAYLOAD>,
    work: Work,
}

impl Journal {
    /// Opens the journal, checks what it says, and enters this life.
    ///
    /// # Panics
    /// If the description gives this probe too small a recovery box.
    pub fn open(uk: &Uk) -> (Self, Found) {
        let (mut records, opened) = match uk.recovery_box() {
            Ok(opened) => opened,
            Err(error) => panic!("{error}"),
        };
        let reason = uk.boot_reason();
        let mut wrong = opened.lost + opened.duplicates;
        // Only a host that has just come up may have an empty box.
        wrong +=
            usize::from(!opened.is_sound() || opened.origin == Origin::Fresh && reason != BootReason::First);
        records.discard_lost();

        let work = records.get::<Work>(0).unwrap_or_default().unwrap_or_default();
        let work_is_sound = work.is_sound();
        wrong += usize::from(!work_is_sound);
        let mut journal = Self { records, work: if work_is_sound { work } else { Work::default() } };

        let last = journal.last_life();
        wrong += last.map_or(0, |last| journal.broken_links(last));
        let life = Life {
            number: last.map_or(1, |last| last.number + 1),
            reason: reason as u32,
            seal_before: last.map_or(0, |last| last.seal()),
        };
        journal.put((life.number % LIVES_KEPT) as u32, &life);
        (journal, Found { opened, life: life.number, reason, work: work.units, wrong: wrong as u64 })
    }

    fn last_life(&self) -> Option<Life> {
        self.records.iter::<Life>().filter_map(|entry| entry.value.ok()).max_by_key(|life| life.number)
    }

    /// How many of the lives on record up to `last` are missing or not confirmed by the next.
    fn broken_links(&self, last: Life) -> usize {
        let mut broken = 0;
        let mut next = last;
        for number in (1..last.number).rev().take(LIVES_KEPT as usize - 1) {
            let life = self.records.get::<Life>((number % LIVES_KEPT) as u32).ok().flatten();
            match life.filter(|life| life.number == number && life.seal() == next.seal_before) {
                Some(life) => next = life,
                None => {
                    broken += 1;
                    break;
                }
            }
        }
        broken
    }

    /// Enters one more unit of work. Answers how many there are.
    pub fn enter_work(&mut self) -> u64 {
        let units = self.work.units + 1;
        self.work = Work { units, sum: self.work.sum.wrapping_add(units) };
        self.put(0, &{ self.work });
        units
    }

    /// How the lives to come are doomed, if they are.
    pub fn doom(&self) -> Option<Doom> {
        self.records.get(0).ok().flatten()
    }

    /// Dooms lives to come, or, without any, none.
    pub fn set_doom(&mut self, doom: Doom) {
        if doom.lives == 0 {
            self.records.remove::<Doom>(0);
        } else {
            self.put(0, &doom);
        }
    }

    /// The port by which the domain notified itself. After a rebuild there is no such port any more.
    pub fn port(&self) -> Option<Port> {
        self.records.get::<OwnPort>(0).ok().flatten().map(|port| Port(port.0))
    }

    /// Enters it.
    pub fn set_port(&mut self, port: Port) {
        self.put(0, &OwnPort(port.0));
    }

    /// Lives of this domain that the page which it shares with itself has seen, if the last life knew: a life that ended
    /// before it looked leaves open whether the domain is still the same.
    pub fn loops(&self, info: &BootInfo) -> Option<u64> {
        let loops = self.records.get::<Loops>(0).ok().flatten();
        let same = info.boot_reason() == Some(BootReason::MicroReboot);
        loops.filter(|loops| same && loops.incarnation + 1 == info.incarnation).map(|loops| loops.lives)
    }

    /// Enters their number.
    pub fn set_loops(&mut self, info: &BootInfo, lives: u64) {
        self.put(0, &Loops { lives, incarnation: info.incarnation });
    }

    /// Questions that were put to a partner.
    pub fn question(&self, partner: u32) -> u64 {
        self.records.get::<Questions>(partner).ok().flatten().map_or(0, |questions| questions.0)
    }

    /// Enters their number.
    pub fn set_question(&mut self, partner: u32, number: u64) {
        self.put(partner, &Questions(number));
    }

    fn put<T: Record>(&mut self, key: u32, record: &T) {
        if let Err(error) = self.records.put(key, record) {
            panic!("the journal cannot be kept: {error}");
        }
    }
}
