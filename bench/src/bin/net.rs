//! What the network does when nothing fails: round trips to a stock guest and to the network's unikernel itself, and a stream that goes into
//! a guest and comes back.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use emulator::artifacts::XenVersion;
use emulator::host::{GUARD, Host};
use emulator::lan::Lan;
use emulator::line::Line;
use rvmm_bench::report::Report;
use rvmm_tests::Setup;
use rvmm_tests::network::{GUESTS, Network};
use rvmm_tests::setup::log_directory;
use rvmm_tests::traffic::NET_ADDRESS;

/// How long one host may run, whatever happens.
const LIFETIME: Duration = Duration::from_secs(30 * 60);

/// The guest's address on the LAN.
const GUEST_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 6);

/// Bytes of one sample of the stream.
const MEBIBYTE: usize = 1 << 20;

/// How fast the network is
#[derive(Parser)]
struct Options {
    /// Where the figures go, for machines
    #[arg(long)]
    json: Option<PathBuf>,
    /// Version of Xen: 4.17 or 4.20
    #[arg(long, default_value_t = XenVersion::V4_17)]
    xen: XenVersion,
    /// How many round trips
    #[arg(long, default_value_t = 500)]
    count: usize,
    /// How many MiB go through the stream
    #[arg(long, default_value_t = 16)]
    mebibytes: usize,
}

fn main() -> Result<()> {
    let Options { json, xen, count, mebibytes } = Options::parse();
    let mut report = Report::new("net");
    report.version("xen", xen);
    measure_round_trips(xen, count, &mut report)?;
    measure_stream(xen, mebibytes, &mut report)?;
    report.publish(json.as_deref())
}

/// A host with one guest, which has said `text`; and its LAN, if it is on one.
fn boot(name: &str, setup: Setup, text: &str) -> Result<(Host, Option<Lan>)> {
    let directory = log_directory(&format!("bench-net-{name}"));
    let prepared = setup.prepare(&directory)?;
    let host = Host::boot(&prepared.machine, &directory, LIFETIME)?;
    let [guest, _] = GUESTS;
    for said in ["[    0.000000]", "guest: up ", text] {
        let says = |line: &Line| {
            matches!(line, Line::Domain(domid, line) if *domid == guest && line.starts_with(said))
                .then_some(())
        };
        host.wait_line(format!("the guest says {said:?}"), says)
            .with_context(|| format!("the logs are in {}", directory.display()))?;
    }
    Ok((host, prepared.lan))
}

fn measure_round_trips(xen: XenVersion, count: usize, report: &mut Report) -> Result<()> {
    let system = Network::PATIENT.system(&[&format!("address={GUEST_ADDRESS}/24")]);
    let setup = Setup { system, xen, devices: true, ..Setup::default() };
    let (_host, lan) = boot("round-trips", setup, "guest: net up")?;
    let mut lan = lan.context("this host has no network")?;
    for (who, address) in [("guest", GUEST_ADDRESS), ("unikernel", NET_ADDRESS)] {
        let mut round_trip = || -> Result<u64> {
            let asked = Instant::now();
            lan.ping(address, GUARD)?;
            Ok(asked.elapsed().as_micros() as u64)
        };
        // The first one finds out who that is.
        round_trip()?;
        let samples = (0..count).map(|_| round_trip()).collect::<Result<Vec<_>>>()?;
        report.add(format!("ping/lan-to-{who}"), &samples, None);
    }
    Ok(())
}

fn measure_stream(xen: XenVersion, mebibytes: usize, report: &mut Report) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = listener.local_addr()?.port();
    let network = Network { address: "10.0.2.15/24", ..Network::PATIENT };
    let system = network.system(&[&format!("address=10.0.2.16/24 job=echo peer=10.0.2.2 port={port}")]);
    let setup = Setup { system, xen, devices: true, on_this_machine: true, ..Setup::default() };
    let (_host, _) = boot("stream", setup, "guest: echo starts")?;
    let (stream, _) = listener.accept()?;
    report.add("tcp/to-guest-and-back/per-mib", &echo(stream, mebibytes)?, None);
    Ok(())
}

/// Sends so many MiB, which come back; returns how long each took, one after the other.
fn echo(stream: TcpStream, mebibytes: usize) -> Result<Vec<u64>> {
    let mut source = stream.try_clone()?;
    source.set_read_timeout(Some(GUARD))?;
    thread::scope(|scope| {
        let mut sink = stream;
        let sent = scope.spawn(move || (0..mebibytes).try_for_each(|_| sink.write_all(&[0x5d; MEBIBYTE])));
        let mut samples = Vec::new();
        let mut piece = vec![0; MEBIBYTE];
        for _ in 0..mebibytes {
            let started = Instant::now();
            source.read_exact(&mut piece)?;
            samples.push(started.elapsed().as_micros() as u64);
        }
        sent.join().map_err(|_| anyhow!("nobody sends any more"))??;
        Ok(samples)
    })
}
