//! The rings by which domains talk to their backends, in pages that both sides may write at any moment.
//!
//! ```text
//!   byte       a stream of bytes in one direction: free-running indexes, checked on every look
//!   xenstore   the page of a domain's connection to XenStore: requests and responses
//!   console    the page of a domain's console: input and output
//!   request    requests and the responses to them, in slots that both share: devices' rings
//! ```
//!
//! Shared memory is a slice of atomics, so whatever the other side does to it is a value that was read and never undefined.
//! What is read is copied once and then looked at: the original may change between two looks.

#![no_std]

/// One direction of a page: the field with the bytes, the consumer's index and the producer's.
macro_rules! ring {
    ($page:expr, $interface:ty, $data:ident, $consumed:ident, $produced:ident) => {{
        const WORD: usize = size_of::<u32>();
        let data = offset_of!($interface, $data) / WORD;
        let length = $crate::length_of(|whole: &$interface| &whole.$data) / WORD;
        Ring {
            data: &$page[data..data + length],
            consumed: &$page[offset_of!($interface, $consumed) / WORD],
            produced: &$page[offset_of!($interface, $produced) / WORD],
        }
    }};
}

pub mod byte;
pub mod console;
pub mod request;
pub mod xenstore;

use core::sync::atomic::AtomicU32;

pub use xen_abi::xs_wire::Connection;

/// The length of a field that is an array of bytes.
const fn length_of<T, const N: usize>(_: fn(&T) -> &[u8; N]) -> usize {
    N
}

/// A shared page, seen as the 32-bit words that its indexes are.
pub type Page = [AtomicU32; 1024];
