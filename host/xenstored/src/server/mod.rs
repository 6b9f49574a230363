//! The event loop: sockets and rings on one side, the store and its replicas on the other.
//!
//! Everything happens in rounds. A round takes what has arrived, then gives each connection that has something one turn of
//! at most a few dozen requests, and ends each turn with one write of all answers. Who has more waits for the next round,
//! behind the others. So a flood on one socket costs another client one turn of each flooding one, and no more.

mod clients;
mod domains;
pub mod events;
mod replicas;

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use linux::evtchn::LocalPort;
use replica::master::Master;
use replica::report::Report;
use tracing::{info, warn};
use xen_abi::Domid;
use xenstore::{ConnectionId, DomainAction};

use crate::domains::Hypervisor;
use crate::service::Ready;
use crate::signals::Signals;
use crate::socket::Sockets;
use crate::state::Memory;
use crate::stream::ClientStream;
use crate::supervisor::{Line, News, Order, Received};
use crate::trace;
use crate::update::{self, Updates};

use self::events::{Events, Happening, Source};
use self::replicas::Replicas;

/// Requests that one connection is answered in one turn.
const BUDGET: usize = 32;
/// Connections that are accepted in one round.
const ACCEPTS: usize = 16;

/// Who gives the loop its clients and tells it to stop.
#[derive(Debug)]
pub enum Home {
    /// Nobody: it is the whole daemon.
    Alone {
        /// The socket that clients connect to.
        listener: UnixListener,
        /// Signals.
        signals: Signals,
    },
    /// A supervisor.
    Supervised(Line),
}

/// One client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) stream: ClientStream,
    /// For a domain: its event channel.
    pub(crate) port: Option<LocalPort>,
    /// It stands in the queue of those who have a turn.
    queued: bool,
    /// Its socket may have more than was received.
    readable: bool,
    /// It was closed at the other end: when everything has been answered it goes.
    closing: bool,
    /// Room in its socket is waited for.
    waits_for_room: bool,
    /// Since when a domain has not taken what waits for it.
    stuck_since: Option<Instant>,
    /// A domain that has broken the protocol: what it says is ignored.
    ignored: bool,
}

/// The event loop.
pub struct Server {
    pub(crate) home: Home,
    pub(crate) master: Master<Memory>,
    events: Events,
    sockets: Sockets,
    pub(crate) hypervisor: Option<Box<dyn Hypervisor>>,
    pub(crate) clients: HashMap<ConnectionId, Client>,
    ports: HashMap<LocalPort, ConnectionId>,
    /// The domains that there were when somebody looked last.
    domains: BTreeSet<Domid>,
    /// Those who have a turn, the next one first.
    turns: VecDeque<ConnectionId>,
    next_client: u32,
    /// No client of an earlier life can be there.
    fresh: bool,
    /// All clients that there were at the start have been given.
    all_given: bool,
    /// What was left by the last life is dealt with.
    settled: bool,
    stopping: bool,
    /// A client of the last master that cannot be gone on with.
    forgotten: Option<u32>,
    /// Clients that are gone, which could not be recorded yet.
    leaving: Vec<ConnectionId>,
    /// How long a domain may leave what waits for it; none for ever.
    patience: Option<Duration>,
    reports: Vec<Report>,
    replicas: Replicas,
    touched: Vec<ConnectionId>,
    actions: Vec<DomainAction>,
    updates: Arc<Updates>,
    pub(crate) dumps: [PathBuf; 2],
}

/// What a server works with.
pub struct Setup {
    /// Who gives it its clients.
    pub home: Home,
    /// The store.
    pub master: Master<Memory>,
    /// The memory of sockets.
    pub sockets: Sockets,
    /// Where domains are, if there are any.
    pub hypervisor: Option<Box<dyn Hypervisor>>,
    /// No client of an earlier life can be there.
    pub fresh: bool,
    /// The numbers of the other replicas, and by one bit each which of them live.
    pub replicas: (Vec<u8>, u8),
    /// How long a domain may leave what waits for it; none for ever.
    pub patience: Option<Duration>,
    /// What is said of live updates.
    pub updates: Arc<Updates>,
    /// Where a live update leaves the state.
    pub dumps: [PathBuf; 2],
}

impl Server {
    /// A loop that serves nobody yet.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(setup: Setup) -> io::Result<Self> {
        let Setup { home, mut master, sockets, hypervisor, fresh, replicas, patience, updates, dumps } =
            setup;
        let (others, live) = replicas;
        let events = Events::new()?;
        match &home {
            Home::Alone { listener, signals } => {
                listener.set_nonblocking(true)?;
                events.add(Source::Listener, listener.as_fd())?;
                for end in signals.ends() {
                    events.add(Source::Signals, end)?;
                }
            }
            Home::Supervised(line) => events.add(Source::Supervisor, line.as_fd())?,
        }
        if let Some(hypervisor) = &hypervisor {
            events.add(Source::Hypervisor, hypervisor.events())?;
        }
        if fresh {
            sockets.keep(&BTreeSet::new());
        }
        let replicas = Replicas::new(others, live, &mut master);
        Ok(Self {
            all_given: matches!(home, Home::Alone { .. }),
            home,
            master,
            events,
            sockets,
            hypervisor,
            fresh,
            settled: false,
            clients: HashMap::new(),
            ports: HashMap::new(),
            domains: BTreeSet::new(),
            turns: VecDeque::new(),
            next_client: 1,
            stopping: false,
            forgotten: None,
            leaving: Vec::new(),
            touched: Vec::new(),
            actions: Vec::new(),
            patience,
            reports: Vec::new(),
            replicas,
            updates,
            dumps,
        })
    }

    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// What the system says where nothing can go on without.
    pub fn run(mut self, mut ready: Option<Ready>) -> io::Result<()> {
        let mut happenings = Vec::new();
        loop {
            if self.settle()
                && let Some(ready) = ready.take()
            {
                ready.say();
            }
            self.round();
            let more = self.look_after_replicas();
            if self.stopping {
                return Ok(());
            }
            let at_most =
                if more || !self.turns.is_empty() { Duration::ZERO } else { self.replicas.patience() };
            self.events.wait(Some(at_most), &mut happenings)?;
            for happening in &happenings {
                self.handle(happening)?;
            }
        }
    }

    /// When the state and all clients are here: ends what is left of clients that are gone, and begins with the others.
    /// Answers whether that was done, now or before.
    fn settle(&mut self) -> bool {
        if self.settled || !self.all_given || !self.master.is_serving() {
            return self.settled;
        }
        self.settled = true;
        let here: BTreeSet<u32> = self.clients.keys().map(|id| id.0).collect();
        self.sockets.keep(&here);
        let left: Vec<ConnectionId> =
            self.master.connections().filter(|id| *id < ConnectionId::FIRST_RING).collect();
        for id in left {
            if (self.fresh || !here.contains(&id.0)) && !self.master.disconnect(id) {
                self.leaving.push(id);
            }
        }
        self.serve_rings();
        // From here on, a successor must not take clients for new.
        self.tell(&News::Leading);
        here.into_iter().for_each(|number| self.begin(ConnectionId(number)));
        true
    }

    fn handle(&mut self, happening: &Happening) -> io::Result<()> {
        match happening.source {
            Source::Listener => self.accept(),
            Source::Signals => self.obey_signals(),
            Source::Supervisor => self.obey_supervisor()?,
            Source::Hypervisor => self.hear_hypervisor(),
            Source::Client(id) => self.client_has(id, happening),
        }
        Ok(())
    }

    /// One turn for everybody who had one coming when the round began.
    fn round(&mut self) {
        for _ in 0..self.turns.len() {
            let Some(id) = self.turns.pop_front() else { return };
            self.turn(id);
            self.carry_out();
            if let Some(plan) = self.updates.take() {
                update::depart(self, &plan);
            }
            self.let_go(id);
        }
    }

    /// Does what a turn has brought about for others: events for other clients, rings to be connected.
    fn carry_out(&mut self) {
        self.master.take_touched(&mut self.touched);
        while let Some(id) = self.touched.pop() {
            self.deliver(id);
        }
        let mut actions = std::mem::take(&mut self.actions);
        self.master.take_domain_actions(&mut actions);
        for action in actions.drain(..) {
            self.act(action);
        }
        self.actions = actions;
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            let Home::Alone { listener, .. } = &self.home else { return };
            match listener.accept() {
                Ok((client, _)) => {
                    let number = self.next_client;
                    // Numbers from the first ring's on are those of rings.
                    self.next_client = (number % (ConnectionId::FIRST_RING.0 - 1)) + 1;
                    self.admit(number, client.into());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => return warn!("a client cannot be accepted: {error}"),
            }
        }
    }

    fn obey_signals(&mut self) {
        let Home::Alone { signals, .. } = &self.home else { return };
        let asked = signals.asked();
        self.stopping |= asked.stop;
        if asked.reopen {
            trace::reopen();
        }
    }

    fn obey_supervisor(&mut self) -> io::Result<()> {
        loop {
            let Home::Supervised(line) = &self.home else { return Ok(()) };
            match line.receive()? {
                Received::Message(order, file) => self.obey(order, file),
                Received::Nothing => return Ok(()),
                Received::Gone => {
                    self.stopping = true;
                    return Ok(());
                }
            }
        }
    }

    fn obey(&mut self, order: Order, file: Option<OwnedFd>) {
        match (order, file) {
            (Order::Serve(number), Some(client)) => self.admit(number, client),
            (Order::Served, _) => self.all_given = true,
            (Order::Live(live), _) => self.replicas.set_live(live, &mut self.master),
            (Order::Wake, _) => self.replicas.hear(&mut self.master),
            (Order::Ping, _) => self.tell(&News::Here),
            (Order::Reopen, _) => trace::reopen(),
            (Order::Stop, _) => self.stopping = true,
            _ => {}
        }
    }

    /// Serves a client of another daemon, which had this number there.
    pub fn adopt(&mut self, number: u32, client: OwnedFd) {
        self.next_client = self.next_client.max(number + 1);
        self.admit(number, client);
    }

    /// A client that has to be given up, because nobody knows what it was told.
    pub fn forget(&mut self, client: u32) {
        self.forgotten = Some(client);
        self.tell(&News::Closed(client));
    }

    /// Tells the supervisor, if there is one.
    fn tell(&self, news: &News) {
        if let Home::Supervised(line) = &self.home
            && let Err(error) = line.send(news, None)
        {
            info!("the supervisor cannot be told: {error}");
        }
    }
}
