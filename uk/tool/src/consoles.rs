//! Guests' consoles: what they write is kept in the recovery box, and printed by root line by line.

use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use core::future::poll_fn;
use core::sync::atomic::AtomicU64;
use core::task::{Context, Poll};
use libos::event::{self, BindError, Event};
use libos::futures::select::select;
use libos::futures::yield_now;
use libos::grant::{self, Access, MapError, MappedPage};
use libos::time::{Duration, Timer};
use libos::uk_abi::boot_info::BootReason;
use libos::xen_abi::Domid;
use libos::xen_abi::grant_table::RESERVED_CONSOLE;
use libos::{Uk, log_ring};
use ring::console::Console as Ring;
use toolstack::console::{HEADER, Kept, NotTyped};
use toolstack::layout::End;

/// Words that are kept of one console: positions, and 8 KiB of what was written last.
const KEPT_WORDS: usize = HEADER + 1024;

/// Lines of one console that are printed before another's turn.
const LINES: usize = 4;

/// Until root has read some of the log, so that there is room again.
const PATIENCE: Duration = Duration::from_millis(2);

type Memory = Kept<&'static [AtomicU64]>;

/// The consoles.
pub struct Consoles(RefCell<All>);

struct All {
    consoles: Vec<Console>,
    memory: Vec<Memory>,
    /// What the last life has left mapped and nobody has asked for yet.
    inherited: Vec<MappedPage>,
}

/// A console that is shown.
struct Console {
    domid: Domid,
    memory: Memory,
    /// The way to the guest; none if it is gone, and the rest of what it has written is still to be shown.
    guest: Option<(MappedPage, Event)>,
    /// There may be something to be taken.
    has_news: bool,
    /// From where on what was shown is to be shown again.
    recalled: Option<u32>,
}

/// Why a console cannot be shown.
enum ConsoleError {
    Map(MapError),
    Bind(BindError),
    Memory,
}

impl fmt::Display for ConsoleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Map(error) => write!(f, "its page: {error}"),
            Self::Bind(error) => error.fmt(f),
            Self::Memory => f.write_str("the recovery box has no room for another one"),
        }
    }
}

impl Consoles {
    /// Finds what the last life has left in `words`, and how far it had come. Nothing may have been logged before.
    pub fn find(uk: &Uk, words: &'static [AtomicU64]) -> Self {
        let memory: Vec<Memory> = words.chunks_exact(KEPT_WORDS).map(Kept::new).collect();
        if uk.boot_reason() != BootReason::MicroReboot {
            // The page is new in which root numbers what the operator says.
            memory.iter().for_each(Kept::forget_numbers);
        }
        let log = log_ring::position();
        memory.iter().for_each(|kept| kept.resume(log));
        Self(RefCell::new(All {
            consoles: Vec::new(),
            memory,
            inherited: grant::inherited_mappings().collect(),
        }))
    }

    /// Shows a guest's console from now on, or goes on to.
    pub fn open(&self, domid: Domid, console: End) {
        let mut all = self.0.borrow_mut();
        if all.consoles.iter().any(|known| known.domid == domid && known.guest.is_some()) {
            return;
        }
        if let Err(error) = all.open(domid, console) {
            log::error!("the console of {domid} is not shown: {error}");
        }
    }

    /// Shows again what is kept of a guest's console and was shown. Answers whether there is such a console.
    pub fn recall(&self, domid: Domid) -> bool {
        let mut all = self.0.borrow_mut();
        let console = all.consoles.iter_mut().find(|console| console.domid == domid);
        console.map(|console| console.recalled = Some(console.memory.oldest())).is_some()
    }

    /// Gives a guest the line of this number.
    pub fn give(&self, domid: Domid, number: u64, line: &str) -> Result<(), NotTyped> {
        let all = self.0.borrow();
        let open = |console: &&Console| console.domid == domid && console.guest.is_some();
        let console = all.consoles.iter().find(open).ok_or(NotTyped::Closed)?;
        let (page, event) = console.guest.as_ref().ok_or(NotTyped::Closed)?;
        console.memory.give(Ring::new(grant::halves(page)), number, line)?;
        // One that does not listen reads it when it looks.
        let _ = event.notify();
        Ok(())
    }

    /// Takes the rest of what a guest has written that runs no more, and lets go of its console.
    pub fn close(&self, domid: Domid) {
        let mut all = self.0.borrow_mut();
        for console in all.consoles.iter_mut().filter(|console| console.domid == domid) {
            console.has_news = true;
            // What there is no room for is that of a guest which has filled ring and memory at once.
            while console.take() {
                console.show();
            }
            if let Some((page, event)) = console.guest.take() {
                drop(page);
                if let Err(error) = event::close(event) {
                    log::warn!("the port to the console of {domid}: {error}");
                }
            }
        }
    }

    /// Lets go of what the last life has had and this one has no use for.
    pub fn drop_leftovers(&self) {
        let mut all = self.0.borrow_mut();
        all.inherited.clear();
        let events = all.consoles.iter().filter_map(|console| console.guest.as_ref());
        let ports: Vec<_> = events.map(|(_, event)| event.port()).collect();
        if let Err(error) = event::close_leftovers(&ports) {
            log::warn!("ports of consoles that are gone: {error}");
        }
        // What guests have written that are gone is still to be shown.
        let All { consoles, memory, .. } = &mut *all;
        for kept in memory.iter().filter(|kept| kept.owner() != 0) {
            if consoles.iter().all(|console| console.memory.owner() != kept.owner()) {
                let domid = Domid((kept.owner() >> 48) as u16);
                consoles.push(Console { domid, memory: *kept, guest: None, has_news: false, recalled: None });
            }
        }
    }

    /// At most `most` bytes of a console that are still kept, from `from` on or from the oldest, and the position of the first; none
    /// if the console is not shown.
    pub fn bytes(&self, domid: Domid, from: u32, most: usize) -> Option<(u32, Vec<u8>)> {
        let all = self.0.borrow();
        let console = all.consoles.iter().find(|console| console.domid == domid)?;
        Some(console.memory.bytes(from, most))
    }

    /// Takes and shows, for ever.
    pub async fn run(&self) {
        loop {
            let has_more = self.turn();
            yield_now().await;
            let event = poll_fn(|context| self.poll(context));
            if has_more {
                select(event, Timer::after(PATIENCE)).await;
            } else {
                event.await;
            }
        }
    }

    /// Takes and shows some of everything. Answers whether there is more.
    fn turn(&self) -> bool {
        let mut all = self.0.borrow_mut();
        let mut has_more = false;
        for console in &mut all.consoles {
            has_more |= console.take() | console.show() | console.show_again() | console.has_news;
        }
        all.consoles.retain(|console| console.guest.is_some() || !console.is_over());
        has_more
    }

    fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut ready = Poll::Pending;
        for console in &mut self.0.borrow_mut().consoles {
            if console.recalled.is_some() {
                ready = Poll::Ready(());
            }
            if let Some((_, event)) = &console.guest
                && event.poll(context).is_ready()
            {
                console.has_news = true;
                ready = Poll::Ready(());
            }
        }
        ready
    }
}

impl All {
    fn open(&mut self, domid: Domid, console: End) -> Result<(), ConsoleError> {
        let left = self.inherited.iter();
        let left =
            left.map(|page| (page.from(), page.reference())).position(|of| of == (domid, RESERVED_CONSOLE));
        let page = match left {
            Some(index) => self.inherited.swap_remove(index),
            None => MappedPage::map(domid, RESERVED_CONSOLE, Access::ReadWrite).map_err(ConsoleError::Map)?,
        };
        let event = event::connect(domid, console.port).map_err(ConsoleError::Bind)?;
        // No two domains that are there have the same number, and no two of the same number the same page, but for one that is
        // gone, whose console was closed.
        let owner = u64::from(domid.0) << 48 | console.frame.0 & ((1 << 48) - 1);
        self.consoles.retain(|console| console.memory.owner() != owner || console.forget());
        let memory = match self.memory.iter().find(|kept| kept.owner() == owner) {
            Some(kept) => *kept,
            None => {
                let free = self.memory.iter().find(|kept| kept.owner() == 0).ok_or(ConsoleError::Memory)?;
                free.begin(owner, Ring::new(grant::halves(&page)).output().reader().position());
                *free
            }
        };
        let guest = Some((page, event));
        self.consoles.push(Console { domid, memory, guest, has_news: true, recalled: None });
        Ok(())
    }
}

impl Console {
    /// Takes what the guest has written. Answers whether there was something.
    fn take(&mut self) -> bool {
        let Some((page, event)) = self.guest.as_ref().filter(|_| self.has_news) else { return false };
        let ring = Ring::new(grant::halves(page));
        // A guest that has broken its ring is listened to no more.
        let count = self.memory.take(ring).unwrap_or(0);
        // What there was no room for is taken when some has been shown.
        self.has_news = count > 0 || ring.output().reader().available().is_ok_and(|left| left > 0);
        if count > 0 {
            // The guest may wait for room; one that is gone needs none.
            let _ = event.notify();
        }
        count > 0
    }

    /// Prints some lines. Answers whether there may be more.
    fn show(&self) -> bool {
        let (domid, is_gone) = (self.domid.0, self.guest.is_none());
        let mut shown = 0;
        while shown < LINES
            && self.memory.show(is_gone, log_ring::position(), |text| {
                log_ring::write_if_room(format_args!("(d{domid}) {text}"))
            })
        {
            shown += 1;
        }
        shown > 0
    }

    /// Prints some lines again. Answers whether there may be more.
    fn show_again(&mut self) -> bool {
        for _ in 0..LINES {
            let Some(position) = self.recalled else { return false };
            self.recalled = match self.memory.recall(position) {
                Some((line, next)) => {
                    if !log_ring::write_if_room(format_args!("(d{} again) {line}", self.domid.0)) {
                        return true;
                    }
                    Some(next)
                }
                None => None,
            };
        }
        true
    }

    /// Whether a guest that is gone has nothing more to be shown; its memory is another's then.
    fn is_over(&self) -> bool {
        let is_over = self.memory.is_shown();
        if is_over {
            self.memory.end();
        }
        is_over
    }

    /// Gives its memory up.
    fn forget(&self) -> bool {
        self.memory.end();
        false
    }
}
