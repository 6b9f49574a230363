//! Leaving the process to another daemon.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use linux::inherited;
use replica::master::UnderWay;
use tracing::{error, info};
use xenstore::ConnectionId;
use xenstore::stream::{Attachment, Dump, Global};

use super::Plan;
use crate::cli;
use crate::server::{Home, Server};

/// Bytes of the stream that are made at a time; nobody is served meanwhile.
const PIECE: usize = 1 << 20;

/// Lets another daemon go on in this process. Comes back only if that fails, and then this one goes on.
pub(crate) fn depart(server: &mut Server, plan: &Plan) {
    info!("live update: {} takes over", plan.program.display());
    let error = match prepare(server) {
        Ok(()) => Command::new(&plan.program).args(arguments(plan)).exec(),
        Err(error) => error,
    };
    error!("live update: {} does not take over: {error}", plan.program.display());
    server.stay();
}

/// The new daemon's arguments: those that were given, or this one's, and that it is a live update.
fn arguments(plan: &Plan) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = match &plan.arguments {
        Some(line) => line.split_whitespace().map(OsString::from).collect(),
        // It is where it is to be already.
        None => cli::own_arguments(&[]).filter(|argument| argument != "--detached").collect(),
    };
    if !arguments.iter().any(|argument| argument == "-U" || argument == "--live-update") {
        arguments.push("-U".into());
    }
    arguments
}

/// Writes the state, and leaves open what goes with it.
fn prepare(server: &mut Server) -> io::Result<()> {
    let stream = stream(server)?;
    for path in &server.dumps {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(path, &stream)?;
    }
    server.leave_open(true)
}

fn stream(server: &mut Server) -> io::Result<Vec<u8>> {
    let mut under_way: BTreeMap<ConnectionId, UnderWay> = BTreeMap::new();
    for (id, client) in &mut server.clients {
        let damaged = || io::Error::other(format!("what connection {} has to get is damaged", id.0));
        let mut one = server.master.under_way(*id, &client.stream).ok_or_else(damaged)?;
        if let Some(socket) = client.stream.as_socket() {
            let part = one.input.len();
            one.input.resize(part + socket.available(), 0);
            socket.peek(0, &mut one.input[part..]);
        }
        under_way.insert(*id, one);
    }
    let Home::Alone { listener, .. } = &server.home else { return Err(io::ErrorKind::Unsupported.into()) };
    let event_channels = server.hypervisor.as_ref().map_or(-1, |own| own.events().as_raw_fd());
    let global = Global { socket: listener.as_raw_fd(), event_channels };
    let mut dump = Dump::new(server.master.engine(), Some(global));
    let mut stream = Vec::new();
    let attachment = |id| {
        let (Some(client), Some(one)) = (server.clients.get(&id), under_way.get(&id)) else {
            return Attachment::default();
        };
        Attachment {
            socket: client.stream.socket_fd().map_or(-1, |socket| socket.as_raw_fd()),
            port: client.port.map_or(0, |port| port.0),
            input: &one.input,
            partial: one.partial as u16,
            output: &one.output,
        }
    };
    while !dump.write(PIECE, &mut stream, attachment) {}
    Ok(stream)
}

impl Server {
    /// Leaves the descriptors of the stream open at an `execve`, or takes that back.
    fn leave_open(&mut self, open: bool) -> io::Result<()> {
        if let Home::Alone { listener, .. } = &self.home {
            inherited::leave(listener, open)?;
        }
        for client in self.clients.values() {
            if let Some(socket) = client.stream.socket_fd() {
                inherited::leave(socket, open)?;
            }
        }
        match &mut self.hypervisor {
            Some(hypervisor) => {
                hypervisor.hand_over(open)?;
                inherited::leave(hypervisor.events().as_fd(), open)
            }
            None => Ok(()),
        }
    }

    /// Goes on after all.
    fn stay(&mut self) {
        if let Err(error) = self.leave_open(false) {
            error!("live update: it cannot be taken back: {error}");
        }
        for path in &self.dumps {
            // What was never written is not there.
            let _ = fs::remove_file(path);
        }
    }
}
