//! Hashes of flows: which queue of a guest a frame goes to, and what the guest is told of it.
//!
//! A guest that asks for it by control messages gets Toeplitz's hash, as Microsoft's receive-side scaling defines it,
//! and frames are put into queues by its own table. For any other, flows are spread by a hash of ours; a flow stays in
//! its queue, so that it stays in order.

use crate::offload::{Protocol, Transport};
use heapless::Vec;
use serde::{Deserialize, Serialize};
use xen_abi::netif::HashTypes;
use xxhash_rust::xxh3::xxh3_64;

/// The most bytes of a key; Linux's backend takes as many.
pub const MAX_KEY: usize = 40;

/// The most entries of the table from hashes to queues; Linux's backend has as many.
pub const MAX_MAPPING: usize = 128;

/// The most bytes that are hashed: two addresses of IPv6 and two ports.
const MAX_TUPLE: usize = 36;

/// Where the addresses are in the headers of IPv4 and of IPv6: the first one, and bytes of both.
const ADDRESSES: [(usize, usize); 2] = [(12, 8), (8, 32)];

/// The hash of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FlowHash {
    /// Over what: one flag.
    pub kind: HashTypes,
    /// The hash.
    pub value: u32,
}

/// How a guest wants its frames hashed and put into queues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hashing {
    /// Whether by Toeplitz's algorithm; otherwise not at all.
    pub(crate) toeplitz: bool,
    /// Over what: bits of [`HashTypes`].
    pub(crate) types: u32,
    /// The key, with zeroes behind it.
    pub(crate) key: Vec<u8, MAX_KEY>,
    /// From hashes to queues.
    pub(crate) mapping: Vec<u8, MAX_MAPPING>,
}

impl Hashing {
    /// No hash.
    pub const fn new() -> Self {
        Self { toeplitz: false, types: 0, key: Vec::new(), mapping: Vec::new() }
    }

    /// The hash that the guest wants of a frame, and the queue, of `queues`, that it goes to.
    pub fn sort(&self, head: &[u8], queues: usize) -> (Option<FlowHash>, usize) {
        if queues <= 1 && !self.toeplitz {
            return (None, 0);
        }
        let Some(tuple) = Tuple::of(head) else {
            return (None, 0);
        };
        match self.hash(&tuple) {
            Some(hash) => {
                let mapped = self.mapping.get(hash.value as usize % self.mapping.len().max(1));
                let queue = mapped.map_or(hash.value as usize, |queue| usize::from(*queue));
                (Some(hash), queue % queues.max(1))
            }
            None => (None, xxh3_64(&tuple.bytes) as usize % queues.max(1)),
        }
    }

    fn hash(&self, tuple: &Tuple) -> Option<FlowHash> {
        let types = HashTypes::from_bits_retain(self.types);
        let (ports, addresses) = match tuple.is_v6 {
            false => (HashTypes::IPV4_TCP, HashTypes::IPV4),
            true => (HashTypes::IPV6_TCP, HashTypes::IPV6),
        };
        let (kind, length) = match () {
            () if !self.toeplitz => return None,
            () if tuple.is_tcp && types.contains(ports) => (ports, tuple.bytes.len()),
            () if types.contains(addresses) => (addresses, tuple.addresses),
            () => return None,
        };
        Some(FlowHash { kind, value: toeplitz(&self.key, &tuple.bytes[..length]) })
    }
}

/// What tells flows apart: addresses, and ports where there are any.
struct Tuple {
    bytes: Vec<u8, MAX_TUPLE>,
    /// Bytes of the addresses.
    addresses: usize,
    is_v6: bool,
    is_tcp: bool,
}

impl Tuple {
    fn of(head: &[u8]) -> Option<Self> {
        let transport = Transport::locate(head)?;
        let (first, length) = ADDRESSES[usize::from(transport.is_v6)];
        let addresses = head.get(transport.internet + first..)?.get(..length)?;
        let ports = head.get(transport.start..)?.get(..4)?;
        let mut bytes = Vec::from_slice(addresses).ok()?;
        bytes.extend_from_slice(ports).ok()?;
        let is_tcp = transport.protocol == Protocol::Tcp;
        Some(Self { bytes, addresses: length, is_v6: transport.is_v6, is_tcp })
    }
}

/// Toeplitz's hash: for each bit that is set in `data`, the 32 bits of the key that begin at its place.
pub fn toeplitz(key: &[u8], data: &[u8]) -> u32 {
    let bytes =
        |from: usize| (0..8).fold(0_u64, |sum, at| sum << 8 | u64::from(*key.get(from + at).unwrap_or(&0)));
    let mut hash = 0;
    for (at, byte) in data.iter().enumerate() {
        let window = bytes(at);
        for bit in 0..8 {
            if byte << bit & 0x80 != 0 {
                hash ^= (window << bit >> 32) as u32;
            }
        }
    }
    hash
}
