//! The supervisor of several replicas. It holds what must not be lost and looks into none of it.
//!
//! ```text
//!   clients ==sockets== supervisor: accepts, keeps a copy of every socket, maps no memory, parses no request
//!                        |   |   |
//!                        0   1   2   replicas, the same program; one is the master and serves the sockets
//!                        |   |   |
//!                     vaults, sessions, channels: files on a tmpfs that every one of them maps
//! ```
//!
//! - Who dies is started again; when the master dies a replica that is ready becomes the master and is given the
//!   sockets. A client sees a pause.
//! - Who says nothing for too long hangs, and is killed: so it has died.
//! - It never waits for a replica: orders that find no room are kept in a queue.
//! - If it dies itself, all replicas end, and the next start finds the store in the vaults.

mod child;
mod message;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use tracing::{error, info, warn};

use crate::service::Ready;
use crate::signals::Signals;
use crate::socket;
use crate::state::{StateError, StateFiles};

use child::{PING, Replica, Stage};
pub use message::{Line, MESSAGE_MAX, News, Order, Received, Sent};

/// How long replicas may take to end in good order before they are ended.
const STOP_DEADLINE: Duration = Duration::from_secs(3);

/// Connections that are accepted in one round; the rest wait for the next.
const ACCEPTS: usize = 16;

/// The supervisor.
#[derive(Debug)]
pub struct Supervisor {
    listener: UnixListener,
    signals: Signals,
    state: StateFiles,
    seed: u64,
    replicas: Vec<Replica>,
    clients: BTreeMap<u32, OwnedFd>,
    next_client: u32,
    leader: Option<usize>,
    /// Whether the leader has begun to serve.
    leading: bool,
    /// Whether no replica has led yet, in the life of this supervisor: the clients of earlier lives are gone.
    fresh: bool,
    /// What the last master that served had written when it died. It is kept until the next one serves: one that died
    /// before had not yet settled what this is for.
    predecessor_wrote: Option<u64>,
    ready: Option<Ready>,
    /// How long a replica may be silent before it is taken to hang.
    patience: Duration,
    /// When the replicas were asked last whether they are there.
    watched: Instant,
}

impl Supervisor {
    /// A supervisor of `count` replicas, none of which runs yet. `clients` go on from another daemon, and the state that
    /// they know is in the files of the store.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn new(
        listener: UnixListener,
        signals: Signals,
        state: StateFiles,
        count: u8,
        ready: Ready,
        patience: Duration,
        clients: Option<Vec<(u32, OwnedFd)>>,
    ) -> Result<Self, StateError> {
        let seed = state.seed()?;
        Ok(Self {
            listener,
            signals,
            state,
            seed,
            replicas: (0..count).map(Replica::new).collect(),
            fresh: clients.is_none(),
            clients: clients.into_iter().flatten().collect(),
            next_client: 1,
            leader: None,
            leading: false,
            predecessor_wrote: Some(0),
            ready: Some(ready),
            patience,
            watched: Instant::now(),
        })
    }

    /// Runs until a signal says to stop.
    ///
    /// # Errors
    /// What the system says where nothing can go on without: waiting itself.
    pub fn run(mut self) -> io::Result<()> {
        loop {
            self.start_the_dead();
            self.elect();
            self.watch_over();
            let patience = PING.saturating_sub(self.watched.elapsed());
            self.wait(Some(self.next_start().map_or(patience, |start| start.min(patience))))?;
            let asked = self.signals.asked();
            if asked.stop {
                return self.stop();
            }
            if asked.reopen {
                self.tell_all(Order::Reopen);
            }
            self.accept();
            for index in 0..self.replicas.len() {
                while let Some(news) = self.replicas[index].news() {
                    self.hear(index, news);
                }
                self.bury(index);
                self.replicas[index].flush();
            }
        }
    }

    fn start_the_dead(&mut self) {
        let memories = self.state.files();
        let now = Instant::now();
        let mut any = false;
        for replica in &mut self.replicas {
            if !matches!(replica.stage, Stage::Dead(until) if until <= now) {
                continue;
            }
            if let Err(error) = replica.start(&memories, self.seed) {
                error!("replica {} cannot be started: {error}; trying again", replica.index);
                replica.stage = Stage::Dead(now + Duration::from_secs(1));
                continue;
            }
            if let Some(leader) = self.leader {
                replica.tell(Order::Follow(leader as u8), None);
            }
            any = true;
        }
        if any {
            self.tell_all(Order::Live(self.live()));
        }
    }

    /// Kills the replicas that hang. If the time since the last look is long, it is this process that was stopped.
    fn watch_over(&mut self) {
        let time = self.watched.elapsed();
        if time < PING {
            return;
        }
        self.watched = Instant::now();
        for replica in &mut self.replicas {
            if let Some(silent) = replica.watch(time.min(2 * PING), self.patience) {
                error!("replica {} has said nothing for {silent:.1?}; it is killed", replica.index);
            }
        }
    }

    fn next_start(&self) -> Option<Duration> {
        let times = self.replicas.iter().filter_map(|replica| match replica.stage {
            Stage::Dead(until) => Some(until.saturating_duration_since(Instant::now())),
            _ => None,
        });
        times.min()
    }

    /// Sleeps until something happens, `at_most` so long. There are few files, so that `poll` is as good as anything.
    fn wait(&self, at_most: Option<Duration>) -> io::Result<()> {
        let mut files: Vec<PollFd<'_>> = vec![PollFd::from_borrowed_fd(self.listener.as_fd(), PollFlags::IN)];
        files.extend(self.signals.ends().map(|end| PollFd::from_borrowed_fd(end, PollFlags::IN)));
        for replica in &self.replicas {
            let out = if replica.has_waiting() { PollFlags::OUT } else { PollFlags::empty() };
            for end in replica.ends().into_iter().flatten() {
                files.push(PollFd::from_borrowed_fd(end, PollFlags::IN | out));
            }
        }
        let timeout = at_most.map(|time| {
            let time = time + Duration::from_millis(1);
            Timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() }
        });
        match rustix::event::poll(&mut files, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            let Ok((client, _)) = self.listener.accept() else { return };
            let client = OwnedFd::from(client);
            if let Err(error) = socket::prepare(client.as_fd()) {
                warn!("a client is turned away: {error}");
                continue;
            }
            let number = self.free_number();
            if let Some(leader) = self.leader {
                self.replicas[leader].tell(Order::Serve(number), client.try_clone().ok());
            }
            self.clients.insert(number, client);
        }
    }

    /// A number that no client has.
    fn free_number(&mut self) -> u32 {
        while self.clients.contains_key(&self.next_client) {
            self.next_client += 1;
        }
        self.next_client += 1;
        self.next_client - 1
    }

    fn hear(&mut self, index: usize, news: News) {
        match news {
            News::Following(follows) => {
                self.replicas[index].prove();
                self.replicas[index].stage = if follows { Stage::Following } else { Stage::Started };
            }
            News::Leading => {
                self.replicas[index].prove();
                self.leading = self.leader == Some(index);
                self.fresh &= !self.leading;
                info!("replica {index} is the master");
                if let Some(ready) = self.ready.take() {
                    ready.say();
                }
            }
            News::Here => {}
            News::Closed(number) => drop(self.clients.remove(&number)),
            News::Wake(those) => {
                for other in &mut self.replicas {
                    if those & (1 << other.index) != 0 {
                        other.tell(Order::Wake, None);
                    }
                }
            }
            News::Report { warning: true, text } => warn!("replica {index}: {text}"),
            News::Report { warning: false, text } => info!("replica {index}: {text}"),
        }
    }

    /// If the replica has died, tells everybody.
    fn bury(&mut self, index: usize) {
        let Some(pid) = self.replicas[index].pid() else { return };
        let Some((status, wrote)) = self.replicas[index].take_exit() else { return };
        warn!("replica {index} (process {pid}) has died: {status}; it is started again");
        if self.leader == Some(index) {
            // Those that followed it have all that it has told anybody.
            self.leader = None;
            if std::mem::take(&mut self.leading) {
                self.predecessor_wrote = wrote;
            }
        }
        self.tell_all(Order::Live(self.live()));
    }

    /// Names a master if there is none: a replica that follows has everything. If there is none such, any will do, as
    /// soon as all run: it asks the others, and takes the best copy.
    fn elect(&mut self) {
        if self.leader.is_some() {
            return;
        }
        let following = self.replicas.iter().position(|replica| replica.stage == Stage::Following);
        let all_run =
            self.replicas.iter().all(|replica| replica.stage == Stage::Started || replica.is_hopeless());
        let started = self.replicas.iter().position(|replica| replica.stage == Stage::Started);
        let Some(leader) = following.or(started.filter(|_| all_run)) else { return };
        self.leader = Some(leader);
        let (live, predecessor_wrote, fresh) = (self.live(), self.predecessor_wrote, self.fresh);
        for (index, replica) in self.replicas.iter_mut().enumerate() {
            if index != leader {
                replica.tell(Order::Follow(leader as u8), None);
                continue;
            }
            replica.stage = Stage::Leading;
            replica.tell(Order::Lead { predecessor_wrote, fresh, live }, None);
            for (number, client) in &self.clients {
                replica.tell(Order::Serve(*number), client.try_clone().ok());
            }
            replica.tell(Order::Served, None);
        }
    }

    /// The replicas that live, one bit each.
    fn live(&self) -> u8 {
        let live = self.replicas.iter().filter(|replica| !matches!(replica.stage, Stage::Dead(_)));
        live.fold(0, |bits, replica| bits | 1 << replica.index)
    }

    fn tell_all(&mut self, order: Order) {
        for replica in &mut self.replicas {
            replica.tell(order, None);
        }
    }

    /// Ends all replicas, in good order if they can.
    fn stop(mut self) -> io::Result<()> {
        info!("stopping; the store is kept in {}", self.state.directory().display());
        self.tell_all(Order::Stop);
        let deadline = Instant::now() + STOP_DEADLINE;
        while self.replicas.iter().any(|replica| replica.pid().is_some()) && Instant::now() < deadline {
            self.wait(Some(deadline.saturating_duration_since(Instant::now())))?;
            for replica in &mut self.replicas {
                while replica.news().is_some() {}
                replica.take_exit();
                replica.flush();
            }
        }
        for replica in &mut self.replicas {
            replica.kill();
        }
        Ok(())
    }
}
