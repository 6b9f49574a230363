//! Who is told when local repair has not been enough: `lib/hooks` with connections of this host.
//!
//! Each receiver has a connection of its own, which it can stall or flood, and a seat at the desk, where the event log is asked for.
//! How far each was told outlives every life of this program, in the last words of its recovery box.

use super::desk::{Ask, Desk, Reply};
use super::host::event;
use super::{FAREWELL, Socket};
use ::api::limits::CONNECTIONS;
use ::api::types::Event;
use ::hooks::{Address, Failure, Kept, MAX_HOOKS, Progress, Sender, World};
use alloc::string::String;
use broker::{Answer, Request};
use core::cell::{Cell, RefCell};
use core::sync::atomic::AtomicU64;
use embassy_net::Stack;
use embassy_net::tcp::TcpSocket;
use libos::clock;
use libos::futures::join::join_array;
use libos::time::{Duration, Timer, with_timeout};
use secure::Secret;

/// Words of the recovery box.
pub const WORDS: usize = Kept::<&'static [AtomicU64]>::WORDS;

/// From one look at the event log to the next. Whoever is told has minutes of work before him.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long a receiver has to let itself be called, to hear, and to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that come in before they are read.
const RECEIVE_BYTES: usize = 1024;

/// Bytes that go out before they are acknowledged: a whole request, mostly.
const SEND_BYTES: usize = 1024;

/// Whom the description names, and under which name the host calls.
#[derive(Clone, Debug)]
pub struct Receivers {
    /// The host's name.
    pub host: String,
    /// The receivers.
    pub addresses: heapless::Vec<Address<'static>, MAX_HOOKS>,
}

/// What there is to say of one receiver.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Where it is.
    pub address: &'static str,
    /// What it has said in this life that it has.
    pub delivered: u64,
    /// What has failed in this life.
    pub failed: u64,
    /// The number of what it has said last that it has.
    pub last: u64,
}

/// All receivers.
pub struct Hooks {
    receivers: Receivers,
    kept: RefCell<Kept<&'static [AtomicU64]>>,
    counts: [Counts; MAX_HOOKS],
}

/// What has become of calls in this life.
#[derive(Default)]
struct Counts {
    delivered: Cell<u64>,
    failed: Cell<u64>,
    /// Whether the last one failed.
    is_failing: Cell<bool>,
}

impl Hooks {
    /// Goes on where the last life was, as `words` say; none if they are too few. `draw` makes the number of a log that has none.
    pub fn new(
        receivers: Receivers,
        words: &'static [AtomicU64],
        draw: impl FnOnce() -> u64,
    ) -> Option<Self> {
        let kept = RefCell::new(Kept::open(words, draw).ok()?);
        Some(Self { receivers, kept, counts: Default::default() })
    }

    /// What there is to say of each receiver.
    pub fn figures(&self) -> impl Iterator<Item = Figures> {
        let kept = self.kept.borrow();
        self.receivers.addresses.iter().zip(&self.counts).enumerate().map(
            move |(number, (address, counts))| Figures {
                address: address.text,
                delivered: counts.delivered.get(),
                failed: counts.failed.get(),
                last: kept.progress(number).last,
            },
        )
    }

    /// Tells all of them, for ever.
    pub async fn run(&self, stack: Stack<'_>, desk: &Desk, secret: &Secret) {
        let log = self.kept.borrow().log();
        join_array(core::array::from_fn::<_, MAX_HOOKS, _>(async |number| {
            let Some(to) = self.receivers.addresses.get(number).copied() else { return };
            log::info!("{to} is told when local repair is not enough");
            let receiver = Receiver { number, to, hooks: self, stack, desk };
            let sender = Sender { host: &self.receivers.host, log, to, key: secret.signing_key(to.text) };
            ::hooks::run(&receiver, &sender).await
        }))
        .await;
    }
}

/// One receiver.
struct Receiver<'a> {
    number: usize,
    to: Address<'static>,
    hooks: &'a Hooks,
    stack: Stack<'a>,
    desk: &'a Desk,
}

impl Receiver<'_> {
    fn counts(&self) -> &Counts {
        &self.hooks.counts[self.number]
    }
}

impl World for Receiver<'_> {
    async fn line(&self, from: u64) -> Option<Event> {
        match self.desk.ask(CONNECTIONS + self.number, Ask::Root(Request::Event { from })).await {
            Reply::Root(Ok(Answer::Event(line))) => line.map(event),
            // Without the capability to look, there is nothing to be told, ever.
            _ => None,
        }
    }

    async fn wait_for_news(&self) {
        clock::at_next(LOOK_EVERY).await;
    }

    async fn post(&self, request: &[u8]) -> Result<(), Failure> {
        let (mut receive, mut send) = ([0; RECEIVE_BYTES], [0; SEND_BYTES]);
        let mut socket = TcpSocket::new(self.stack, &mut receive, &mut send);
        let exchange = async {
            let connected = socket.connect((self.to.ip, self.to.port)).await;
            connected.map_err(|_| Failure::Unreachable)?;
            ::hooks::exchange(&mut Socket(&mut socket), request).await
        };
        let outcome = with_timeout(PATIENCE, exchange).await.unwrap_or(Err(Failure::Late));
        // Nothing more is said, and nothing more is listened to.
        socket.abort();
        let _ = with_timeout(FAREWELL, socket.flush()).await;
        outcome
    }

    async fn wait_after(&self, failure: Failure, wait_us: u64) {
        let Counts { failed, is_failing, .. } = self.counts();
        failed.set(failed.get() + 1);
        // What is logged stands in the event log, which is not to be filled by somebody who is away.
        if !is_failing.replace(true) {
            log::warn!("{} does not take what it is told: {failure}; it is told until it does", self.to);
        }
        Timer::after(Duration::from_micros(wait_us)).await;
    }

    fn progress(&self) -> Progress {
        self.hooks.kept.borrow().progress(self.number)
    }

    fn note(&self, progress: &Progress) {
        let Counts { delivered, is_failing, .. } = self.counts();
        if progress.last > self.progress().last {
            delivered.set(delivered.get() + 1);
            if is_failing.replace(false) {
                log::info!("{} takes what it is told again", self.to);
            }
        }
        self.hooks.kept.borrow_mut().note(self.number, progress);
    }
}
