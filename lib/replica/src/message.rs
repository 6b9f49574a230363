//! What a master and its replicas tell each other besides steps and chunks, as payloads of frames.
//!
//! A step or chunk is a [`crate::record`]. A frame's stamp says where its writer stands.

use crate::frame::Kind;

/// How a replica stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has everything up to its stamp, and goes on with the next step.
    Following,
    /// It has a whole state, and does not know yet whether it fits to what comes.
    Whole,
    /// It has no state that could be gone on with: it needs a copy.
    Lost,
    /// It came to another digest than the master after the step of its stamp, and needs a copy.
    Disagrees,
}

impl Standing {
    const ALL: [Standing; 4] = [Standing::Following, Standing::Whole, Standing::Lost, Standing::Disagrees];

    /// The payload of a [`Kind::Status`] frame of a replica, with the digest of its state.
    pub(crate) fn encode(self, digest: u64) -> [u64; 2] {
        [self as u64, digest]
    }

    /// Standing and digest.
    pub(crate) fn decode(payload: &[u64]) -> Option<(Self, u64)> {
        let [standing, digest] = payload else { return None };
        Some((*Self::ALL.get(*standing as usize)?, *digest))
    }
}

/// Whether a frame is part of a copy of the whole state.
pub(crate) fn is_copy(kind: Kind) -> bool {
    matches!(kind, Kind::Chunk | Kind::PassEnd | Kind::Step)
}
