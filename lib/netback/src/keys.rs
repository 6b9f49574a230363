//! What both ends say in XenStore: as tables, so that nobody needs a store to test them.

use crate::rate::Rate;
use core::fmt;
use core::num::ParseIntError;
use heapless::{String, Vec};
use serde::{Deserialize, Serialize};
use smoltcp::wire::EthernetAddress;
use xen_abi::{GrantRef, Port};

use crate::offload::Abilities;

/// The most queues of a device. A uk has one vCPU: more spread a guest's work over its own CPUs, not over ours.
pub const MAX_QUEUES: usize = 4;

/// The most bytes of a key that is read here, `queue-3/event-channel-tx`.
pub const MAX_KEY_NAME: usize = 32;

/// What the backend writes into its directory before it waits for the frontend.
pub const OFFERS: [(&str, &str); 11] = [
    ("feature-sg", "1"),
    ("feature-gso-tcpv4", "1"),
    ("feature-gso-tcpv6", "1"),
    ("feature-ipv6-csum-offload", "1"),
    ("feature-rx-copy", "1"),
    ("feature-rx-flip", "0"),
    ("feature-multicast-control", "1"),
    ("feature-dynamic-multicast-control", "1"),
    ("feature-split-event-channels", "1"),
    ("feature-ctrl-ring", "1"),
    ("multi-queue-max-queues", "4"),
];

const _: () = assert!(MAX_QUEUES == 4, "as the last offer says");

/// The rings and event channels of a queue, in the guest's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueKeys {
    tx_ring: u32,
    rx_ring: u32,
    tx_port: u32,
    rx_port: u32,
}

impl QueueKeys {
    /// The page of the transmit ring.
    pub const fn tx_ring(&self) -> GrantRef {
        GrantRef(self.tx_ring)
    }

    /// The page of the receive ring.
    pub const fn rx_ring(&self) -> GrantRef {
        GrantRef(self.rx_ring)
    }

    /// The guest's event channel for the transmit ring.
    pub const fn tx_port(&self) -> Port {
        Port(self.tx_port)
    }

    /// The guest's event channel for the receive ring; perhaps the same one.
    pub const fn rx_port(&self) -> Port {
        Port(self.rx_port)
    }
}

/// What a frontend says when it connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FrontendKeys {
    /// Its queues: at least one.
    pub queues: Vec<QueueKeys, MAX_QUEUES>,
    /// The page of its control ring and the guest's event channel for it, if it has one.
    control: Option<(u32, u32)>,
    /// Whether a frame to it may have several pieces.
    pub scatter_gather: bool,
    /// Whether it sends an event when it posts room for frames; otherwise it has to be looked after.
    pub rx_notify: bool,
    /// Whether it wants no groups but those it names.
    pub multicast_control: bool,
    /// `feature-gso-tcpv4`, `feature-gso-tcpv6`, not `feature-no-csum-offload`, `feature-ipv6-csum-offload`.
    takes: [bool; 4],
}

impl FrontendKeys {
    /// The page of its control ring, and the guest's event channel for it.
    pub fn control(&self) -> Option<(GrantRef, Port)> {
        self.control.map(|(ring, port)| (GrantRef(ring), Port(port)))
    }

    /// What it takes off the sender of a frame.
    pub const fn abilities(&self) -> Abilities {
        let [segments_v4, segments_v6, checksum_v4, checksum_v6] = self.takes;
        Abilities {
            checksum_v4,
            checksum_v6,
            segments_v4: segments_v4 && self.scatter_gather,
            segments_v6: segments_v6 && self.scatter_gather,
        }
    }

    /// The longest frame that it can be sent.
    pub const fn max_length(&self) -> usize {
        if self.scatter_gather { crate::pool::MAX_LENGTH } else { crate::pool::PAGE }
    }

    /// Reads them: `get` answers what stands under a key of the frontend's directory.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read<'s>(get: impl Fn(&str) -> Option<&'s str>) -> Result<Self, KeyError> {
        let flag = |key| Ok(number(&get, key)?.unwrap_or(0) != 0);
        let count = number(&get, "multi-queue-num-queues")?.unwrap_or(1);
        if count == 0 || count as usize > MAX_QUEUES {
            return Err(KeyError::Queues { asked: count, most: MAX_QUEUES });
        }
        if !flag("request-rx-copy")? {
            return Err(KeyError::NoRxCopy);
        }
        let mut queues = Vec::new();
        for queue in 0..count {
            let keys = queue_keys(&get, (count > 1).then_some(queue))?;
            queues.push(keys).map_err(|_| KeyError::Queues { asked: count, most: MAX_QUEUES })?;
        }
        let control = match number(&get, "ctrl-ring-ref")? {
            Some(ring) => Some((ring, required(&get, "event-channel-ctrl")?)),
            None => None,
        };
        Ok(Self {
            queues,
            control,
            scatter_gather: flag("feature-sg")?,
            rx_notify: flag("feature-rx-notify")?,
            multicast_control: flag("request-multicast-control")?,
            takes: [
                flag("feature-gso-tcpv4")?,
                flag("feature-gso-tcpv6")?,
                !flag("feature-no-csum-offload")?,
                flag("feature-ipv6-csum-offload")?,
            ],
        })
    }
}

/// The keys of a queue: in a directory of its own, if there are several.
fn queue_keys<'s>(get: &impl Fn(&str) -> Option<&'s str>, queue: Option<u32>) -> Result<QueueKeys, KeyError> {
    let path = |key: &str| {
        let mut path = String::<MAX_KEY_NAME>::new();
        let written = match queue {
            Some(queue) => fmt::write(&mut path, format_args!("queue-{queue}/{key}")),
            None => path.push_str(key).map_err(|_| fmt::Error),
        };
        debug_assert!(written.is_ok(), "the keys are known and short");
        path
    };
    let split = match number(get, &path("event-channel-tx"))? {
        Some(tx) => Some((tx, required(get, &path("event-channel-rx"))?)),
        None => None,
    };
    let (tx_port, rx_port) = match split {
        Some(ports) => ports,
        None => {
            let shared = required(get, &path("event-channel"))?;
            (shared, shared)
        }
    };
    Ok(QueueKeys {
        tx_ring: required(get, &path("tx-ring-ref"))?,
        rx_ring: required(get, &path("rx-ring-ref"))?,
        tx_port,
        rx_port,
    })
}

fn number<'s>(get: &impl Fn(&str) -> Option<&'s str>, key: &str) -> Result<Option<u32>, KeyError> {
    let parse = |text: &str| text.trim().parse::<u32>();
    get(key).map(parse).transpose().map_err(|error: ParseIntError| KeyError::bad(key, error))
}

fn required<'s>(get: &impl Fn(&str) -> Option<&'s str>, key: &str) -> Result<u32, KeyError> {
    number(get, key)?.ok_or_else(|| KeyError::Missing { key: short(key) })
}

fn short(key: &str) -> String<MAX_KEY_NAME> {
    String::try_from(key).unwrap_or_default()
}

/// What the toolstack writes into the backend's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceKeys {
    /// The guest's address.
    pub mac: EthernetAddress,
    /// The bridge that it is on; none if nobody says.
    pub bridge: Option<String<15>>,
    /// What it may send.
    pub rate: Option<Rate>,
}

impl DeviceKeys {
    /// Reads them: `get` answers what stands under a key of the backend's directory.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn read<'s>(get: impl Fn(&str) -> Option<&'s str>) -> Result<Self, KeyError> {
        let text = get("mac").ok_or(KeyError::Missing { key: short("mac") })?;
        let mac = parse_mac(text).ok_or(KeyError::Unreadable { key: short("mac") })?;
        let bridge = match get("bridge") {
            Some(name) => {
                Some(String::try_from(name).map_err(|_| KeyError::Unreadable { key: short("bridge") })?)
            }
            None => None,
        };
        let rate = match get("rate") {
            Some(text) => Some(text.parse().map_err(|_| KeyError::Unreadable { key: short("rate") })?),
            None => None,
        };
        Ok(Self { mac, bridge, rate })
    }
}

/// An address such as `00:16:3e:12:34:56`, of one machine.
pub fn parse_mac(text: &str) -> Option<EthernetAddress> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        *byte =
            parts.next().filter(|part| part.len() <= 2).and_then(|part| u8::from_str_radix(part, 16).ok())?;
    }
    let mac = EthernetAddress(bytes);
    (parts.next().is_none() && mac.is_unicast()).then_some(mac)
}

/// What is wrong in XenStore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// A key is not there.
    Missing {
        /// Which.
        key: String<MAX_KEY_NAME>,
    },
    /// A key's value is no number, or not what it should be.
    Unreadable {
        /// Which.
        key: String<MAX_KEY_NAME>,
    },
    /// The frontend wants more queues than it was offered, or none.
    Queues {
        /// How many it wants.
        asked: u32,
        /// How many there can be.
        most: usize,
    },
    /// The frontend wants frames in pages that change hands, which nobody has offered for a decade.
    NoRxCopy,
}

impl KeyError {
    fn bad(key: &str, _: ParseIntError) -> Self {
        Self::Unreadable { key: short(key) }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { key } => write!(f, "{key} is missing"),
            Self::Unreadable { key } => write!(f, "{key} is not what it should be"),
            Self::Queues { asked, most } => {
                write!(f, "{asked} queues are asked for, there can be 1 to {most}")
            }
            Self::NoRxCopy => f.write_str("request-rx-copy is not 1"),
        }
    }
}

impl core::error::Error for KeyError {}
