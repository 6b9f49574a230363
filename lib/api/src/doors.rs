//! Who has which connection, and who makes room when all are taken.
//!
//! Whoever has shown a token keeps its connection; until then it may be anybody, and anybody can open as many as there are. So
//! when all are taken, the one goes that has been nobody for longest: somebody with a token needs far less time to show it than
//! others need to fill all connections, one after the other.

/// What a connection is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    /// For nothing.
    Free,
    /// For somebody who has come then, and has not shown a token.
    Nobody { since_us: u64 },
    /// It is to end.
    Closing,
    /// For somebody who has shown a token.
    Known,
}

/// All connections of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doors<const N: usize>([Door; N]);

impl<const N: usize> Doors<N> {
    /// Nobody is there.
    pub const fn new() -> Self {
        Self([Door::Free; N])
    }

    /// Somebody has come to connection `at`. Answers which other one is to end, if there is none left for the next who comes.
    pub fn arrive(&mut self, at: usize, now_us: u64) -> Option<usize> {
        self.0[at] = Door::Nobody { since_us: now_us };
        if self.0.iter().any(|door| matches!(door, Door::Free | Door::Closing)) {
            return None;
        }
        let nobodies = self.0.iter().enumerate().filter_map(|(index, door)| match door {
            Door::Nobody { since_us } if index != at => Some((*since_us, index)),
            _ => None,
        });
        let (_, oldest) = nobodies.min()?;
        self.0[oldest] = Door::Closing;
        Some(oldest)
    }

    /// Whoever has connection `at` has shown a token. Answers whether it may stay: it may be too late.
    pub fn let_in(&mut self, at: usize) -> bool {
        if self.0[at] == Door::Closing {
            return false;
        }
        self.0[at] = Door::Known;
        true
    }

    /// Connection `at` has ended.
    pub fn leave(&mut self, at: usize) {
        self.0[at] = Door::Free;
    }
}

impl<const N: usize> Default for Doors<N> {
    fn default() -> Self {
        Self::new()
    }
}
