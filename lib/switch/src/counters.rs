//! What passed each port, and what did not.

/// Why a frame goes nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Drop {
    /// There is no such port.
    NoPort,
    /// It is shorter than Ethernet's header, or its sender is a group.
    Malformed,
    /// Its sender's Ethernet address is not the guest's.
    ForgedMac,
    /// It bears witness to an internet address that is not the guest's.
    ForgedIp,
    /// It is between a bridge and its neighbour, and no bridge passes it on (IEEE 802.1D, 7.12.6).
    LinkLocal,
    /// Whom it is for is where it came from, on another bridge, or isolated from the sender.
    NoWay,
}

impl Drop {
    /// Every reason.
    pub const ALL: [Self; 6] =
        [Self::NoPort, Self::Malformed, Self::ForgedMac, Self::ForgedIp, Self::LinkLocal, Self::NoWay];

    /// The reason in words, for a log line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPort => "no such port",
            Self::Malformed => "no Ethernet frame",
            Self::ForgedMac => "forged Ethernet address",
            Self::ForgedIp => "forged internet address",
            Self::LinkLocal => "not to be forwarded",
            Self::NoWay => "nobody to forward it to",
        }
    }
}

/// What passed a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Frames that came in by it.
    pub in_frames: u64,
    /// Their bytes.
    pub in_bytes: u64,
    /// Frames that went out by it.
    pub out_frames: u64,
    /// Their bytes.
    pub out_bytes: u64,
    drops: [u64; Drop::ALL.len()],
}

impl Counters {
    /// Frames that came in and went nowhere.
    pub const fn dropped(&self, why: Drop) -> u64 {
        self.drops[why as usize]
    }

    pub(crate) fn came_in(&mut self, bytes: usize) {
        self.in_frames += 1;
        self.in_bytes += bytes as u64;
    }

    pub(crate) fn went_out(&mut self, bytes: usize) {
        self.out_frames += 1;
        self.out_bytes += bytes as u64;
    }

    pub(crate) fn drop(&mut self, why: Drop) {
        self.drops[why as usize] += 1;
    }
}
