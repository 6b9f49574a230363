//! How fast our XenStore daemon is, alone and with three replicas, beside Xen's two: all of them natively on this machine, with the
//! client on one processor, each workload in turns.
//!
//! Every figure is better when it is less. Times of single requests are from sending to the answer; those of pipelines and of many
//! connections are of the whole, divided by the requests.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use peers::{Daemon, Options, Program};
use rustix::thread::{CpuSet, sched_setaffinity};
use rvmm_bench::process::{cpu_time, resident_bytes};
use rvmm_bench::report::Report;
use xenstore_client::wire::Kind;
use xenstore_client::{Client, Request, terminated};

/// MiB that our daemon may keep its store in: enough for 100,000 nodes.
const STATE_MIB: u32 = 256;
/// Requests of a pipeline.
const PIPELINE: usize = 1000;
/// Nodes of a store that is not small, and of one that is large.
const STORES: [usize; 2] = [10_000, 100_000];
/// How many nodes have the same parent.
const SIBLINGS: usize = 100;

/// Measures XenStore daemons.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where the figures go
    #[arg(long)]
    json: Option<PathBuf>,
    /// How often each daemon has its turn with each workload
    #[arg(long, default_value_t = 10)]
    rounds: usize,
    /// Samples of each workload in one turn
    #[arg(long, default_value_t = 200)]
    samples: usize,
}

/// One daemon and what is connected to it.
struct Contestant {
    name: &'static str,
    daemon: Daemon,
    client: Client,
    watcher: Client,
    many: Vec<Client>,
    /// Nodes that it was filled with.
    nodes: usize,
}

/// A workload: its name, what it does so many times, and what our median may be at most, over the better peer's: alone, and replicated.
type Workload = (&'static str, fn(&mut Contestant, usize) -> Result<Vec<u64>>, [Option<f64>; 2]);

/// The workloads of a small store, with the aims of the project's plan.
const WORKLOADS: [Workload; 15] = [
    ("read", |it, count| times(count, || Ok(it.client.read(0, "/bench/value")?)), [Some(1.0), Some(1.0)]),
    (
        "write",
        |it, count| times(count, || Ok(it.client.write(0, "/bench/value", b"value")?)),
        [Some(1.0), Some(1.5)],
    ),
    (
        "directory-of-100",
        |it, count| times(count, || Ok(it.client.directory(0, "/bench/hundred")?)),
        [Some(1.0), None],
    ),
    (
        "transaction-of-10-writes",
        |it, count| times(count / 10 + 1, || transaction(&mut it.client)),
        [Some(0.2), None],
    ),
    (
        "transaction-of-10-writes/pipelined",
        |it, count| times(count / 10 + 1, || pipelined_transaction(&mut it.client)),
        [Some(0.2), None],
    ),
    (
        "cpu/transaction-of-10-writes",
        |it, count| work(it, count / 10 + 1, |it| pipelined_transaction(&mut it.client)),
        [Some(0.2), None],
    ),
    ("mkdir-and-rm", |it, count| times(count, || mkdir_and_rm(&mut it.client)), [Some(1.0), None]),
    ("watch-fires", |it, count| times(count, || watch_fires(it)), [Some(1.0), None]),
    ("pipelined-read", |it, count| pipelined(it, Kind::Read, count, false), [Some(1.0 / 3.0), Some(1.0)]),
    ("pipelined-write", |it, count| pipelined(it, Kind::Write, count, false), [Some(1.0 / 3.0), Some(1.5)]),
    ("cpu/read", |it, count| pipelined(it, Kind::Read, count, true), [Some(1.0 / 3.0), Some(1.0)]),
    ("cpu/write", |it, count| pipelined(it, Kind::Write, count, true), [Some(1.0 / 3.0), Some(1.5)]),
    ("8-connections/read", |it, count| connections(it, 8, count), [Some(1.0), None]),
    ("64-connections/read", |it, count| connections(it, 64, count), [Some(1.0), None]),
    ("kill-and-restart", |it, count| restarts(it, count / 100 + 1), [Some(1.0), None]),
];

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    // Whoever is started from here inherits it.
    let mut one = CpuSet::new();
    one.set(0);
    sched_setaffinity(None, &one)?;
    let mut contestants = contestants()?;
    let mut report = Report::new("xenstore");
    report.version("xenstored, oxenstored", "4.17, Debian 12");
    for (name, workload, aims) in WORKLOADS {
        let samples = in_turns(&mut contestants, arguments.rounds, |it| workload(it, arguments.samples))?;
        add(&mut report, name, "ns", &contestants, &samples, aims);
    }
    for nodes in STORES {
        large_store(&mut report, &mut contestants, nodes, &arguments)?;
    }
    report.publish(arguments.json.as_deref())
}

/// Lets each contestant have its turn, again and again; answers the samples of each.
fn in_turns(
    contestants: &mut [Contestant],
    rounds: usize,
    mut turn: impl FnMut(&mut Contestant) -> Result<Vec<u64>>,
) -> Result<Vec<Vec<u64>>> {
    let mut samples = vec![Vec::new(); contestants.len()];
    for _ in 0..rounds {
        for (contestant, samples) in contestants.iter_mut().zip(&mut samples) {
            samples.extend(turn(contestant).with_context(|| contestant.name)?);
        }
    }
    Ok(samples)
}

/// Adds a row for ours alone and one for ours with replicas, the first two, beside the others.
fn add(
    report: &mut Report,
    name: &str,
    unit: &'static str,
    contestants: &[Contestant],
    samples: &[Vec<u64>],
    aims: [Option<f64>; 2],
) {
    let named = |(one, samples): (&Contestant, &Vec<u64>)| (one.name, samples.clone());
    let others: Vec<_> = contestants.iter().zip(samples).skip(2).map(named).collect();
    let others: Vec<(&str, &[u64])> =
        others.iter().map(|(name, samples)| (*name, samples.as_slice())).collect();
    for (index, suffix) in ["", "/3-replicas"].into_iter().enumerate() {
        report.add_beside(format!("{name}{suffix}"), unit, &samples[index], &others, aims[index]);
    }
}

fn contestants() -> Result<Vec<Contestant>> {
    let here = env::current_exe()?;
    let ours = here.with_file_name("xenstored");
    let ours = |replicas: u32| {
        let arguments = [format!("--replicas={replicas}"), format!("--state-size={STATE_MIB}")];
        Program::Ours(ours.clone(), arguments.map(OsString::from).to_vec())
    };
    [("ours", ours(1)), ("ours, 3 replicas", ours(3)), ("C", Program::C), ("OCaml", Program::OCaml)]
        .into_iter()
        .map(|(name, program)| Contestant::new(name, program).with_context(|| name))
        .collect()
}

impl Contestant {
    fn new(name: &'static str, program: Program) -> Result<Self> {
        let target = env::var_os("RVMM_TARGET")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
        let daemon = Daemon::start(&target, program, Options::default())?;
        let (client, watcher) = (daemon.connect()?, daemon.connect()?);
        let mut contestant = Contestant { name, daemon, client, watcher, many: Vec::new(), nodes: 0 };
        contestant.prepare()?;
        Ok(contestant)
    }

    /// Connects, and makes the nodes that the workloads need.
    fn prepare(&mut self) -> Result<()> {
        (self.client, self.watcher) = (self.daemon.connect()?, self.daemon.connect()?);
        self.many = (0..64).map(|_| self.daemon.connect()).collect::<Result<_, _>>()?;
        self.client.write(0, "/bench/value", b"value")?;
        for number in 0..100 {
            self.client.write(0, &format!("/bench/hundred/node-{number}"), b"")?;
        }
        self.watcher.watch("/bench/watched", "token")?;
        self.watcher.next_event(Duration::from_secs(10))?.context("a watch fires at the start")?;
        Ok(())
    }

    /// Adds nodes until there are `count`.
    fn fill(&mut self, count: usize) -> Result<()> {
        let requests: Vec<Request> = (self.nodes..count).map(|number| write(&node(number))).collect();
        for answer in self.client.pipeline(&requests)? {
            answer?;
        }
        self.nodes = count;
        Ok(())
    }
}

fn node(number: usize) -> String {
    format!("/bench/large/{}/node-{}", number / SIBLINGS, number % SIBLINGS)
}

fn write(path: &str) -> Request {
    Request { kind: Kind::Write, transaction: 0, payload: terminated(&[path, "value"]) }
}

/// The time of each of `count` times, in nanoseconds.
fn times<T>(count: usize, mut what: impl FnMut() -> Result<T>) -> Result<Vec<u64>> {
    (0..count)
        .map(|_| {
            let start = Instant::now();
            what()?;
            Ok(nanoseconds(start.elapsed()))
        })
        .collect()
}

/// What the daemon takes of the processor's time for each of `count` times, in nanoseconds.
fn work(
    it: &mut Contestant,
    count: usize,
    mut what: impl FnMut(&mut Contestant) -> Result<()>,
) -> Result<Vec<u64>> {
    (0..count)
        .map(|_| {
            let used = cpu_time(it.daemon.pid())?;
            what(it)?;
            Ok(nanoseconds(cpu_time(it.daemon.pid())?.saturating_sub(used)))
        })
        .collect()
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn transaction(client: &mut Client) -> Result<()> {
    let transaction = client.transaction_start()?;
    for number in 0..10 {
        client.write(transaction, &format!("/bench/transaction/{number}"), b"value")?;
    }
    anyhow::ensure!(client.transaction_end(transaction, true)?, "nobody else writes");
    Ok(())
}

/// The same in two pieces: the start, whose answer is needed for the rest, and the rest.
fn pipelined_transaction(client: &mut Client) -> Result<()> {
    let transaction = client.transaction_start()?;
    let mut requests: Vec<Request> = (0..10)
        .map(|number| Request { transaction, ..write(&format!("/bench/transaction/{number}")) })
        .collect();
    requests.push(Request { kind: Kind::TransactionEnd, transaction, payload: terminated(&["T"]) });
    client.pipeline(&requests)?.into_iter().try_for_each(|answer| Ok(answer.map(drop)?))
}

fn mkdir_and_rm(client: &mut Client) -> Result<()> {
    client.mkdir(0, "/bench/directory")?;
    Ok(client.remove(0, "/bench/directory")?)
}

fn watch_fires(it: &mut Contestant) -> Result<()> {
    it.client.write(0, "/bench/watched", b"value")?;
    it.watcher.next_event(Duration::from_secs(10))?.context("the watch fires").map(drop)
}

/// The time of a request among many that are under way, or what the daemon itself takes of the processor's time for it.
fn pipelined(it: &mut Contestant, kind: Kind, count: usize, of_the_daemon: bool) -> Result<Vec<u64>> {
    let request = match kind {
        Kind::Write => write("/bench/value"),
        kind => Request { kind, transaction: 0, payload: terminated(&["/bench/value"]) },
    };
    let requests = vec![request; PIPELINE];
    (0..count.div_ceil(PIPELINE))
        .map(|_| {
            let (start, used) = (Instant::now(), cpu_time(it.daemon.pid())?);
            for answer in it.client.pipeline(&requests)? {
                answer?;
            }
            let time = if of_the_daemon { cpu_time(it.daemon.pid())? - used } else { start.elapsed() };
            Ok(nanoseconds(time) / PIPELINE as u64)
        })
        .collect()
}

/// The time of a request when each of many connections has one under way.
fn connections(it: &mut Contestant, width: usize, count: usize) -> Result<Vec<u64>> {
    let payload = terminated(&["/bench/value"]);
    (0..count.div_ceil(width))
        .map(|_| {
            let start = Instant::now();
            for client in &mut it.many[..width] {
                client.send(Kind::Read, 0, &payload)?;
            }
            for client in &mut it.many[..width] {
                client.receive()?;
            }
            Ok(nanoseconds(start.elapsed()) / width as u64)
        })
        .collect()
}

/// The time from `kill -9` to the first answer of the next daemon.
fn restarts(it: &mut Contestant, count: usize) -> Result<Vec<u64>> {
    let samples = (0..count)
        .map(|_| {
            let start = Instant::now();
            it.daemon.kill_and_restart()?;
            Ok(nanoseconds(start.elapsed()))
        })
        .collect::<Result<_>>()?;
    it.prepare()?;
    Ok(samples)
}

/// Measures a store of many nodes: memory for each, a write's time, and the longest time that a client waits.
fn large_store(
    report: &mut Report,
    contestants: &mut [Contestant],
    nodes: usize,
    arguments: &Arguments,
) -> Result<()> {
    let memory = in_turns(contestants, 1, |it| {
        let (before, made) = (resident_bytes(it.daemon.pid())?, nodes - it.nodes);
        it.fill(nodes)?;
        Ok(vec![resident_bytes(it.daemon.pid())?.saturating_sub(before) / made as u64])
    })?;
    add(report, &format!("memory-per-node/{nodes}-nodes"), "bytes", contestants, &memory, [None, None]);
    let writes = in_turns(contestants, arguments.rounds, |it| {
        times(10 * arguments.samples, || Ok(it.client.write(0, "/bench/value", b"value")?))
    })?;
    add(report, &format!("write/{nodes}-nodes"), "ns", contestants, &writes, [Some(1.0), Some(1.5)]);
    let longest: Vec<Vec<u64>> =
        writes.iter().map(|samples| samples.iter().max().copied().into_iter().collect()).collect();
    add(report, &format!("longest-pause/{nodes}-nodes"), "ns", contestants, &longest, [Some(1.0), None]);
    // The same without what the machine does besides: new nodes, so that tables grow and passes are made meanwhile.
    let works = in_turns(contestants, arguments.rounds, |it| {
        work(it, arguments.samples, |it| {
            it.nodes += 1;
            let path = node(it.nodes - 1);
            Ok(it.client.write(0, &path, b"value")?)
        })
    })?;
    let most: Vec<Vec<u64>> =
        works.iter().map(|samples| samples.iter().max().copied().into_iter().collect()).collect();
    add(report, &format!("cpu/longest-request/{nodes}-nodes"), "ns", contestants, &most, [Some(1.0), None]);
    Ok(())
}
