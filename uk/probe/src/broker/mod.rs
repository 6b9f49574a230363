//! Asking root's broker: as somebody should, and as nobody should.
//!
//! ```text
//! sound    makes and unmakes small domains, for ever, and goes on with what an earlier life has left
//! rogue    asks for all that it may not have, writes rubbish, rings without end
//! ```

mod rogue;
mod sound;

pub use rogue::run as misuse;
pub use sound::run as use_well;

use ::broker::{Client, Outcome, Request};
use builder::steps::{Create, TableSizes};
use core::sync::atomic::AtomicU64;
use libos::Uk;
use libos::event::Event;
use libos::time::{Duration, Timer};
use libos::xen_abi::domctl::TscMode;

/// From one look for an answer to the next. The doorbell is listened to by another task.
const LOOK: Duration = Duration::from_millis(1);

/// Extents of a domain that a probe makes: what one step gives, and too much to be taken away at once.
const EXTENTS: u32 = 8;

/// Its memory in pages.
const PAGES: u64 = EXTENTS as u64 * 512;

/// Somebody who asks the broker.
struct Asker {
    words: &'static [AtomicU64],
    client: Client<&'static [AtomicU64]>,
    doorbell: Event,
}

impl Asker {
    /// Waits until what an earlier life has asked for is answered.
    ///
    /// # Panics
    /// If this probe may not ask.
    async fn open(uk: &Uk) -> Self {
        let (Some(words), Ok(doorbell)) = (uk.broker(), uk.doorbell()) else {
            panic!("it needs the capability \"guests\"")
        };
        let mut asker = Self { words, client: Self::connect(words), doorbell };
        asker.settle().await;
        asker
    }

    fn connect(words: &'static [AtomicU64]) -> Client<&'static [AtomicU64]> {
        match Client::open(words) {
            Some(client) => client,
            None => panic!("{} words are too few to ask the broker", words.len()),
        }
    }

    /// Begins anew, whatever stands in the memory, and waits until that is answered.
    async fn settle(&mut self) {
        self.client = Self::connect(self.words);
        self.ring();
        while !self.client.is_settled() {
            Timer::after(LOOK).await;
        }
    }

    fn ring(&self) {
        if let Err(error) = self.doorbell.notify() {
            panic!("root's doorbell: {error}");
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Panics
    /// If there is no room, though nothing else is under way.
    async fn ask(&mut self, request: &Request, data: &[u8]) -> Outcome {
        let mut ticket = match self.client.ask(request, data) {
            Ok(ticket) => ticket,
            Err(error) => panic!("{}: {error}", request.name()),
        };
        self.ring();
        loop {
            match self.client.take(ticket) {
                Ok(outcome) => return outcome,
                Err(unanswered) => ticket = unanswered,
            }
            Timer::after(LOOK).await;
        }
    }
}

/// A domain with room for that.
fn small(handle: u8) -> Create {
    Create {
        handle: [handle; 16],
        memory_kib: PAGES * 4 + 1024,
        vcpus: 1,
        tsc: TscMode::NeverEmulate,
        tables: TableSizes::default(),
    }
}
