//! The master: serves rings, follows the register of domains, feeds the replicas.
//!
//! A turn does a bounded amount of everything, then the heart beats. Between turns it waits for an event of anybody.

mod domains;

use crate::clients::{Client, Rings};
use crate::harm::Harm;
use crate::memory::{Kept, Memory};
use crate::random;
use crate::stream::RingStream;
use alloc::vec::Vec;
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll};
use domains::Known;
use libos::channel::Channel;
use libos::event::Event;
use libos::futures::yield_now;
use libos::time::{Duration, Timer};
use libos::uk_abi::health::HealthPage;
use libos::uk_abi::register::Register;
use libos::xen_abi::xs_wire::{ConnectionError, ServerFeatures};
use libos::xen_abi::{Domid, xs_wire};
use libos::{Uk, clock, fault};
use replica::master::{Config, Master};
use replica::session::SessionError;
use ring::byte::Broken;
use xenstore::{ConnectionId, DomainAction, Peer};

/// Requests of one client that are answered in its turn. More would let the others wait, fewer would go round for nothing.
const BUDGET: usize = 16;

/// How often it looks without being woken: for checks of what it keeps.
const TURN: Duration = Duration::from_millis(10);

/// What root watches for progress: clients that wait to be served.
const CLIENTS: usize = 0;

/// Serves for ever.
pub async fn run(uk: Uk, memory: Memory) {
    let mut service = Service::start(&uk, memory);
    loop {
        service.turn();
        // A heartbeat.
        yield_now().await;
        poll_fn(|context| service.poll(context)).await;
    }
}

/// A replica, as the master reaches it.
struct Follower {
    domid: Domid,
    channel: Option<Channel>,
    has_news: bool,
    is_gone: bool,
}

struct Service {
    master: Master<Kept>,
    clients: Vec<Client>,
    rings: Rings,
    followers: Vec<Follower>,
    register: Register<Kept>,
    doorbell: Event,
    known: Known,
    health: HealthPage<'static>,
    timer: Timer,
    harm: Harm,
    /// There is more to do at once.
    has_more: bool,
}

impl Service {
    /// # Panics
    /// If the system description gives it less than it needs.
    fn start(uk: &Uk, memory: Memory) -> Self {
        let store = memory.store_config(uk);
        let config = Config { store, seed: random::number() };
        let (known, sessions) = Known::split(memory.sessions);
        let mut master = match Master::open(config, memory.vault, sessions, memory.channels) {
            Ok(master) => master,
            Err(error) => panic!("the store cannot be opened: {error:?}"),
        };
        master.set_clock(clock::now_us);
        let Some(register) = uk.register() else { panic!("it needs the capability \"xenstore\"") };
        let doorbell = match uk.doorbell() {
            Ok(doorbell) => doorbell,
            Err(error) => panic!("{error}"),
        };
        let follower =
            |&domid: &Domid| Follower { domid, channel: uk.channel(domid), has_news: true, is_gone: false };
        let mut service = Self {
            master,
            clients: Vec::new(),
            rings: Rings::find(uk, &memory.others),
            followers: memory.others.iter().map(follower).collect(),
            register,
            doorbell,
            known,
            health: uk.health(),
            timer: clock::at_next(TURN),
            harm: Harm::default(),
            has_more: true,
        };
        service.report();
        service
    }

    /// Does a bounded amount of whatever there is to do.
    fn turn(&mut self) {
        self.has_more = false;
        for (index, follower) in self.followers.iter_mut().enumerate() {
            if core::mem::take(&mut follower.has_news) {
                self.master.from_replica(index);
            }
        }
        if self.master.is_serving() {
            self.follow_register();
            for index in 0..self.clients.len() {
                self.serve(index);
            }
            self.has_more |= self.master.work();
        }
        self.carry_out();
        self.deliver();
        let followers = &self.followers;
        self.master.take_wakes(|index| {
            if let Some(channel) = followers.get(index).and_then(|follower| follower.channel) {
                channel.notify();
            }
        });
        self.report();
    }

    /// Notes who has something; ready if anybody has.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        for client in &mut self.clients {
            let was_ready = client.is_ready;
            client.poll(context);
            if client.is_ready && !was_ready {
                self.health.accept(CLIENTS, 1);
            }
        }
        for follower in &mut self.followers {
            if let Some(channel) = follower.channel {
                follower.has_news |= pin!(channel.wait()).poll(context).is_ready();
            }
        }
        if let Poll::Ready((fault, seed)) = pin!(fault::for_program()).poll(context) {
            self.harm.note_flip(fault, self.master.harm(fault, seed).as_deref());
            self.has_more = true;
        }
        let rung = pin!(self.doorbell.wait()).poll(context).is_ready();
        let is_time = pin!(&mut self.timer).poll(context).is_ready();
        if is_time {
            self.timer = clock::at_next(TURN);
        }
        let can_serve = self.master.is_serving() && self.clients.iter().any(|client| client.is_ready);
        let anybody = can_serve || self.followers.iter().any(|follower| follower.has_news);
        if anybody || rung || is_time || self.has_more { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Serves a client, if it has something.
    fn serve(&mut self, index: usize) {
        let client = &mut self.clients[index];
        // Nobody is served while a replica is asked for a good copy: whoever has something keeps its turn.
        if !client.is_ready || fault::work_is_stuck() || !self.master.is_serving() {
            return;
        }
        client.is_ready = false;
        self.health.complete(CLIENTS, 1);
        let domid = client.domid;
        if client.interface().connection() == Some(xs_wire::Connection::Reconnect) {
            self.introduce(domid);
            return;
        }
        if client.is_broken {
            return;
        }
        let client = &self.clients[index];
        let interface = client.interface();
        let moved = || (interface.requests().reader().position(), interface.responses().writer().position());
        let before = moved();
        match self.master.serve(ConnectionId::of_domain(domid), &mut RingStream::new(interface), BUDGET) {
            Ok(served) => {
                // Also where a part of a request was taken: the client may be waiting for room for the rest.
                if moved() != before {
                    client.notify();
                }
                // A request that has come upon damage is there still.
                if served.more || !self.master.is_serving() {
                    self.clients[index].is_ready = true;
                    self.health.accept(CLIENTS, 1);
                }
            }
            Err(error) => self.give_up(index, error),
        }
    }

    /// A client whose ring makes no sense harms itself alone. It can ask for a new beginning.
    fn give_up(&mut self, index: usize, error: SessionError<Broken>) {
        let client = &mut self.clients[index];
        client.is_broken = true;
        let told = match &error {
            SessionError::NoMessage => ConnectionError::Protocol,
            SessionError::Damaged => ConnectionError::Communication,
            _ => ConnectionError::RingIndexes,
        };
        client.interface().fail(told);
        client.notify();
        log::warn!("{} is not served any more: {error:?}", client.domid);
    }

    /// Hands over what others' requests have led to.
    fn deliver(&mut self) {
        let mut touched = Vec::new();
        self.master.take_touched(&mut touched);
        for id in touched {
            let of = |client: &Client| ConnectionId::of_domain(client.domid) == id && !client.is_broken;
            let Some(index) = self.clients.iter().position(of) else { continue };
            let client = &self.clients[index];
            match self.master.deliver(id, &mut RingStream::new(client.interface())) {
                Ok(_) => client.notify(),
                Err(error) => self.give_up(index, error),
            }
        }
    }

    /// Carries out what the store wants done for domains.
    fn carry_out(&mut self) {
        let mut actions = Vec::new();
        self.master.take_domain_actions(&mut actions);
        for action in actions {
            match action {
                DomainAction::Connect { domid, .. } => self.connect(domid),
                DomainAction::Reconnect { domid, .. } => {
                    if let Some(client) = self.close(domid) {
                        client.interface().reset();
                        client.close();
                    }
                    self.connect(domid);
                }
                DomainAction::Disconnect { domid } => {
                    if let Some(client) = self.close(domid) {
                        client.close();
                    }
                }
                DomainAction::Log { on } => log::info!("log of requests: {on}, which is not kept here"),
            }
        }
    }

    fn close(&mut self, domid: Domid) -> Option<Client> {
        let index = self.clients.iter().position(|client| client.domid == domid)?;
        Some(self.clients.swap_remove(index))
    }

    /// Opens a domain's ring and begins its session, or goes on with it.
    fn connect(&mut self, domid: Domid) {
        let client = match self.rings.open(domid, self.ring_of(domid)) {
            Ok(Some(client)) => client,
            Ok(None) => return log::warn!("{domid} has no ring to serve"),
            Err(error) => return log::warn!("{domid} cannot be served: {error}"),
        };
        let interface = client.interface();
        interface.set_features(ServerFeatures::RECONNECTION | ServerFeatures::ERROR);
        let stream = RingStream::new(interface);
        match self.master.connect(ConnectionId::of_domain(domid), Peer::Domain(domid), &stream) {
            Ok(connected) => {
                log::info!("{domid}: {connected:?}");
                client.notify();
                self.health.accept(CLIENTS, 1);
                self.clients.push(client);
            }
            Err(error) => {
                log::warn!("{domid} cannot be served: {error:?}");
                client.close();
            }
        }
    }

    fn report(&mut self) {
        let mut reports = Vec::new();
        self.master.take_reports(&mut reports);
        for report in reports {
            self.harm.log(&report);
        }
    }
}
