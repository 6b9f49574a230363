//! What guests' networks do when nothing fails, beside Linux's backend in a Linux dom0: the same hypervisor, kernel, ramdisk and card,
//! both hosts up and measured in turns.
//!
//! Streams, floods of the smallest frames, pings, and a web server under load as by Apache's `ab`; from guest to guest, and between a
//! guest and this machine through the card. All figures are times, so that less is better: of a MiB, a datagram that has arrived, a
//! request.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use guest_net::bulk;
use guest_net::load::Load;
use guest_net::order::{Figures, Order};
use rvmm_bench::network::{GUESTS, HERE, NETWORK, SERVED, Site};
use rvmm_bench::options::HostOptions;
use rvmm_bench::summary::Summary;
use rvmm_tests::Setup;

/// Bytes in a datagram whose frame has the 64 of the smallest one, with all headers and Ethernet's checksum.
const SMALLEST: usize = 64 - 4 - 14 - 20 - 8;

/// How long a flood lasts: dom0 tells its processor's time in tenths of a second.
const FLOOD_MS: u64 = 2000;

/// Ports of the second guest's services.
const SWALLOWS: u16 = 5001;
const COUNTS: u16 = 5002;

/// One and a half times the throughput.
const FASTER: Option<f64> = Some(1.0 / 1.5);
/// And nobody waits longer.
const NO_LATER: Option<f64> = Some(1.0);

/// How fast the network is, beside Linux's backend
#[derive(Parser)]
struct Options {
    #[command(flatten)]
    host: HostOptions,
    /// How often everything is measured
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// MiB of a stream
    #[arg(long, default_value_t = 16)]
    mebibytes: u64,
    /// Requests of a load, and pings
    #[arg(long, default_value_t = 300)]
    requests: usize,
    /// Measure our host alone
    #[arg(long)]
    alone: bool,
    /// Measure only what has this in its name
    #[arg(long, default_value = "")]
    only: String,
}

fn main() -> Result<()> {
    let options = Options::parse();
    let (setup, mut report) = options.host.prepare("net", Setup::default())?;
    let far_end = FarEnd::new(options.mebibytes << 20)?;
    let mut sites = vec![("r-vmm", Site::ours(setup, NETWORK.system(&[]))?)];
    if !options.alone {
        sites.push(("netback", Site::theirs(setup)?));
    }
    for (_, site) in &mut sites {
        site.order(0, &Order::Serve { port: SERVED })?;
        site.order(1, &Order::Serve { port: SERVED })?;
        site.order(1, &Order::Swallow { port: SWALLOWS })?;
        site.order(1, &Order::Count { port: COUNTS })?;
    }
    for trial in trials(&options, &far_end).iter().filter(|trial| trial.id.contains(&options.only)) {
        let mut samples: Vec<Samples> = sites.iter().map(|_| Samples::default()).collect();
        eprintln!("net: {}", trial.id);
        for _ in 0..options.rounds {
            for ((name, site), samples) in sites.iter_mut().zip(&mut samples) {
                trial.run(site, samples).with_context(|| format!("{} on {name}", trial.id))?;
            }
        }
        let (ours, theirs) = samples.split_at(1);
        let mut add = |figure: &str, unit, of: fn(&Samples) -> &[u64], aim| {
            let peers: Vec<_> = theirs.iter().map(|theirs| ("netback", of(theirs))).collect();
            report.add_beside(format!("{}/{figure}", trial.id), unit, of(&ours[0]), &peers, aim);
        };
        let (unit, _) = trial.per.unit();
        add(trial.per.name(), unit, |samples| &samples.each, FASTER);
        add("cpu", unit, |samples| &samples.cpu, FASTER);
        add("p50", "us", |samples| &samples.p50, NO_LATER);
        add("p95", "us", |samples| &samples.p95, NO_LATER);
        add("p99", "us", |samples| &samples.p99, NO_LATER);
    }
    report.publish(options.host.json.as_deref())
}

/// This machine, as guests find it.
struct FarEnd {
    swallows: SocketAddrV4,
    pours: SocketAddrV4,
    counts: SocketAddrV4,
    counted: Arc<AtomicU64>,
}

impl FarEnd {
    /// Serves guests; who reads is given so many bytes.
    fn new(bytes: u64) -> Result<Self> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (swallowing, pouring) = (listen()?, listen()?);
        let counting = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let seen = |address: SocketAddr| SocketAddrV4::new(HERE, address.port());
        let far_end = Self {
            swallows: seen(swallowing.local_addr()?),
            pours: seen(pouring.local_addr()?),
            counts: seen(counting.local_addr()?),
            counted: Arc::default(),
        };
        let counted = Arc::clone(&far_end.counted);
        thread::spawn(move || bulk::swallow(&swallowing));
        thread::spawn(move || bulk::pour_for_all(&pouring, bytes));
        thread::spawn(move || bulk::count(&counting, &counted));
        Ok(far_end)
    }
}

/// What all rounds of a trial came to.
#[derive(Default)]
struct Samples {
    each: Vec<u64>,
    cpu: Vec<u64>,
    p50: Vec<u64>,
    p95: Vec<u64>,
    p99: Vec<u64>,
}

/// Something that is measured.
struct Trial<'a> {
    id: &'static str,
    per: Per,
    /// Does it once, and tells how many there were and how long they took.
    work: Work<'a>,
}

type Work<'a> = Box<dyn Fn(&mut Site) -> Result<Figures> + 'a>;

/// What one of which is timed.
#[derive(Clone, Copy)]
enum Per {
    Mebibyte,
    Packet,
    Request,
    /// Each has a time of its own, and they do not follow one another at once.
    Ping,
}

impl Per {
    const fn name(self) -> &'static str {
        match self {
            Self::Mebibyte => "per-mib",
            Self::Packet => "per-packet",
            Self::Request => "per-request",
            Self::Ping => "per-ping",
        }
    }

    /// The unit, and how many of them are in a microsecond.
    const fn unit(self) -> (&'static str, u64) {
        if matches!(self, Self::Packet) { ("ns", 1000) } else { ("us", 1) }
    }
}

impl Trial<'_> {
    fn run(&self, site: &mut Site, samples: &mut Samples) -> Result<()> {
        let before_us = site.backend_cpu_us()?;
        let Figures { took_us, count, times_us } = (self.work)(site)?;
        let cpu_us = site.backend_cpu_us()?.saturating_sub(before_us);
        ensure!(count > 0, "nothing has arrived");
        let each = |us: u64| us * self.per.unit().1 / count;
        if !matches!(self.per, Per::Ping) {
            samples.each.push(each(took_us));
        }
        samples.cpu.push(each(cpu_us));
        if let Some(times) = Summary::of(&times_us) {
            samples.p50.push(times.p50);
            samples.p95.push(times.p95);
            samples.p99.push(times.p99);
        }
        Ok(())
    }
}

/// All that is measured.
fn trials<'a>(options: &Options, far_end: &'a FarEnd) -> Vec<Trial<'a>> {
    let &Options { mebibytes, requests, .. } = options;
    let there = |port| SocketAddrV4::new(GUESTS[1], port);
    let stream =
        move |order: Order| move |site: &mut Site| Ok(Figures { count: mebibytes, ..site.order(0, &order)? });
    let pour = |to| stream(Order::Pour { to, bytes: mebibytes << 20 });
    let flood = |to| Order::Flood { to, payload: SMALLEST, milliseconds: FLOOD_MS };
    let ping = move |to| move |site: &mut Site| site.order(0, &Order::Ping { to, count: requests });
    let mut trials = vec![
        Trial { id: "tcp/guest-to-guest", per: Per::Mebibyte, work: Box::new(pour(there(SWALLOWS))) },
        Trial { id: "tcp/guest-to-here", per: Per::Mebibyte, work: Box::new(pour(far_end.swallows)) },
        Trial {
            id: "tcp/here-to-guest",
            per: Per::Mebibyte,
            work: Box::new(stream(Order::Drink { from: far_end.pours })),
        },
        Trial {
            id: "udp-64/guest-to-guest",
            per: Per::Packet,
            work: Box::new(move |site| {
                site.order(1, &Order::Counted { port: COUNTS })?;
                let sent = site.order(0, &flood(there(COUNTS)))?;
                let Figures { count, .. } = site.order(1, &Order::Counted { port: COUNTS })?;
                Ok(Figures { count, ..sent })
            }),
        },
        Trial {
            id: "udp-64/guest-to-here",
            per: Per::Packet,
            work: Box::new(move |site| {
                far_end.counted.store(0, Ordering::Relaxed);
                let sent = site.order(0, &flood(far_end.counts))?;
                Ok(Figures { count: far_end.counted.load(Ordering::Relaxed), ..sent })
            }),
        },
        Trial { id: "ping/guest-to-guest", per: Per::Ping, work: Box::new(ping(GUESTS[1])) },
        Trial { id: "ping/guest-to-here", per: Per::Ping, work: Box::new(ping(HERE)) },
    ];
    for (id, clients, keep_alive) in [
        ("web/guest-to-guest/1-client", 1, false),
        ("web/guest-to-guest/1-client/keep-alive", 1, true),
        ("web/guest-to-guest/8-clients", 8, false),
        ("web/guest-to-guest/8-clients/keep-alive", 8, true),
    ] {
        let load = Load { at: there(SERVED), clients, requests, keep_alive };
        let work = move |site: &mut Site| site.order(0, &Order::Load(load.clone()));
        trials.push(Trial { id, per: Per::Request, work: Box::new(work) });
    }
    for (id, clients, keep_alive) in [
        ("web/here-to-guest/1-client", 1, false),
        ("web/here-to-guest/1-client/keep-alive", 1, true),
        ("web/here-to-guest/8-clients", 8, false),
        ("web/here-to-guest/8-clients/keep-alive", 8, true),
    ] {
        let work = move |site: &mut Site| Load { at: site.served, clients, requests, keep_alive }.run();
        trials.push(Trial { id, per: Per::Request, work: Box::new(work) });
    }
    trials
}
