//! A replica process: follows the master until the supervisor says that it is the master itself.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use replica::master::{Config, Master};
use replica::replica::Replica;
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::account;
use crate::cli::Options;
use crate::config;
use crate::paths::Paths;
use crate::run::{RunError, Wanted, existence, hypervisor};
use crate::server::{Home, Server, Setup};
use crate::socket::{Doubt, Sockets};
use crate::state::{Memories, Memory, random};
use crate::supervisor::{Line, News, Order, Received};
use crate::trace;
use crate::update::Updates;

/// Frames that are read before the supervisor is listened to again.
const FRAMES: usize = 64;

/// How long it sleeps at most: then it checks a piece of what it has.
const NAP: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// A replica process.
struct Member<'a> {
    options: &'a Options,
    line: Line,
    memories: Memories,
    store: xenstore::Config,
    updates: Arc<Updates>,
    replica: Option<(u8, Replica<Memory>)>,
    following: bool,
}

/// What the supervisor wants of this process from now on.
enum Turn {
    Lead { predecessor_wrote: Option<u64>, fresh: bool, live: u8 },
    Stop,
}

/// Runs replica `index`, whose supervisor is at standard input.
///
/// # Errors
/// [`RunError`].
pub fn run(options: &Options, index: u8) -> Result<(), RunError> {
    let standard_input = io::stdin().as_fd().try_clone_to_owned();
    let line = Line::new(standard_input.wanted("the supervisor")?);
    let Some((files, seed)) = memories(&line)? else { return Ok(()) };
    let memories = Memories::map(files, index, options.replicas)?;
    let updates = Arc::new(Updates::new(true));
    let store = config::engine(options, seed, existence(options)?, Some(updates.clone()))?;
    let mut member = Member { options, line, memories, store, updates, replica: None, following: false };
    match member.follow_until_told()? {
        Turn::Stop => Ok(()),
        Turn::Lead { predecessor_wrote, fresh, live } => member.lead(predecessor_wrote, fresh, live),
    }
}

/// What the supervisor gives at the start; none if it ends before it has given everything.
fn memories(line: &Line) -> Result<Option<(Vec<OwnedFd>, u64)>, RunError> {
    let mut files = Vec::new();
    loop {
        match line.receive().wanted("the supervisor")? {
            Received::Message(Order::Begin(seed), _) => return Ok(Some((files, seed))),
            Received::Message(Order::Stop, _) | Received::Gone => return Ok(None),
            Received::Message(_, file) => files.extend(file),
            Received::Nothing => sleep(line)?,
        }
    }
}

/// Until the supervisor says something, or it is time to look around.
fn sleep(line: &Line) -> Result<(), RunError> {
    let mut files = [PollFd::new(line, PollFlags::IN)];
    match rustix::event::poll(&mut files, Some(&NAP)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error).wanted("waiting"),
    }
}

impl Member<'_> {
    fn config(&self) -> Config {
        Config { store: self.store.clone(), seed: random() }
    }

    fn follow_until_told(&mut self) -> Result<Turn, RunError> {
        loop {
            match self.line.receive().wanted("the supervisor")? {
                Received::Message(Order::Follow(master), _) => self.follow(master)?,
                Received::Message(Order::Lead { predecessor_wrote, fresh, live }, _) => {
                    return Ok(Turn::Lead { predecessor_wrote, fresh, live });
                }
                Received::Message(Order::Stop, _) | Received::Gone => return Ok(Turn::Stop),
                Received::Message(Order::Ping, _) => {
                    self.line.send(&News::Here, None).wanted("the supervisor")?;
                }
                Received::Message(Order::Reopen, _) => trace::reopen(),
                Received::Message(..) => {}
                Received::Nothing => {
                    if !self.work()? {
                        sleep(&self.line)?;
                    }
                }
            }
        }
    }

    /// Follows this master, after everything that the last one has left was read.
    fn follow(&mut self, master: u8) -> Result<(), RunError> {
        while self.work()? {}
        self.replica = None;
        let channels = self.memories.channels(master, self.memories.index)?;
        let replica = Replica::open(self.config(), self.memories.vault, channels);
        let replica = replica.map_err(|error| RunError::Vault(format!("{error:?}")))?;
        self.replica = Some((master, replica));
        Ok(())
    }

    /// A piece of work. Answers whether there is more.
    fn work(&mut self) -> Result<bool, RunError> {
        let Some((master, replica)) = &mut self.replica else { return Ok(false) };
        let more = replica.work(FRAMES);
        let mut news = Vec::new();
        let mut reports = Vec::new();
        replica.take_reports(&mut reports);
        news.extend(reports.iter().map(|report| News::report(true, report)));
        if replica.take_wake() {
            news.push(News::Wake(1 << *master));
        }
        if replica.is_following() != self.following {
            self.following = !self.following;
            news.push(News::Following(self.following));
        }
        for one in news {
            self.line.send(&one, None).wanted("the supervisor")?;
        }
        Ok(more)
    }

    /// Becomes the master, and serves until the end.
    fn lead(mut self, predecessor_wrote: Option<u64>, fresh: bool, live: u8) -> Result<(), RunError> {
        let others: Vec<u8> = self.memories.others().collect();
        let own = self.memories.index;
        let channels =
            || others.iter().map(|other| self.memories.channels(own, *other)).collect::<Result<_, _>>();
        let sessions = self.memories.sessions()?;
        let promoted = match self.replica.take() {
            Some((_, replica)) => replica.promote(sessions, channels()?).ok(),
            None => None,
        };
        let master = match promoted {
            Some(master) => master,
            None => Master::open(self.config(), self.memories.vault, sessions, channels()?)
                .map_err(|error| RunError::Vault(format!("{error:?}")))?,
        };
        let sockets = Sockets::new(self.memories.sockets);
        let doubt = sockets.settle(if fresh { Some(0) } else { predecessor_wrote });
        account::settle().wanted("the kernel's account of this process")?;
        let hypervisor = hypervisor(self.options)?;
        let patience = self.options.watch_event_timeout()?;
        let home = Home::Supervised(self.line);
        let setup = Setup {
            home,
            master,
            sockets,
            hypervisor,
            fresh,
            replicas: (others, live),
            patience,
            updates: self.updates,
            dumps: Paths::new(self.options.state.as_deref()).dumps,
        };
        let mut server = Server::new(setup).wanted("waiting for events")?;
        if let Doubt::Unknown(client) = doubt {
            server.forget(client);
        }
        server.run(None).wanted("waiting for events")
    }
}
