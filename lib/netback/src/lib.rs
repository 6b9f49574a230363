//! The backend of Xen's network protocol (`io/netif.h`), without a hypercall.
//!
//! ```text
//!   guest's pages --grant copy--> pool ---> whoever forwards frames ---> pool --grant copy--> guest's pages
//!   transmit ring                  |                                                          receive ring
//!        ^                         |
//!        +--- answered, in order, -+ when nobody needs the frame any more
//! ```
//!
//! A guest's frame is answered when it is sent, or delivered, and not before; so the guest's own ring and pages hold
//! everything that is in flight, and this program may die at any moment. What its successor needs besides is one small
//! record for each ring ([`Answers`]), and one for each device ([`Device`]).
//!
//! Memory is allocated when the program starts and when a guest connects, and none for a frame. A frontend can lie about anything that it writes; what it says is copied once,
//! checked, and at worst the frontend is disconnected, for a reason ([`Lie`]).
//!
//! | file | subject |
//! |---|---|
//! | `pool` | frames in our own memory |
//! | `arrivals` | what survives of those that came from a card |
//! | `copy` | copies to and from guests' pages, many at once |
//! | `chain` | one frame in a transmit ring |
//! | `transmit`, `receive` | a queue's two rings |
//! | `answers`, `keep` | what survives of a ring |
//! | `offload`, `cut` | checksums and segments: left to others, or done here |
//! | `hash`, `control` | which queue a frame goes to, and how a guest says so |
//! | `multicast`, `rate` | what a guest hears, and how much it may say |
//! | `keys` | what both ends say in XenStore |
//! | `device` | a guest's interface: all of the above |
//! | `lie` | what no honest frontend does |

#![no_std]
extern crate alloc;

mod answers;
mod arrivals;
mod chain;
mod control;
mod copy;
mod cut;
mod device;
mod hash;
mod keep;
mod keys;
mod lie;
mod multicast;
mod offload;
mod pool;
mod rate;
mod receive;
mod transmit;

pub use answers::{Answers, BATCH_WORDS};
pub use arrivals::{Arrivals, Found, Source};
pub use chain::MAX_PIECES;
pub use control::Control;
pub use copy::{Batch, Copier, MAX_COPIES};
pub use cut::{CutError, MAX_SEGMENTS, Pieces, cut, fill_checksum, longest_piece, seed_checksum};
pub use device::{Device, Notify, QueueRings, Saved};
pub use hash::{FlowHash, Hashing, MAX_KEY, MAX_MAPPING, toeplitz};
pub use keep::{Keep, RingName};
pub use keys::{DeviceKeys, FrontendKeys, KeyError, MAX_KEY_NAME, MAX_QUEUES, OFFERS, QueueKeys, parse_mac};
pub use lie::{Lie, RingKind};
pub use multicast::{MAX_GROUPS, Multicast};
pub use offload::{Abilities, Checksum, Family, Offload, Protocol, Segments, Transport};
pub use pool::{
    FRAME_PAGES, FrameId, HEADROOM, MAX_FRAMES, MAX_LENGTH, MAX_PAGES, MIN_PAGES, Owner, PAGE, PageId, Pages,
    Piece, Pool, RESERVE,
};
pub use rate::{BadRate, Credit, Rate};
pub use receive::{DELIVERED, Delivered, RX_QUEUE, Receive, Received};
pub use ring::request::{NetControl, NetReceive, NetTransmit};
pub use transmit::{BURST, Burst, Machine, Room, Sent, Stopped, TX_SLOTS, Transmit};
