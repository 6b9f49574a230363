//! Our XenStore daemon held against Xen's own two: the same requests to each of them must have the same answers and the same events,
//! but for what is listed and explained in `docs/src/xenstore-differences.md`.
//!
//! A sequence of steps is made from a seed ([`generate`]), performed by a daemon with three sockets and three guests
//! ([`world`]), and what everybody hears is compared step by step ([`differential`]). A difference that is not in the table
//! ([`differences`]) is told with its seed and the fewest steps that show it.

pub mod differences;
pub mod differential;
pub mod generate;
pub mod step;
pub mod world;
