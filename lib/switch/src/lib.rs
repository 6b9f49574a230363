//! A learning bridge between guests and cards, which lets nobody pose as somebody else.
//!
//! It decides and counts; it holds no frame. Whoever moves frames shows it the head of each, and is told to which ports
//! it goes, or why to none. Time comes from outside, all memory is allocated at the start, and every table is bounded: a guest that
//! floods the bridge with made-up addresses fills its own share of the table and nobody else's.
//!
//! | file | subject |
//! |---|---|
//! | `port` | ports by number, sets of them, how one is configured |
//! | `filter` | who a guest may be: the anti-spoofing rules |
//! | `table` | which address was last seen behind which port |
//! | `bridge` | where a frame goes |
//! | `counters` | what passed each port, and what did not |
//! | `pcap` | a port's frames as a capture file |

#![no_std]
extern crate alloc;

mod bridge;
mod counters;
mod filter;
pub mod pcap;
mod port;
mod table;

pub use bridge::{Arrival, NoSuchPort, Switch, Verdict};
pub use counters::{Counters, Drop};
pub use filter::{Identity, MAX_ADDRESSES};
pub use port::{BridgeName, MAX_BRIDGE_NAME, MAX_PORTS, PortConfig, PortId, PortSet, Role};
pub use smoltcp::wire::{EthernetAddress, Ipv4Address, Ipv6Address};
pub use table::{LEARNED_MAX, TABLE_ENTRIES};

/// The bytes of a frame's head that are enough to decide: Ethernet's header, IPv6's with extensions, and as much of
/// ICMPv6 as tells a forged neighbour.
pub const HEAD: usize = 128;
