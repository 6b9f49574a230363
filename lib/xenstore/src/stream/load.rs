//! From a stream to a store.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use xen_abi::Domid;

use super::reader::Reader;
use super::{BODY_MAX, Global, HEADER, IDENT, NO_DEPTH, PREAMBLE, Problem, StreamError, connection, kind};
use crate::config::Config;
use crate::connection::{ConnectionId, Peer};
use crate::effects::Effects;
use crate::engine::Engine;
use crate::item::DomainFacts;
use crate::path;
use crate::quota::Quota;
use crate::watch::Watch;
use crate::wire::strings;

/// A connection that a stream has brought, with what the host has to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// The connection. Those on sockets have the numbers that the stream gives them.
    pub id: ConnectionId,
    /// A socket's descriptor.
    pub socket: Option<i32>,
    /// A ring's port at the server's end.
    pub port: u32,
    /// What has been read and is not a whole request yet.
    pub input: Vec<u8>,
    /// How many of the first bytes of `output` are the rest of a message of which a part has been sent.
    pub partial: u16,
    /// What is to be sent.
    pub output: Vec<u8>,
}

/// All that a stream has brought.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The store.
    pub engine: Engine,
    /// The process's descriptors.
    pub global: Option<Global>,
    /// Its connections.
    pub connections: Vec<Restored>,
}

/// A stream on its way in: it takes bytes as they come and keeps no more than one record of them.
#[derive(Clone, Debug)]
pub struct Loader {
    loaded: Loaded,
    /// Bytes that are not a whole record yet.
    pending: Vec<u8>,
    /// How many bytes of the stream stand before them.
    offset: u64,
    stage: Stage,
    big_endian: bool,
    /// The stream's numbers of connections.
    numbers: BTreeMap<u32, ConnectionId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Preamble,
    Records,
    Ended,
}

impl Loader {
    /// A stream that has not begun. Quotas in it replace those of `config`.
    pub fn new(config: Config) -> Self {
        let mut engine = Engine::blank(config);
        let facts = DomainFacts { introduced: true, ..DomainFacts::default() };
        engine.domains.set(Domid::DOM0, facts);
        Self {
            loaded: Loaded { engine, global: None, connections: Vec::new() },
            pending: Vec::new(),
            offset: 0,
            stage: Stage::Preamble,
            big_endian: false,
            numbers: BTreeMap::new(),
        }
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// A record that cannot be loaded: the stream is of no use.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        self.pending.extend_from_slice(bytes);
        let pending = core::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        while let Some(length) = self.record_length(rest)? {
            let (record, after) = rest.split_at(length);
            self.record(record).map_err(|problem| StreamError { offset: self.offset, problem })?;
            self.offset += length as u64;
            rest = after;
        }
        self.pending = rest.to_vec();
        Ok(())
    }

    /// Ends a stream of which all has been taken.
    ///
    /// # Errors
    /// The stream has no end.
    pub fn finish(self) -> Result<Loaded, StreamError> {
        match self.stage {
            Stage::Ended => Ok(self.loaded),
            _ => Err(StreamError { offset: self.offset, problem: Problem::Unfinished }),
        }
    }

    /// How long the record is with which these bytes begin; none if they are not all of it.
    fn record_length(&self, bytes: &[u8]) -> Result<Option<usize>, StreamError> {
        let error = |problem| StreamError { offset: self.offset, problem };
        let length = match self.stage {
            Stage::Preamble => PREAMBLE,
            Stage::Ended if bytes.is_empty() => return Ok(None),
            Stage::Ended => return Err(error(Problem::Surplus)),
            Stage::Records => {
                let mut header = Reader::new(bytes, self.big_endian);
                let (Ok(_), Ok(length)) = (header.u32(), header.u32()) else { return Ok(None) };
                if length as usize > BODY_MAX {
                    return Err(error(Problem::Length(length)));
                }
                HEADER + (length as usize).next_multiple_of(8)
            }
        };
        Ok((bytes.len() >= length).then_some(length))
    }

    fn record(&mut self, record: &[u8]) -> Result<(), Problem> {
        let mut reader = Reader::new(record, self.big_endian);
        if self.stage == Stage::Preamble {
            return self.preamble(&mut reader);
        }
        let (kind, _length) = (reader.u32()?, reader.u32()?);
        match kind {
            kind::END => self.stage = Stage::Ended,
            kind::GLOBAL => {
                let (socket, event_channels) = (reader.u32()? as i32, reader.u32()? as i32);
                self.loaded.global = Some(Global { socket, event_channels });
            }
            kind::CONNECTION => self.connection(&mut reader)?,
            kind::WATCH => self.watch(&mut reader, false)?,
            kind::WATCH_EXTENDED => self.watch(&mut reader, true)?,
            kind::TRANSACTION => {
                let (number, id) = (reader.u32()?, reader.u32()?);
                let connection = self.known(number)?;
                self.loaded.engine.apply(&crate::item::Item::TransactionOpen { connection, id });
            }
            kind::NODE => self.loaded.engine.load_node(&mut reader)?,
            kind::QUOTAS => self.quotas(&mut reader)?,
            // What other daemons add is for other daemons.
            _ => {}
        }
        Ok(())
    }

    fn preamble(&mut self, reader: &mut Reader<'_>) -> Result<(), Problem> {
        if reader.bytes(IDENT.len())? != IDENT {
            return Err(Problem::Preamble);
        }
        let version = Reader::new(reader.bytes(4)?, true).u32()?;
        if !(1..=2).contains(&version) {
            return Err(Problem::Version(version));
        }
        self.big_endian = match reader.bytes(4)? {
            [0, 0, 0, 0] => false,
            [0, 0, 0, 1] | [1, 0, 0, 0] => true,
            _ => return Err(Problem::Preamble),
        };
        self.stage = Stage::Records;
        Ok(())
    }

    fn known(&self, number: u32) -> Result<ConnectionId, Problem> {
        self.numbers.get(&number).copied().ok_or(Problem::UnknownConnection(number))
    }

    fn connection(&mut self, reader: &mut Reader<'_>) -> Result<(), Problem> {
        let (number, kind, _) = (reader.u32()?, reader.u16()?, reader.u16()?);
        let mut spec = Reader::new(reader.bytes(8)?, self.big_endian);
        let (input, partial, output) = (reader.u16()?, reader.u16()?, reader.u32()?);
        let is_taken = self.numbers.contains_key(&number) || number >= ConnectionId::FIRST_RING.0;
        if number == 0 || is_taken {
            return Err(Problem::ConnectionNumber(number));
        }
        let (input, output) =
            (reader.bytes(usize::from(input))?.to_vec(), reader.bytes(output as usize)?.to_vec());
        let (id, peer, socket, port) = match kind {
            connection::RING => {
                let (domid, target, port) = (Domid(spec.u16()?), Domid(spec.u16()?), spec.u32()?);
                self.introduce(domid, target, port)?;
                (ConnectionId::of_domain(domid), Peer::Domain(domid), None, port)
            }
            connection::SOCKET => {
                let socket = spec.u32()? as i32;
                (ConnectionId(number), Peer::Socket { read_only: false }, Some(socket), 0)
            }
            other => return Err(Problem::ConnectionType(other)),
        };
        if self.loaded.engine.is_connected(id) {
            return Err(Problem::ConnectionNumber(number));
        }
        self.loaded.engine.connect(id, peer, &mut Effects::new());
        self.numbers.insert(number, id);
        self.loaded.connections.push(Restored { id, socket, port, input, partial, output });
        Ok(())
    }

    fn introduce(&mut self, domid: Domid, target: Domid, port: u32) -> Result<(), Problem> {
        if !domid.is_ordinary() {
            return Err(Problem::Domid(domid.0));
        }
        let target = Some(target).filter(|target| target.is_ordinary());
        let facts = DomainFacts { introduced: true, port, target, ..DomainFacts::default() };
        self.loaded.engine.domains.set(domid, facts);
        Ok(())
    }

    fn watch(&mut self, reader: &mut Reader<'_>, extended: bool) -> Result<(), Problem> {
        let number = reader.u32()?;
        let connection = self.known(number)?;
        let (path, token) = (usize::from(reader.u16()?), usize::from(reader.u16()?));
        let depth = if extended { (Some(reader.u16()?), reader.u16()?).0 } else { None };
        let (name, token) = (reader.text(path)?, reader.text(token)?);
        let engine = &mut self.loaded.engine;
        let mut full = Vec::new();
        if !matches!(name.first(), Some(b'/' | b'@')) {
            path::push_home(connection.ring_of().unwrap_or(Domid::DOM0), &mut full);
            full.push(b'/');
        }
        let prefix = full.len() as u16;
        full.extend_from_slice(name);
        if !path::is_special(&full) && !path::is_valid(&full, usize::from(u16::MAX)) {
            return Err(Problem::Path);
        }
        let generation = engine.tick();
        engine.add_watch(Watch {
            connection,
            path: full.into(),
            token: token.into(),
            depth: depth.filter(|depth| *depth != NO_DEPTH).map(u32::from),
            prefix,
            generation,
            digest: 0,
        });
        Ok(())
    }

    fn quotas(&mut self, reader: &mut Reader<'_>) -> Result<(), Problem> {
        let count = usize::from(reader.u16()?) + usize::from(reader.u16()?);
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(reader.u32()?);
        }
        let mut quotas = self.loaded.engine.quotas;
        for (name, value) in strings(reader.rest()).zip(values) {
            if let Some(quota) = Quota::ALL.into_iter().find(|quota| quota.stream_name().as_bytes() == name) {
                quotas.set(quota, if value == 0 { u32::MAX } else { value });
            }
        }
        self.loaded.engine.set_quotas(quotas);
        Ok(())
    }
}
