//! One replica process, as its supervisor sees it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::message::{Line, News, Order, Received, Sent};
use crate::{account, cli};

/// How long a replica that died is left dead, at first; twice as long each time it dies again before it
/// has followed, served, or lived for [`CALM`].
const FIRST_DELAY: Duration = Duration::from_millis(1);
/// The longest that a replica is left dead. One that can never start costs this much attention and no more.
const LAST_DELAY: Duration = Duration::from_secs(5);
/// Nobody waits for a replica that is left dead this long: it has died eight times in a row.
const HOPELESS: Duration = Duration::from_millis(256);
/// A replica that lived this long has shown that it can.
const CALM: Duration = Duration::from_secs(2);

/// How often a replica is asked whether it is there.
pub const PING: Duration = Duration::from_millis(250);
/// How much longer than others a replica may be silent that reads the store.
const READING: u32 = 10;

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It is not running, and will be started at this time.
    Dead(Instant),
    /// It runs, and does not have the whole state.
    Started,
    /// It has the whole state and follows the master.
    Following,
    /// It was told to be the master.
    Leading,
}

/// A replica process, or the place of one.
#[derive(Debug)]
pub struct Replica {
    /// Its number, from 0.
    pub index: u8,
    /// How far it is.
    pub stage: Stage,
    running: Option<Running>,
    delay: Duration,
}

#[derive(Debug)]
struct Running {
    child: Child,
    exit: OwnedFd,
    line: Line,
    since: Instant,
    /// Whether it has got so far that it followed or served.
    proven: bool,
    /// What found no room yet, in order.
    waiting: VecDeque<(Order, Option<OwnedFd>)>,
    /// How long it has said nothing, although it is asked again and again.
    silent: Duration,
    /// How long it had waited for a processor when it said something last.
    starved: Duration,
}

impl Replica {
    /// The place of a replica that has not been started.
    pub fn new(index: u8) -> Self {
        Self { index, stage: Stage::Dead(Instant::now()), running: None, delay: FIRST_DELAY }
    }

    /// Starts the process and gives it its memories.
    ///
    /// # Errors
    /// What starting says.
    pub fn start(&mut self, memories: &[BorrowedFd<'_>], seed: u64) -> io::Result<()> {
        let (line, there) = Line::pair()?;
        let child = Command::new(cli::OWN_PROGRAM)
            .arg0("xenstored")
            .args(cli::own_arguments(&["--replica", &self.index.to_string()]))
            .stdin(Stdio::from(there))
            .stdout(Stdio::null())
            .env_remove("NOTIFY_SOCKET")
            .spawn()?;
        let pid = Pid::from_child(&child);
        let exit = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        let since = Instant::now();
        let (waiting, silent, starved) = (VecDeque::new(), Duration::ZERO, Duration::ZERO);
        self.running = Some(Running { child, exit, line, since, proven: false, waiting, silent, starved });
        self.stage = Stage::Started;
        for memory in memories {
            self.tell(Order::Memory, Some(memory.try_clone_to_owned()?));
        }
        self.tell(Order::Begin(seed), None);
        Ok(())
    }

    /// The process id, for the log.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// Whether it has died so often in a row that nobody should wait for it.
    pub fn is_hopeless(&self) -> bool {
        self.delay >= HOPELESS
    }

    /// It has shown that it can live.
    pub fn prove(&mut self) {
        if let Some(running) = &mut self.running {
            running.proven = true;
        }
    }

    /// What to wait at while it runs: its end, and its news.
    pub fn ends(&self) -> Option<[BorrowedFd<'_>; 2]> {
        self.running.as_ref().map(|running| [running.exit.as_fd(), running.line.as_fd()])
    }

    /// Whether an order waits for room.
    pub fn has_waiting(&self) -> bool {
        self.running.as_ref().is_some_and(|running| !running.waiting.is_empty())
    }

    /// Gives an order. It waits while there is no room; a replica that is dead does not get it.
    pub fn tell(&mut self, order: Order, file: Option<OwnedFd>) {
        if let Some(running) = &mut self.running {
            running.waiting.push_back((order, file));
            self.flush();
        }
    }

    /// Sends what waits, as far as there is room.
    pub fn flush(&mut self) {
        let Some(running) = &mut self.running else { return };
        while let Some((order, file)) = running.waiting.front() {
            match running.line.send(order, file.as_ref().map(AsFd::as_fd)) {
                Ok(Sent::Yes) => drop(running.waiting.pop_front()),
                Ok(Sent::Full) => return,
                // It is dying, which its exit will tell.
                Ok(Sent::Gone) | Err(_) => return running.waiting.clear(),
            }
        }
    }

    /// What it says next, if anything.
    pub fn news(&mut self) -> Option<News> {
        let running = self.running.as_mut()?;
        match running.line.receive() {
            Ok(Received::Message(news, _)) => {
                if !running.silent.is_zero() {
                    running.silent = Duration::ZERO;
                    running.starved = account::starved(running.child.id());
                }
                Some(news)
            }
            Ok(Received::Nothing | Received::Gone) | Err(_) => None,
        }
    }

    /// Asks whether it is there, `time` after it was asked last. If it has said nothing for longer than `patience`, and had
    /// a processor in that time or did not want one, it hangs: then it is killed, and how long it was silent is answered.
    pub fn watch(&mut self, time: Duration, patience: Duration) -> Option<Duration> {
        let running = self.running.as_mut()?;
        running.silent += time;
        let patience = if running.proven { patience } else { patience * READING };
        if running.silent <= patience {
            if running.waiting.is_empty() {
                self.tell(Order::Ping, None);
            }
            return None;
        }
        let starved = account::starved(running.child.id());
        if starved.saturating_sub(running.starved) > patience / 2 {
            (running.silent, running.starved) = (Duration::ZERO, starved);
            return None;
        }
        let silent = std::mem::take(&mut running.silent);
        // Its end is noticed like any other. One that is dead already needs no killing.
        let _ = running.child.kill();
        Some(silent)
    }

    /// If the process has ended: how, and what it had written by then. It is to be started again at the time that
    /// [`Replica::stage`] says.
    pub fn take_exit(&mut self) -> Option<(String, Option<u64>)> {
        let running = self.running.as_mut()?;
        // What is dead and not reaped still has its account.
        let wrote = account::of_process(running.child.id()).ok();
        let status = running.child.try_wait().ok()??;
        let can_live = running.proven || running.since.elapsed() >= CALM;
        self.delay = if can_live { FIRST_DELAY } else { (self.delay * 2).min(LAST_DELAY) };
        self.stage = Stage::Dead(Instant::now() + self.delay);
        self.running = None;
        Some((status.to_string(), wrote))
    }

    /// Ends the process at once.
    pub fn kill(&mut self) {
        if let Some(running) = &mut self.running {
            // A process that is dead already cannot be killed, and need not.
            let _ = running.child.kill();
            let _ = running.child.wait();
        }
    }
}
