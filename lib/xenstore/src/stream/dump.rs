//! From a store to a stream.

use alloc::vec::Vec;

use xen_abi::Domid;

use super::{Attachment, Global, HEADER, IDENT, NO_DEPTH, connection, kind};
use crate::connection::{ConnectionId, Peer};
use crate::engine::Engine;
use crate::permission::Permission;
use crate::quota::Quota;
use crate::record::RecordView;
use crate::store::NodeId;
use crate::watch::Watch;

/// A store that is being written to a stream, piece by piece. Meanwhile it cannot change.
#[derive(Debug)]
pub struct Dump<'a> {
    engine: &'a Engine,
    global: Option<Global>,
    connections: Vec<ConnectionId>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Start,
    /// The connection that comes next.
    Connections(usize),
    /// Nodes that are still to come with all below them; the next is the last.
    Nodes(Vec<NodeId>),
    End,
}

/// Where the length of a record is to be filled in.
struct Open(usize);

fn begin(kind: u32, into: &mut Vec<u8>) -> Open {
    into.extend_from_slice(&kind.to_le_bytes());
    into.extend_from_slice(&[0; 4]);
    Open(into.len())
}

fn end(open: &Open, into: &mut Vec<u8>) {
    let padded = (into.len() - open.0).next_multiple_of(8);
    into.resize(open.0 + padded, 0);
    into[open.0 - HEADER / 2..open.0].copy_from_slice(&(padded as u32).to_le_bytes());
}

fn u16s(values: &[u16], into: &mut Vec<u8>) {
    values.iter().for_each(|value| into.extend_from_slice(&value.to_le_bytes()));
}

fn u32s(values: &[u32], into: &mut Vec<u8>) {
    values.iter().for_each(|value| into.extend_from_slice(&value.to_le_bytes()));
}

impl<'a> Dump<'a> {
    /// Begins to write a store. With `global` it is for a live update; without, descriptors are left out.
    pub fn new(engine: &'a Engine, global: Option<Global>) -> Self {
        // The C daemon sets its store up when dom0's ring comes, and needs it for all others.
        let (rings, sockets): (Vec<_>, Vec<_>) =
            engine.connections.keys().partition(|id| **id >= ConnectionId::FIRST_RING);
        let connections = [rings, sockets].concat();
        Self { engine, global, connections, stage: Stage::Start }
    }

    /// Writes about `budget` bytes more; true when all has been written. `attachment` tells what the host knows of a
    /// connection.
    pub fn write<'b>(
        &mut self,
        budget: usize,
        into: &mut Vec<u8>,
        mut attachment: impl FnMut(ConnectionId) -> Attachment<'b>,
    ) -> bool {
        let start = into.len();
        while into.len() - start < budget {
            let stage = core::mem::replace(&mut self.stage, Stage::End);
            self.stage = match stage {
                Stage::Start => {
                    self.write_start(into);
                    Stage::Connections(0)
                }
                Stage::Connections(at) => match self.connections.get(at) {
                    Some(&id) => {
                        self.write_connection(number(id), id, attachment(id), into);
                        Stage::Connections(at + 1)
                    }
                    None => {
                        self.write_specials(into);
                        Stage::Nodes(alloc::vec![NodeId::ROOT])
                    }
                },
                Stage::Nodes(mut stack) => match stack.pop() {
                    Some(id) => {
                        self.write_node(id, &mut stack, into);
                        Stage::Nodes(stack)
                    }
                    None => {
                        end(&begin(kind::END, into), into);
                        return true;
                    }
                },
                Stage::End => return true,
            };
        }
        false
    }

    fn write_start(&self, into: &mut Vec<u8>) {
        let watches = (0..self.engine.watches.end()).filter_map(|index| self.engine.watches.at(index));
        let version: u32 = if watches.into_iter().any(|watch| watch.depth.is_some()) { 2 } else { 1 };
        into.extend_from_slice(IDENT);
        into.extend_from_slice(&version.to_be_bytes());
        into.extend_from_slice(&[0; 4]);
        if let Some(global) = self.global {
            let open = begin(kind::GLOBAL, into);
            u32s(&[global.socket as u32, global.event_channels as u32], into);
            end(&open, into);
        }
        let open = begin(kind::QUOTAS, into);
        u16s(&[Quota::COUNT as u16, 0], into);
        u32s(self.engine.quotas.values(), into);
        for quota in Quota::ALL {
            into.extend_from_slice(quota.stream_name().as_bytes());
            into.push(0);
        }
        end(&open, into);
    }

    fn write_connection(&self, number: u32, id: ConnectionId, host: Attachment<'_>, into: &mut Vec<u8>) {
        let Some(known) = self.engine.connections.get(&id) else { return };
        let open = begin(kind::CONNECTION, into);
        u32s(&[number], into);
        match known.peer() {
            Some(Peer::Domain(domid)) => {
                let facts = self.engine.domains.facts(domid).ok().flatten().unwrap_or_default();
                let target = facts.target.unwrap_or(Domid::INVALID);
                u16s(&[connection::RING, 0, domid.0, target.0], into);
                u32s(&[if host.port == 0 { facts.port } else { host.port }], into);
            }
            _ => {
                u16s(&[connection::SOCKET, 0], into);
                u32s(&[host.socket as u32, 0], into);
            }
        }
        u16s(&[host.input.len() as u16, host.partial], into);
        u32s(&[host.output.len() as u32], into);
        into.extend_from_slice(host.input);
        into.extend_from_slice(host.output);
        end(&open, into);
        for watch in known.watches.iter().filter_map(|&id| self.engine.watches.get(id)) {
            write_watch(number, watch, into);
        }
        for transaction in &known.transactions {
            let open = begin(kind::TRANSACTION, into);
            u32s(&[number, transaction.id], into);
            end(&open, into);
        }
    }

    fn write_specials(&self, into: &mut Vec<u8>) {
        for item in self.engine.specials.items() {
            if let crate::item::Item::Node { path, record, .. } = item {
                write_committed(path, record, into);
            }
        }
    }

    fn write_node(&self, id: NodeId, stack: &mut Vec<NodeId>, into: &mut Vec<u8>) {
        let Some(node) = self.engine.store.node(id) else { return };
        write_committed(node.path(), node.record.view(), into);
        let below = stack.len();
        stack.extend(node.children.iter().flat_map(|children| children.ids()));
        stack[below..].reverse();
    }
}

/// The stream's number for a connection: a socket keeps its own, and rings have the highest, which no socket ever gets.
fn number(id: ConnectionId) -> u32 {
    id.ring_of().map_or(id.0, |domid| ConnectionId::FIRST_RING.0 - 1 - u32::from(domid.0))
}

fn write_watch(number: u32, watch: &Watch, into: &mut Vec<u8>) {
    let path = watch.name_of(&watch.path);
    let lengths = [path.len() as u16 + 1, watch.token.len() as u16 + 1];
    let open = begin(if watch.depth.is_some() { kind::WATCH_EXTENDED } else { kind::WATCH }, into);
    u32s(&[number], into);
    u16s(&lengths, into);
    if let Some(depth) = watch.depth {
        u16s(&[depth.min(u32::from(NO_DEPTH) - 1) as u16, 0], into);
    }
    for string in [path, &watch.token] {
        into.extend_from_slice(string);
        into.push(0);
    }
    end(&open, into);
}

/// Writes a node that belongs to no transaction.
fn write_committed(path: &[u8], record: RecordView<'_>, into: &mut Vec<u8>) {
    let open = begin(kind::NODE, into);
    u32s(&[0, 0], into);
    let lengths = [path.len() as u16 + 1, record.value().len() as u16, 0, record.permission_count() as u16];
    u16s(&lengths, into);
    for Permission { domid, access, stale } in record.permissions() {
        into.extend_from_slice(&[access.letter(), u8::from(stale)]);
        u16s(&[domid as u16], into);
    }
    into.extend_from_slice(path);
    into.push(0);
    into.extend_from_slice(record.value());
    end(&open, into);
}
