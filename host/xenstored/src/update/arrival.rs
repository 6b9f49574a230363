//! Going on in a process where another daemon was.

use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use linux::evtchn::LocalPort;
use linux::inherited;
use replica::master::{self, Newcomer};
use replica::session::Stream;
use rustix::io::write;
use tracing::{info, warn};
use xenstore::stream::{Loaded, Loader, Restored};
use xenstore::wire::{self, Decoded};
use xenstore::{ConnectionId, Effects, Engine};

use crate::domains::Hypervisor;
use crate::paths::Paths;
use crate::socket;
use crate::state::Memories;
use crate::stream::ClientStream;

/// What goes on from the daemon before.
#[derive(Debug, Default)]
pub struct Arrival {
    /// The socket that accepts clients.
    pub listener: Option<UnixListener>,
    /// Clients on sockets, ready to be served, with their numbers.
    pub clients: Vec<(u32, OwnedFd)>,
}

/// Why nothing can go on.
#[derive(Debug, thiserror::Error)]
pub enum ArrivalError {
    /// The file of the state cannot be read.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// What is in it makes no sense.
    #[error("{path}: {error}")]
    Stream {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        error: xenstore::stream::StreamError,
    },
    /// The state finds no room.
    #[error("the state that was left cannot be kept: {0:?}")]
    Seed(master::SeedError),
}

/// Takes over what a daemon has left for a live update: its state goes into the memories, in which there must be none.
/// None if nothing was left.
///
/// # Errors
/// [`ArrivalError`]. The files stay.
pub fn arrive(
    paths: &Paths,
    config: &master::Config,
    memories: &Memories,
    hypervisor: Option<&mut Box<dyn Hypervisor>>,
) -> Result<Option<Arrival>, ArrivalError> {
    let Some(loaded) = load(paths, config)? else { return Ok(None) };
    let Loaded { mut engine, global, connections } = loaded;
    let mut arrival = Arrival::default();
    let mut arriving: Vec<Arriving> = Vec::new();
    let mut hypervisor = hypervisor;
    for restored in connections {
        let id = restored.id;
        match Arriving::new(restored, hypervisor.as_deref_mut()) {
            Ok(one) => {
                if let (Some(port), Some(domid)) = (one.remote_port, id.ring_of()) {
                    engine.moved_port(domid, port);
                }
                arriving.push(one);
            }
            Err(error) => {
                warn!("connection {} does not go on: {error}", id.0);
                engine.disconnect(id, &mut Effects::new());
            }
        }
    }
    if let Some(global) = global {
        arrival.listener = inherited::take(global.socket).ok().map(UnixListener::from);
        // Its ports are bound anew, as after a crash.
        drop(inherited::take(global.event_channels));
    }
    answer_what_is_whole(&mut engine, &mut arriving);
    let (newcomers, sockets): (Vec<Newcomer>, Vec<_>) =
        arriving.into_iter().map(|one| (one.newcomer, one.socket)).unzip();
    let sessions = memories
        .sessions()
        .map_err(|error| ArrivalError::File { path: paths.state.clone(), error: io::Error::other(error) })?;
    master::seed(config.clone(), memories.vault, sessions, engine, &newcomers).map_err(ArrivalError::Seed)?;
    info!("live update: {} clients go on", newcomers.len());
    let numbers = newcomers.iter().map(|newcomer| newcomer.id.0);
    arrival.clients = numbers.zip(sockets).filter_map(|(number, socket)| Some((number, socket?))).collect();
    for path in &paths.dumps {
        // One of the two was not there.
        let _ = fs::remove_file(path);
    }
    Ok(Some(arrival))
}

/// Answers the requests that had arrived whole, and leaves the beginnings of others.
fn answer_what_is_whole(engine: &mut Engine, arriving: &mut [Arriving]) {
    let mut effects = Effects::new();
    for at in 0..arriving.len() {
        let (id, input) = (arriving[at].newcomer.id, std::mem::take(&mut arriving[at].newcomer.input));
        let mut rest = &input[..];
        while let Decoded::Message(message) = wire::decode(rest) {
            effects.clear();
            engine.handle_damaged(id, &message, &mut effects);
            for (to, bytes) in effects.outputs.iter() {
                if let Some(one) = arriving.iter_mut().find(|one| one.newcomer.id == to) {
                    one.newcomer.output.extend_from_slice(bytes);
                }
            }
            rest = &rest[message.size()..];
        }
        arriving[at].newcomer.input = rest.to_vec();
    }
}

/// Reads the newest of the files that there are.
fn load(paths: &Paths, config: &master::Config) -> Result<Option<Loaded>, ArrivalError> {
    let written = |path: &PathBuf| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let found = paths.dumps.iter().filter_map(|path| Some((written(path)?, path)));
    let Some((_, path)) = found.max() else { return Ok(None) };
    let bytes = fs::read(path).map_err(|error| ArrivalError::File { path: path.clone(), error })?;
    let mut loader = Loader::new(config.store.clone());
    let loaded = loader.take(&bytes).and_then(|()| loader.finish());
    loaded.map(Some).map_err(|error| ArrivalError::Stream { path: path.clone(), error })
}

/// A client on its way from one daemon to the next.
struct Arriving {
    newcomer: Newcomer,
    socket: Option<OwnedFd>,
    /// For a ring: the domain's port, of which the stream does not tell.
    remote_port: Option<u32>,
}

impl Arriving {
    fn new(restored: Restored, hypervisor: Option<&mut Box<dyn Hypervisor>>) -> io::Result<Self> {
        let Restored { id, socket, port, input, partial, output } = restored;
        let (begun, output) = output.split_at(output.len().min(partial.into()));
        let newcomer = |positions| Newcomer { id, positions, input, output: output.to_vec() };
        if let Some(number) = socket {
            let socket = inherited::take(number)?;
            socket::prepare(&socket)?;
            if !begun.is_empty() && write(&socket, begun)? != begun.len() {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            return Ok(Self { newcomer: newcomer((0, 0)), socket: Some(socket), remote_port: None });
        }
        let domid = id.ring_of().ok_or(io::ErrorKind::InvalidData)?;
        let hypervisor = hypervisor.ok_or(io::ErrorKind::Unsupported)?;
        let (page, remote_port) = if id == ConnectionId::of_domain(xen_abi::Domid(0)) {
            (hypervisor.own_ring()?.0, None)
        } else {
            (hypervisor.map(domid)?, Some(hypervisor.remote_port(domid, LocalPort(port))?))
        };
        let mut ring = ClientStream::ring(page);
        if !begun.is_empty() && ring.produce(begun).map_err(io::Error::other)? != begun.len() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let positions =
            (ring.consumed().map_err(io::Error::other)?, ring.produced().map_err(io::Error::other)?);
        Ok(Self { newcomer: newcomer(positions), socket: None, remote_port })
    }
}
