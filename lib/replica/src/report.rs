//! What operators are told: everything that was found damaged, lost, or mended.

use crate::frame::Stamp;
use crate::session::Recovered;
use core::fmt;
use xenstore::{ConnectionId, Damage};

/// What a good copy was put in the place of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// One item, from the vault.
    Item,
    /// The whole state, from the vault.
    State,
    /// The sums, made anew from what they are sums of.
    Sums,
}

/// Something that has happened to the state, a session or a replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// Damage in ordinary memory was found before anybody could act on it, and mended.
    Mended {
        /// What was damaged.
        damage: Damage,
        /// What was replaced.
        remedy: Remedy,
        /// The digest of the state before.
        before: u64,
        /// The digest of the state afterwards.
        after: u64,
        /// How long that took, in microseconds of the clock that was [set](crate::master::Master::set_clock).
        took_us: u64,
    },
    /// Damage that the vault could not mend. Told once, not each time that somebody comes upon it.
    Unmended {
        /// What is damaged.
        damage: Damage,
    },
    /// A part of the vault is damaged. It is being written anew.
    VaultDamaged {
        /// Words that make no sense.
        words: usize,
    },
    /// The vault was written anew, without the damage.
    VaultMended,
    /// One copy of the head of the vault was damaged, and mended.
    HeadMended,
    /// The vault cannot take the state any more: requests that would make it grow are refused.
    VaultFull {
        /// Words that steps may still take.
        room: usize,
    },
    /// The state was read from the vault.
    Recovered {
        /// The last step in it.
        stamp: Stamp,
    },
    /// There was no state anywhere: the service begins.
    Begun,
    /// The state was taken over from a replica.
    Seeded {
        /// Which.
        replica: usize,
        /// The last step in it.
        stamp: Stamp,
    },
    /// No copy has everything that clients have been told: the best one is served.
    Lost {
        /// The last step that clients know of.
        answered: Stamp,
        /// The last step that is there.
        found: Stamp,
    },
    /// A session was recovered, or lost.
    Session(Recovered),
    /// One copy of a session was damaged, and mended.
    SessionMended {
        /// Whose.
        connection: ConnectionId,
    },
    /// Positions of this side of a channel were damaged, and mended.
    ChannelMended {
        /// The replica at the other end; none if the master is.
        replica: Option<usize>,
    },
    /// A client does not read: events for it are lost.
    EventsDropped {
        /// Who.
        connection: ConnectionId,
    },
    /// A replica has everything, and follows.
    Following {
        /// Which.
        replica: usize,
    },
    /// A replica could not keep up, or has lost its place.
    Lagging {
        /// Which.
        replica: usize,
    },
    /// A replica is given a copy of the state.
    Joining {
        /// Which.
        replica: usize,
    },
    /// A replica came to another digest than the master.
    Disagreement {
        /// Which.
        replica: usize,
        /// Its digest.
        theirs: u64,
        /// The master's.
        ours: u64,
    },
}

/// What a report says about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Nothing.
    None,
    /// Some was found.
    Found,
    /// Some that was found before is mended.
    Mended,
    /// Some was found, and mended so long afterwards, in microseconds.
    FoundAndMended {
        /// How long it took.
        took_us: u64,
    },
}

impl Report {
    /// What this says about damage.
    pub fn stage(&self) -> Stage {
        match self {
            Report::Mended { took_us, .. } => Stage::FoundAndMended { took_us: *took_us },
            Report::HeadMended | Report::SessionMended { .. } | Report::ChannelMended { .. } => {
                Stage::FoundAndMended { took_us: 0 }
            }
            Report::Session(Recovered::Open { mended: true, .. }) => Stage::FoundAndMended { took_us: 0 },
            Report::Unmended { .. }
            | Report::VaultDamaged { .. }
            | Report::Lagging { .. }
            | Report::Disagreement { .. }
            | Report::Lost { .. }
            | Report::Session(Recovered::Lost { .. }) => Stage::Found,
            Report::VaultMended | Report::Following { .. } | Report::Seeded { .. } => Stage::Mended,
            Report::VaultFull { .. }
            | Report::Recovered { .. }
            | Report::Begun
            | Report::Session(Recovered::Open { .. })
            | Report::EventsDropped { .. }
            | Report::Joining { .. } => Stage::None,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Mended { damage, remedy, before, after, took_us: _ } => {
                let remedy = match remedy {
                    Remedy::Item => "restored from the vault",
                    Remedy::State => "all restored from the vault",
                    Remedy::Sums => "sums made anew",
                };
                write!(f, "{damage}; {remedy}, state {before:#018x} then {after:#018x}")
            }
            Report::Unmended { damage } => write!(f, "{damage}; the vault has no good copy"),
            Report::VaultDamaged { words } => {
                write!(f, "{words} damaged words in the vault, to be written anew")
            }
            Report::VaultMended => f.write_str("the vault was written anew, without the damage"),
            Report::HeadMended => f.write_str("a copy of the head of the vault was mended"),
            Report::VaultFull { room } => write!(f, "the vault is full: {room} words left for changes"),
            Report::Recovered { stamp } => write!(f, "state recovered from the vault, {stamp}"),
            Report::Begun => f.write_str("no state found: a new store begins"),
            Report::Seeded { replica, stamp } => {
                write!(f, "state taken over from replica {replica}, {stamp}")
            }
            Report::Lost { answered, found } => {
                write!(f, "clients know of {answered}, the best copy has {found}: changes are lost")
            }
            Report::Session(Recovered::Open { owner, mended, .. }) => {
                write!(f, "session of connection {owner} goes on{}", if *mended { ", mended" } else { "" })
            }
            Report::Session(Recovered::Lost { slot, owner }) => match owner {
                Some(owner) => write!(f, "session of connection {owner} is lost: both copies are damaged"),
                None => write!(f, "the session in slot {slot} is lost: both copies are damaged"),
            },
            Report::SessionMended { connection } => {
                write!(f, "a copy of the session of connection {} was mended", connection.0)
            }
            Report::ChannelMended { replica: Some(replica) } => {
                write!(f, "positions in the channels of replica {replica} were mended")
            }
            Report::ChannelMended { replica: None } => f.write_str("positions in the channels were mended"),
            Report::EventsDropped { connection } => {
                write!(f, "connection {} does not read: watch events are dropped", connection.0)
            }
            Report::Following { replica } => write!(f, "replica {replica} follows"),
            Report::Lagging { replica } => write!(f, "replica {replica} has lost its place"),
            Report::Joining { replica } => write!(f, "replica {replica} is given a copy"),
            Report::Disagreement { replica, theirs, ours } => {
                write!(f, "replica {replica} has digest {theirs:#018x}, the master {ours:#018x}")
            }
        }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {} of term {}", self.sequence, self.term)
    }
}
