//! Who gives the members their memory, starts them, and knows when they are dead.

use super::client::Client;
use crate::world::{Memory, Random};
use replica::channel::WORDS_MIN;
use replica::master::{Channels, Config, Master, XenStoreFraming};
use replica::replica::Replica;
use replica::report::Report;
use replica::session::Sessions;
use uk_abi::testing::Fuse;
use xenstore::{ConnectionId, Engine, Peer, Spot};

/// Words of a vault: small, so that passes are frequent.
const VAULT: usize = 1 << 15;
/// Words of a channel.
const CHANNEL: usize = WORDS_MIN + 4096;

/// One member's memory, and the program in it.
struct Member {
    vault: Memory,
    inbox: Memory,
    outbox: Memory,
    replica: Option<Box<Replica<Memory>>>,
}

pub(crate) struct Host {
    pub(crate) fuse: Fuse,
    /// Whoever does something at this moment dies.
    pub(crate) death_at: Option<u64>,
    /// How often a transaction may have been interrupted.
    pub(crate) interruptions: u64,
    members: Vec<Member>,
    sessions: Memory,
    /// Which member the master is.
    chair: usize,
    master: Option<Box<Master<Memory>>>,
    /// Which clients are connected to this life of the master.
    connected: Vec<bool>,
    seed: u64,
    reports: Vec<Report>,
    flipped_session: bool,
}

impl Host {
    pub(crate) fn new(count: usize, death_at: Option<u64>, random: &mut Random) -> Self {
        let fuse = Fuse::default();
        let memory = |words| Memory::new(words, &fuse);
        let member = |_| Member {
            vault: memory(VAULT),
            inbox: memory(CHANNEL),
            outbox: memory(CHANNEL),
            replica: None,
        };
        Host {
            members: (0..count).map(member).collect(),
            sessions: memory(5 * Sessions::<Memory, XenStoreFraming>::SLOT_WORDS),
            fuse,
            death_at,
            interruptions: 0,
            chair: 0,
            master: None,
            connected: Vec::new(),
            seed: random.next(),
            reports: Vec::new(),
            flipped_session: false,
        }
    }

    fn config(&mut self) -> Config {
        self.seed += 1;
        Config { store: xenstore::Config::default(), seed: self.seed }
    }

    /// The members that are not the master, in the order of its links.
    fn others(&self) -> Vec<usize> {
        (0..self.members.len()).filter(|member| *member != self.chair).collect()
    }

    fn channels(&self, member: usize) -> Channels<Memory> {
        let Member { inbox, outbox, .. } = &self.members[member];
        Channels { inbox: inbox.clone(), outbox: outbox.clone() }
    }

    /// Lets a program do something, in which it may die.
    fn act<T>(
        &mut self,
        deaths: bool,
        random: &mut Random,
        action: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        let fuse = self.fuse.clone();
        let left = match self.death_at {
            Some(at) => at.checked_sub(fuse.passed()),
            None => (deaths && random.once_in(40)).then(|| random.below(400) as u64),
        };
        let result = fuse.run(left.unwrap_or(u64::MAX), || action(self));
        if result.is_none() {
            self.death_at = None;
        }
        result
    }

    /// Somebody does something.
    pub(crate) fn turn(&mut self, clients: &mut [Client], random: &mut Random, deaths: bool) {
        let member = random.below(self.members.len());
        if member == self.chair {
            let alive = self.act(deaths, random, |host| host.master_turn(clients));
            if alive.is_none() {
                self.master_died();
            }
        } else {
            let alive = self.act(deaths, random, |host| host.replica_turn(member));
            if alive.is_none() {
                self.members[member].replica = None;
            }
        }
    }

    fn master_turn(&mut self, clients: &mut [Client]) {
        if self.master.is_none() {
            let config = self.config();
            let links = self.others().into_iter().map(|member| self.channels(member)).collect();
            let vault = self.members[self.chair].vault.clone();
            let master =
                Master::open(config, vault, self.sessions.clone(), links).expect("the vault is large enough");
            self.master = Some(Box::new(master));
            self.connected = vec![false; clients.len()];
        }
        let Some(mut master) = self.master.take() else { return };
        for link in 0..self.members.len() - 1 {
            master.from_replica(link);
        }
        if master.is_serving() {
            for (client, connected) in clients.iter_mut().zip(&mut self.connected) {
                if !*connected {
                    let peer = Peer::Socket { read_only: false };
                    master.connect(client.id, peer, &client.pipe).expect("there is a session for each");
                    *connected = true;
                }
                master.serve(client.id, &mut client.pipe, 3).expect("the client is honest");
            }
            let mut touched = Vec::new();
            master.take_touched(&mut touched);
            for ConnectionId(id) in touched {
                let client = &mut clients[id as usize];
                master.deliver(client.id, &mut client.pipe).expect("the client is honest");
            }
            master.work();
        }
        self.interruptions += Self::note(&mut self.reports, |reports| master.take_reports(reports));
        self.master = Some(master);
    }

    fn replica_turn(&mut self, member: usize) {
        if self.members[member].replica.is_none() {
            let config = self.config();
            let vault = self.members[member].vault.clone();
            let replica =
                Replica::open(config, vault, self.channels(member)).expect("the vault is large enough");
            self.members[member].replica = Some(Box::new(replica));
        }
        let Some(replica) = &mut self.members[member].replica else { return };
        replica.work(4);
        Self::note(&mut self.reports, |reports| replica.take_reports(reports));
    }

    /// Takes reports. Returns how many of them tell of something that interrupts transactions.
    fn note(all: &mut Vec<Report>, take: impl FnOnce(&mut Vec<Report>)) -> u64 {
        let mut reports = Vec::new();
        take(&mut reports);
        let interrupts = |report: &&Report| {
            matches!(report, Report::Mended { .. } | Report::Disagreement { .. } | Report::Seeded { .. })
        };
        let count = reports.iter().filter(interrupts).count();
        all.append(&mut reports);
        count as u64
    }

    fn master_died(&mut self) {
        self.master = None;
        self.interruptions += 1;
    }

    /// Somebody is killed, or everybody.
    pub(crate) fn kill(&mut self, random: &mut Random, promotions: bool) {
        let others = self.others();
        if random.once_in(6) {
            // All at once.
            self.members.iter_mut().for_each(|member| member.replica = None);
            return self.master_died();
        }
        if random.once_in(2) {
            let Some(&member) = others.get(random.below(self.members.len())) else { return };
            self.members[member].replica = None;
            let link = others.iter().position(|other| *other == member);
            // Who can tell says so, sometimes.
            if let (Some(link), Some(master), true) = (link, &mut self.master, random.once_in(2)) {
                master.replica_gone(link);
                master.replica_joined(link);
            }
            return;
        }
        self.master_died();
        if promotions && !others.is_empty() {
            self.promote(others[random.below(others.len())]);
        }
    }

    /// A replica becomes master, if it can.
    fn promote(&mut self, member: usize) {
        let Some(replica) = self.members[member].replica.take() else { return };
        let old = std::mem::replace(&mut self.chair, member);
        let links = self.others().into_iter().map(|member| self.channels(member)).collect();
        match replica.promote(self.sessions.clone(), links) {
            Ok(master) => {
                self.master = Some(Box::new(master));
                self.connected.fill(false);
            }
            Err(replica) => {
                self.chair = old;
                self.members[member].replica = Some(replica);
            }
        }
    }

    /// Whether everybody is there and has everything.
    pub(crate) fn is_settled(&self) -> bool {
        let stamp = self.master.as_ref().filter(|master| master.is_serving()).map(|master| master.stamp());
        let follows = |replica: &Replica<Memory>| replica.is_following() && Some(replica.stamp()) == stamp;
        let all = self
            .others()
            .into_iter()
            .all(|member| self.members[member].replica.as_deref().is_some_and(follows));
        stamp.is_some() && all
    }

    /// All copies are the same, and sound.
    pub(crate) fn check_digests(&self) {
        let master = self.master.as_ref().expect("it is settled");
        let engines = self.others().into_iter().filter_map(|member| self.members[member].replica.as_ref());
        for engine in engines.map(|replica| replica.engine()).chain([master.engine()]) {
            assert_eq!(engine.digest(), master.engine().digest());
            while !engine.scrub(&mut xenstore::Cursor::default(), usize::MAX / 2).expect("sound").finished {}
        }
    }

    /// How many reports tell of a loss.
    pub(crate) fn lost(&self) -> usize {
        self.reports
            .iter()
            .filter(|report| matches!(report, Report::Lost { .. } | Report::EventsDropped { .. }))
            .count()
    }

    /// Where everybody stands, for who has to find out why.
    pub(crate) fn describe(&self) -> String {
        let last: Vec<String> = self.reports.iter().rev().take(5).map(|report| report.to_string()).collect();
        let replica = |member: &Member| member.replica.as_ref().map(|it| (it.is_following(), it.stamp()));
        let replicas: Vec<_> = self.members.iter().map(replica).collect();
        let master = self.master.as_ref().map(|master| (master.is_serving(), master.stamp()));
        format!("master {master:?}, replicas {replicas:?}, last reports {last:?}")
    }
}

/// The one member whose memories are damaged.
pub(crate) struct Victim {
    member: usize,
}

impl Victim {
    pub(crate) fn new(member: usize) -> Self {
        Victim { member }
    }

    /// Flips a bit somewhere, if all others are well: at most one copy is bad at a time.
    pub(crate) fn harm(&mut self, host: &mut Host, random: &mut Random) {
        let bit = random.below(64) as u32;
        let member = &host.members[self.member];
        match random.below(4) {
            0 => Self::harm_session(host, random, bit),
            // A replica's vault is damaged at any time, the master's only while replicas have everything.
            1 if self.member != host.chair || host.is_settled() => {
                member.vault.flip(random.below(VAULT), bit)
            }
            2 if self.member != host.chair => {
                let channel = if random.once_in(2) { &member.inbox } else { &member.outbox };
                channel.flip(random.below(CHANNEL), bit);
            }
            3 => {
                let own = host.chair == self.member;
                let engine = match (&mut host.master, &mut host.members[self.member].replica) {
                    (Some(master), _) if own && master.is_serving() => Some(master.engine_mut()),
                    (_, Some(replica)) if !own => Some(replica.engine_mut()),
                    _ => None,
                };
                if let Some(engine) = engine {
                    Self::harm_store(engine, random);
                }
            }
            _ => {}
        }
    }

    fn harm_session(host: &mut Host, random: &mut Random, bit: u32) {
        // The scrubber has been there since the last time, or a new life has.
        if host.flipped_session {
            return;
        }
        host.flipped_session = true;
        let words = 5 * Sessions::<Memory, XenStoreFraming>::SLOT_WORDS;
        host.sessions.flip(random.below(words), bit);
    }

    fn harm_store(engine: &mut Engine, random: &mut Random) {
        let mut path = format!("/c{}", random.below(4));
        for _ in 0..random.below(3) {
            path += ["/a", "/b", "/c"][random.below(3)];
        }
        let spot = Spot::ALL[random.below(Spot::ALL.len())];
        match random.below(6) {
            0 => engine.harm_watch(random.below(6) as u32, random.below(400)),
            1 => engine.harm_connection(ConnectionId(random.below(4) as u32), random.below(80)),
            _ => engine.harm_node(path.as_bytes(), spot, random.below(4096)),
        };
    }
}
