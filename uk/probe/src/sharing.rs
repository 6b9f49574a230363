//! Sharing pages: with itself, as a check of grants, mappings and copies; and with a neighbour.
//!
//! A page that a probe grants to itself and maps outlives micro-reboots on both sides at once: it counts the lives that
//! found it again. The page for a neighbour says which life of its owner wrote it last.

use crate::arguments::Arguments;
use crate::journal::Journal;
use crate::service;
use core::cell::RefCell;
use core::fmt;
use core::sync::atomic::Ordering::{Acquire, Release};
use libos::Uk;
use libos::grant::{
    self, Access, CopyBatch, CopyError, Domid, Grant, GrantError, GrantRef, MapError, MappedPage, Refusal,
    Remote, SharedPage,
};
use libos::time::{Duration, Ticker};
use libos::uk_abi::health::HealthPage;
use libos::xen_abi::XenError;

/// The entry with the page for itself.
const OWN: GrantRef = grant::FIRST_FREE;

/// The entry with the page for the neighbour, who knows the number.
const OFFERED: GrantRef = GrantRef(grant::FIRST_FREE.0 + 1);

/// How often a neighbour's page is looked at.
const PERIOD: Duration = Duration::from_millis(20);

/// Bytes that the check copies: enough to cross the end of a page of the stack or the heap now and then.
const COPIED: usize = 2048;

/// Why sharing does not work.
pub enum Failure {
    /// A page could not be granted.
    Grant(GrantError),
    /// A page could not be mapped.
    Map(MapError),
    /// A copy could not be asked for.
    Copy(CopyError),
    /// A copy was not made.
    Refused(Refusal),
    /// The hypercall failed.
    Xen(XenError),
    /// There is no memory for a page.
    Memory,
    /// A page counts another number of lives than the journal, which has this one.
    Count {
        /// What the page says.
        page: u64,
        /// What the journal says.
        journal: u64,
    },
    /// What was written on the one side was not read on the other.
    Other,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Grant(error) => error.fmt(f),
            Self::Map(error) => error.fmt(f),
            Self::Copy(error) => error.fmt(f),
            Self::Refused(error) => error.fmt(f),
            Self::Xen(error) => error.fmt(f),
            Self::Memory => f.write_str("no memory for a page"),
            Self::Count { page, journal } => {
                write!(f, "the page has seen {page} lives, the journal {journal}")
            }
            Self::Other => f.write_str("the two sides do not read the same"),
        }
    }
}

macro_rules! failures {
    ($($variant:ident: $error:ty,)*) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

failures! {
    Grant: GrantError,
    Map: MapError,
    Copy: CopyError,
    Refused: Refusal,
    Xen: XenError,
}

/// What the last life has left to this one.
#[derive(Default)]
pub struct Inherited {
    own: Option<Grant>,
    own_mapping: Option<MappedPage>,
    offered: Option<Grant>,
    neighbours: Option<MappedPage>,
}

impl Inherited {
    /// Takes it over, and lets go of what this life has no use for.
    pub fn take_over(uk: &Uk, arguments: &Arguments) -> Self {
        let mut inherited = Self::default();
        for grant in grant::inherited() {
            match grant.reference() {
                OWN => inherited.own = Some(grant),
                OFFERED if Some(grant.to()) == arguments.offer => inherited.offered = Some(grant),
                _ => drop(grant),
            }
        }
        for mapping in grant::inherited_mappings() {
            match mapping.from() {
                from if from == uk.domid() => inherited.own_mapping = Some(mapping),
                from if Some(from) == arguments.map => inherited.neighbours = Some(mapping),
                _ => drop(mapping),
            }
        }
        inherited
    }
}

/// The page that a probe grants to itself, and its mapping, which is undone first.
pub struct Loop {
    mapping: MappedPage,
    page: Grant,
}

/// Shares a page with itself, or finds the one of the last life: what is written through the mapping is read in the
/// page, and copied out of it.
pub fn check(uk: &Uk, inherited: &mut Inherited, journal: &RefCell<Journal>) -> Result<Loop, Failure> {
    let own = uk.domid();
    let page = match inherited.own.take() {
        Some(page) => page,
        None => SharedPage::new().ok_or(Failure::Memory)?.grant_as(OWN, own, Access::ReadWrite)?,
    };
    let mapping = match inherited.own_mapping.take() {
        Some(mapping) => mapping,
        None => MappedPage::map(own, OWN, Access::ReadWrite)?,
    };
    let mut journal = journal.borrow_mut();
    let known = journal.loops(uk.info());
    let seen = match mapping[0].load(Acquire) {
        0 => 0,
        word => unseal(word).unwrap_or_else(|| {
            log::warn!("the page that it shares with itself was overwritten: it says {word:#x}");
            known.unwrap_or(0)
        }),
    };
    // A life may have ended between the page and the journal.
    if known.is_some_and(|known| seen != known && seen != known + 1) {
        return Err(Failure::Count { page: seen, journal: known.unwrap_or(0) });
    }
    mapping[0].store(seal(seen + 1), Release);
    for (index, word) in mapping.iter().enumerate().skip(1) {
        word.store(seal(index as u64), Release);
    }
    journal.set_loops(uk.info(), seen + 1);
    uk.health().set_service(service::LOOPS, seen + 1);

    let mut copied = [0; COPIED];
    let mut batch = CopyBatch::<4>::new();
    batch.read(Remote { domid: own, reference: OWN, offset: 0 }, &mut copied)?;
    for outcome in batch.run()? {
        outcome?;
    }
    let words = copied.chunks_exact(8).map(|bytes| u64::from_le_bytes(bytes.try_into().unwrap_or_default()));
    let same = page.iter().zip(words).all(|(word, copy)| word.load(Acquire) == copy);
    if same && unseal(page[0].load(Acquire)) == Some(seen + 1) {
        Ok(Loop { mapping, page })
    } else {
        Err(Failure::Other)
    }
}

impl Loop {
    /// Keeps both for the rest of this life.
    pub async fn keep(self) {
        let Self { mapping: _mapping, page: _page } = self;
        core::future::pending::<()>().await;
    }
}

/// Offers `to` a page that says which life this is. The page stays offered for the rest of this life.
pub fn offer(inherited: &mut Inherited, to: Domid, life: u64) -> Result<Grant, Failure> {
    let page = match inherited.offered.take() {
        Some(page) => page,
        None => SharedPage::new().ok_or(Failure::Memory)?.grant_as(OFFERED, to, Access::ReadOnly)?,
    };
    page[0].store(seal(life), Release);
    Ok(page)
}

/// Marks a number, so that it is told from what nobody has written.
fn seal(number: u64) -> u64 {
    number << 32 | u64::from((number as u32).wrapping_mul(0x9e37_79b9) ^ 0x5bd1_e995)
}

fn unseal(word: u64) -> Option<u64> {
    Some(word >> 32).filter(|number| seal(*number) == word)
}

/// Looks at the page that neighbour `from` offers, again and again: through a mapping, or by copies.
#[libos::task(embassy_executor = libos::embassy_executor)]
pub async fn watch(from: Domid, mapped: bool, mut mapping: Option<MappedPage>, health: HealthPage<'static>) {
    let mut ticker = Ticker::every(PERIOD);
    let (mut looks, mut refusals) = (0, 0);
    let mut said = None;
    loop {
        ticker.next().await;
        let seen = if mapped { look(from, &mut mapping) } else { copy(from) };
        let life = seen.as_ref().ok().copied().and_then(unseal);
        match life {
            Some(life) => {
                looks += 1;
                health.set_service(service::NEIGHBOUR, life);
            }
            None => refusals += 1,
        }
        health.set_service(service::LOOKS, looks);
        health.set_service(service::REFUSALS, refusals);
        if said != Some(life) {
            said = Some(life);
            match (&seen, life) {
                (_, Some(life)) => log::info!("{from} offers a page of its life {life}"),
                (Ok(word), None) => log::error!("{from} offers a page that says {word:#x}"),
                (Err(failure), None) => log::info!("{from} offers no page: {failure}"),
            }
        }
    }
}

fn look(from: Domid, mapping: &mut Option<MappedPage>) -> Result<u64, Failure> {
    let mapping = match mapping {
        Some(mapping) => mapping,
        None => mapping.insert(MappedPage::map(from, OFFERED, Access::ReadOnly)?),
    };
    Ok(mapping[0].load(Acquire))
}

fn copy(from: Domid) -> Result<u64, Failure> {
    let mut word = [0; 8];
    let mut batch = CopyBatch::<2>::new();
    batch.read(Remote { domid: from, reference: OFFERED, offset: 0 }, &mut word)?;
    for outcome in batch.run()? {
        outcome?;
    }
    Ok(u64::from_le_bytes(word))
}

impl Inherited {
    /// The neighbour's page, if the last life had it mapped.
    pub fn neighbours(&mut self) -> Option<MappedPage> {
        self.neighbours.take()
    }
}
