//! Handing a service over to another program, and taking it over from one: a state with its clients, and what is under way
//! between them.

use super::{Config, Master, OpenError, XenStoreFraming};
use crate::frame::Stamp;
use crate::keeper::{Keeper, Unsaved};
use crate::session::{Sessions, Stream};
use crate::state::State;
use alloc::vec::Vec;
use uk_abi::Words;
use xenstore::wire::{self, Decoded};
use xenstore::{ConnectionId, Engine};

/// What is under way between a service and a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnderWay {
    /// The beginning of a message that was consumed and is not whole yet.
    pub input: Vec<u8>,
    /// What is to be handed over to the client.
    pub output: Vec<u8>,
    /// How many of its first bytes are the rest of a message of which the client has a part.
    pub partial: usize,
}

/// A client that comes with a state.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// Its connection, which the state knows.
    pub id: ConnectionId,
    /// The positions at which its streams stand: consumed and produced.
    pub positions: (u32, u32),
    /// The beginning of a message that was consumed already; less than a whole one.
    pub input: Vec<u8>,
    /// Whole messages that are to be handed over.
    pub output: Vec<u8>,
}

/// Why a state cannot be taken over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SeedError {
    /// The vault cannot be opened.
    Open(OpenError),
    /// The vault cannot take it.
    Unsaved(Unsaved),
    /// There are more clients than sessions.
    NoSession {
        /// How many sessions there are.
        sessions: usize,
    },
}

/// The first step of a state from elsewhere: whoever has nothing has less.
const FIRST: Stamp = Stamp { term: 1, sequence: 1 };

/// Writes a state from elsewhere into memories that hold none, with its clients: whoever opens them goes on with it.
///
/// # Errors
/// See [`SeedError`].
pub fn seed<W: Words>(
    config: Config,
    vault: W,
    sessions: W,
    engine: Engine,
    newcomers: &[Newcomer],
) -> Result<(), SeedError> {
    let opened = Keeper::open(config.store.clone(), vault, config.seed);
    let (mut keeper, ..) = opened.map_err(|small| SeedError::Open(OpenError::Vault(small)))?;
    let mut state = State::of(engine);
    let (mut sessions, _) = Sessions::<W, XenStoreFraming>::open(sessions);
    let capacity = sessions.capacity();
    for newcomer in newcomers {
        let owner = newcomer.id.0;
        let slot = sessions.free_slot().ok_or(SeedError::NoSession { sessions: capacity })?;
        sessions.begin_within(slot, owner, FIRST, newcomer.positions, &newcomer.input);
        let (mut rest, mut number) = (&newcomer.output[..], 0);
        while let Decoded::Message(message) = wire::decode(rest) {
            let (bytes, after) = rest.split_at(message.size());
            state.deferred.push(owner, number, bytes);
            (rest, number) = (after, number + 1);
        }
    }
    keeper.begin_copy(state, FIRST);
    keeper.save_all().map_err(SeedError::Unsaved)
}

impl<W: Words> Master<W> {
    /// What is under way between the service and a client with this stream; `None` if it is damaged, or there is no such
    /// client. Nothing changes by asking.
    pub fn under_way<S: Stream>(&mut self, id: ConnectionId, stream: &S) -> Option<UnderWay> {
        let slot = *self.slots.get(&id.0)?;
        let input = self.sessions.part(slot).to_vec();
        let (unsent, partial) = self.sessions.unsent(slot, stream.produced().ok()?)?;
        let mut output = unsent.to_vec();
        let mut number = 0;
        let deferred = &self.keeper.state.deferred;
        while let Some((_, found, message)) =
            deferred.at_or_after(id.0, number).filter(|(owner, ..)| *owner == id.0)
        {
            output.extend_from_slice(message);
            number = found + 1;
        }
        Some(UnderWay { input, output, partial })
    }
}
