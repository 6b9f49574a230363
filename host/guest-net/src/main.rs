//! The program of the guests of benchmarks: connects to whoever measures, and does what it is told. It runs in a stock guest whose
//! ramdisk holds little else, so it is linked statically.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use guest_net::order::{Figures, Order, Wire};
use guest_net::{bulk, load};

#[derive(Parser)]
struct Options {
    /// Whom to obey
    master: SocketAddrV4,
}

fn main() -> ExitCode {
    let Options { master } = Options::parse();
    let mut guest = Guest::default();
    let obeyed = TcpStream::connect(master)
        .map_err(Into::into)
        .and_then(Wire::new)
        .and_then(|mut wire| wire.obey(|order| guest.perform(order)));
    match obeyed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("guest: net failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Guest {
    /// Datagrams that came to each port at which they are counted.
    counts: HashMap<u16, Arc<AtomicU64>>,
}

impl Guest {
    fn perform(&mut self, order: Order) -> Result<Figures> {
        let started = Instant::now();
        let (count, times_us) = match order {
            Order::Swallow { port } => {
                let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
                thread::spawn(move || bulk::swallow(&listener));
                (0, Vec::new())
            }
            Order::Serve { port } => {
                let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))?;
                thread::spawn(move || load::serve(&listener));
                (0, Vec::new())
            }
            Order::Count { port } => {
                let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
                let counted = Arc::clone(self.counts.entry(port).or_default());
                thread::spawn(move || bulk::count(&socket, &counted));
                (0, Vec::new())
            }
            Order::Counted { port } => {
                let counted = self.counts.get(&port).context("nobody counts there")?;
                (counted.swap(0, Ordering::Relaxed), Vec::new())
            }
            Order::Pour { to, bytes } => (bulk::pour(to, bytes)?, Vec::new()),
            Order::Drink { from } => (bulk::drain(&mut TcpStream::connect(from)?)?, Vec::new()),
            Order::Flood { to, payload, milliseconds } => {
                (bulk::flood(to, payload, Duration::from_millis(milliseconds))?, Vec::new())
            }
            Order::Ping { to, count } => {
                let times_us = ping(to, count)?;
                (times_us.len() as u64, times_us)
            }
            Order::Load(load) => return load.run(),
        };
        Ok(Figures { took_us: started.elapsed().as_micros() as u64, count, times_us })
    }
}

/// Returns how long each answer took, in microseconds.
fn ping(to: Ipv4Addr, count: usize) -> Result<Vec<u64>> {
    let mut command = Command::new("ping");
    let done = command.args(["-c", &count.to_string(), "-i", "0.01", &to.to_string()]).output()?;
    let text = String::from_utf8_lossy(&done.stdout);
    let time = |line: &str| {
        let ms: f64 = line.split_once("time=")?.1.split_whitespace().next()?.parse().ok()?;
        Some((ms * 1000.0) as u64)
    };
    let times_us: Vec<u64> = text.lines().filter_map(time).collect();
    ensure!(!times_us.is_empty(), "{to} has answered none of {count} pings: {text}");
    Ok(times_us)
}
