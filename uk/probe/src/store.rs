//! A client of XenStore that counts: every request is answered once, every change is told once, and what is read is what was
//! written, whatever happens to those who serve.
//!
//! A round writes a number, and waits for the reply and for the event of its own watch; reads the number back; and every few
//! rounds adds to a number in a transaction, again until it is not in conflict. A second event for one change says that a
//! request was applied twice. Whatever is not as it must be ends this life with what it was.

use libos::Uk;
use libos::channel::Channel;
use libos::grant::{self, Domid, Page};
use libos::time::{Duration, Instant, Timer};
use ring::xenstore::Interface;
use xenstore::wire::Kind;
use xenstore_ring::Client;

/// Rounds from one report to the next, and from one transaction to the next.
const REPORT_EVERY: u64 = 100;
const TRANSACTION_EVERY: u64 = 8;

/// From one round to the next.
const PAUSE: Duration = Duration::from_micros(500);

/// Where it writes, below its home.
const NUMBER: &[u8] = b"data/number\0";
const SUM: &[u8] = b"data/sum\0";
const TOKEN: &[u8] = b"mine\0";

/// Uses XenStore for ever over the ring in the memory called `name`, after it has made a home for the domain `home`.
///
/// # Panics
/// If something is not as it must be.
pub async fn run(uk: &Uk, name: &str, home: Option<Domid>) {
    let Some(memory) = uk.shared(name) else { panic!("there is no shared memory {name}") };
    let page: Option<&'static Page> = memory.words().first_chunk();
    let server = memory.others().next().and_then(|server| uk.channel(server));
    let (Some(page), Some(server)) = (page, server) else { panic!("nobody shares {name}") };
    let mut store = Store::connect(page, server).await;
    if let Some(home) = home {
        store.make_home(home).await;
    }
    store.ask(Kind::Mkdir, 0, &[b"data\0"]).await;
    store.ask(Kind::Write, 0, &[SUM, b"0"]).await;
    store.ask(Kind::Write, 0, &[NUMBER, b"start"]).await;
    store.ask(Kind::Watch, 0, &[NUMBER, TOKEN]).await;
    store.event().await;
    log::info!("XenStore serves this probe");
    let mut conflicts = 0;
    for round in 1.. {
        let mut digits = [0; 20];
        let number = digits_of(round, &mut digits);
        store.ask(Kind::Write, 0, &[NUMBER, number]).await;
        store.event().await;
        store.expect(Kind::Read, 0, &[NUMBER], number).await;
        if round % TRANSACTION_EVERY == 0 {
            conflicts += store.add(round / TRANSACTION_EVERY).await;
        }
        if round % REPORT_EVERY == 0 {
            let longest_us = core::mem::take(&mut store.longest).as_micros();
            log::info!("XenStore: {round} rounds, {conflicts} conflicts, longest request {longest_us} us");
        }
        Timer::after(PAUSE).await;
    }
}

/// The decimal digits of a number.
fn digits_of(number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let (mut rest, mut start) = (number, digits.len());
    loop {
        start -= 1;
        digits[start] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            return &digits[start..];
        }
    }
}

/// The connection, and what has come over it and is not asked for yet.
struct Store {
    client: Client<'static>,
    server: Channel,
    /// Events that have come before anybody waited for them.
    events: u32,
    /// The longest time from a request to its reply since the last report.
    longest: Duration,
}

/// What has become of a request.
enum Reply {
    Done,
    /// The transaction was in conflict with another.
    Again,
}

impl Store {
    /// Begins anew, whatever the last life has left in the ring.
    async fn connect(page: &'static Page, server: Channel) -> Self {
        let mut client = Client::new(Interface::new(grant::halves(page)));
        client.reset();
        while !client.is_connected() {
            server.notify();
            // The server may not be there yet.
            libos::futures::select::select(server.wait(), Timer::after(Duration::from_millis(20))).await;
        }
        Self { client, server, events: 0, longest: Duration::from_ticks(0) }
    }

    /// What a toolstack does for a domain that it builds: a home that is the domain's, with its number in it.
    async fn make_home(&mut self, domid: Domid) {
        let mut digits = [0; 20];
        let domid = digits_of(domid.0.into(), &mut digits);
        for (name, value) in [(&b""[..], &b""[..]), (b"/domid", domid), (b"/data", b"")] {
            let path = [b"/local/domain/", domid, name, b"\0"];
            self.ask(Kind::Write, 0, &[&path[..], &[value]].concat()).await;
            self.ask(Kind::SetPerms, 0, &[&path[..], &[b"n", domid, b"\0"]].concat()).await;
        }
    }

    /// Adds one to the sum, which is `before + 1` then. Answers how often it was in conflict.
    async fn add(&mut self, now: u64) -> u64 {
        let (mut old, mut new) = ([0; 20], [0; 20]);
        let (old, new) = (digits_of(now - 1, &mut old), digits_of(now, &mut new));
        for conflicts in 0.. {
            let mut transaction = 0;
            self.request(Kind::TransactionStart, 0, &[b"\0"], |payload| {
                let digits = payload.iter().take_while(|byte| byte.is_ascii_digit());
                transaction = digits.fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
            })
            .await;
            self.expect(Kind::Read, transaction, &[SUM], old).await;
            self.ask(Kind::Write, transaction, &[SUM, new]).await;
            if let Reply::Done = self.request(Kind::TransactionEnd, transaction, &[b"T\0"], |_| ()).await {
                return conflicts;
            }
        }
        0
    }

    /// Makes a request that must succeed.
    async fn ask(&mut self, kind: Kind, transaction: u32, payload: &[&[u8]]) {
        self.request(kind, transaction, payload, |_| ()).await;
    }

    /// Makes a request that must have this answer.
    async fn expect(&mut self, kind: Kind, transaction: u32, payload: &[&[u8]], answer: &[u8]) {
        self.request(kind, transaction, payload, |found| {
            assert!(found == answer, "{kind:?}: expected {answer:x?}, found {found:x?}");
        })
        .await;
    }

    async fn request(
        &mut self,
        kind: Kind,
        transaction: u32,
        payload: &[&[u8]],
        mut look: impl FnMut(&[u8]),
    ) -> Reply {
        let number = self.client.request(kind, transaction, payload);
        let started = Instant::now();
        loop {
            while let Some(message) = received(&mut self.client) {
                match message.kind() {
                    Some(Kind::WatchEvent) => self.events += 1,
                    _ if message.header.request != number => {
                        panic!("reply {} came to request {number}", message.header.request)
                    }
                    Some(Kind::Error) if message.payload == b"EAGAIN\0" => return Reply::Again,
                    Some(found) if found == kind => {
                        look(message.payload);
                        self.longest = self.longest.max(started.elapsed());
                        return Reply::Done;
                    }
                    found => panic!("{kind:?} was answered by {found:?} {:x?}", message.payload),
                }
            }
            self.step().await;
        }
    }

    /// Waits for the one event of a change.
    async fn event(&mut self) {
        while self.events == 0 {
            match received(&mut self.client).map(|message| message.kind()) {
                Some(Some(Kind::WatchEvent)) => self.events += 1,
                Some(kind) => panic!("{kind:?} came without a request"),
                None => self.step().await,
            }
        }
        assert!(self.events == 1, "{} events came for one change", self.events);
        self.events = 0;
    }

    async fn step(&mut self) {
        match self.client.step() {
            Ok(true) => self.server.notify(),
            Ok(false) => self.server.wait().await,
            Err(error) => panic!("the connection to XenStore: {error}"),
        }
    }
}

fn received<'a>(client: &'a mut Client<'static>) -> Option<xenstore::wire::Message<'a>> {
    match client.receive() {
        Ok(message) => message,
        Err(error) => panic!("the connection to XenStore: {error}"),
    }
}
