//! Probe: a unikernel that can be told to fail in every way, and that notices what its failures leave behind.
//!
//! ```text
//! journal   what it keeps in its recovery box: its lives, its work, how it is doomed; checked at each start
//! worker    work at a steady rate, counted in the health page: the progress that root watches
//! doom      faults of lives to come: crash loops, crashes during the boot
//! checks    at each start, that time, tasks, events and grants work
//! sharing   a page that it shares with itself, and one with a neighbour
//! talk      conversations through memory that root keeps
//! census    what becomes of the domains of this host
//! store     a client of XenStore that counts
//! broker    asks root for domains: as somebody should, and as nobody should
//! service   the figures that it shows in its health page
//! ```
//!
//! Faults of the present life are the library OS's business (`libos::fault`). Its arguments are words:
//!
//! | word | meaning |
//! |---|---|
//! | `spin` | burns all the CPU time that it gets, as a guest might, and beats once in a millisecond |
//! | `offer=D` | offers a page to domain D, which says which of its lives this is |
//! | `read=D` | copies from the page that domain D offers, again and again |
//! | `map=D` | looks at that page through a mapping instead; domain D cannot be rebuilt meanwhile |
//! | `talk=NAME` | talks to all others who share the memory of that name |
//! | `store=NAME` | uses XenStore over the ring in the memory of that name, and counts requests, replies and events |
//! | `broker=sound` | makes and unmakes domains through root's broker |
//! | `broker=rogue` | asks the broker for all that it may not have |
//! | `fill=N` | creates N nodes in XenStore before anything else, if it may |

#![no_std]
#![no_main]

extern crate alloc;

mod arguments;
mod broker;
mod census;
mod checks;
mod doom;
mod journal;
mod service;
mod sharing;
mod spinner;
mod store;
mod talk;
mod worker;

use crate::arguments::{Arguments, Manner};
use crate::journal::Journal;
use crate::sharing::Inherited;
use crate::talk::Conversation;
use core::cell::RefCell;
use libos::embassy_executor::{SpawnError, SpawnToken};
use libos::futures::join::join3;
use libos::{Spawner, Uk};
use static_cell::StaticCell;

libos::main!(main);

/// The journal of this life. All tasks run on one vCPU and none keeps it over an await.
static JOURNAL: StaticCell<RefCell<Journal>> = StaticCell::new();

async fn main(spawner: Spawner, uk: Uk) {
    let arguments = Arguments::parse(uk.info().args());
    let (journal, found) = Journal::open(&uk);
    let health = uk.health();
    service::show_found(&health, &found);
    log::info!("{}: {found}", uk.info());
    let journal: &'static RefCell<Journal> = JOURNAL.init(RefCell::new(journal));
    // Before the first await, which is before the first beat: from then on a probe is up, and opens no more ports.
    let event = checks::own_event(&uk, journal);
    doom::at_boot(journal);

    spawner.spawn(task(doom::run(journal)));
    spawner.spawn(task(worker::take_on(health)));
    spawner.spawn(task(worker::work(health, journal)));
    // A service would take up what its last life left before anything else. A probe serves nobody, so it beats first.
    libos::futures::yield_now().await;
    if let Some(name) = arguments.talk {
        for conversation in Conversation::all(&uk, name, uk.info().incarnation).into_iter().flatten() {
            spawner.spawn(task(talk::talk(conversation, journal)));
        }
    }
    let mut inherited = Inherited::take_over(&uk, &arguments);
    let sharing = sharing::check(&uk, &mut inherited, journal);
    spawner.spawn(task(checks::player()));
    spawner.spawn(task(checks::run(health, event, sharing)));
    if let Some(from) = arguments.read.or(arguments.map) {
        let mapping = inherited.neighbours();
        spawner.spawn(task(sharing::watch(from, arguments.map.is_some(), mapping, health)));
    }
    let _offered = arguments.offer.map(|to| {
        sharing::offer(&mut inherited, to, found.life)
            .inspect_err(|failure| log::error!("no page can be offered to {to}: {failure}"))
    });
    if arguments.spin {
        spawner.spawn(task(spinner::run()));
    }
    let asks = async {
        match arguments.broker {
            Some(Manner::Sound) => broker::use_well(&uk).await,
            Some(Manner::Rogue) => broker::misuse(&uk).await,
            None => {}
        }
    };
    let stores = async {
        if let Some(name) = arguments.store {
            store::run(&uk, name, arguments.fill).await;
        }
    };
    join3(worker::count_rings(&uk), stores, asks).await;
}

/// A task of this program, each of which is spawned once in a life.
///
/// # Panics
/// If it is spawned twice.
fn task<S>(token: Result<SpawnToken<S>, SpawnError>) -> SpawnToken<S> {
    match token {
        Ok(token) => token,
        Err(error) => panic!("a task cannot be spawned: {error:?}"),
    }
}
