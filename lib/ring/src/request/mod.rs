//! Requests and the responses to them, in slots that both share (`io/ring.h`): the rings of block and network devices.
//!
//! ```text
//!   page 0                                        page 1 (in a ring of several)
//!   +--------+--------+--------+--------+----- ---+---+--------+----
//!   | header | slot 0 | slot 1 | slot 2 | ...  slot k | slot k+1 ...        a slot may lie across two pages
//!   +--------+--------+--------+--------+----- ---+---+--------+----
//!
//!         responses        in flight            requests
//!   --------------------|------------------|-----------------|------->  free-running, modulo 2^32
//!                    rsp_prod          consumed           req_prod
//! ```
//!
//! A response takes the place of *some* request that was taken before, not of the one it answers. So what was taken cannot be
//! read again later, and how far the backend has come stands nowhere in the ring: a backend that shall be able to go on in
//! another life notes both elsewhere, and hands in its [`Position`].
//!
//! The header is the other side's to forge. An index that contradicts what this side knows is an [`Overrun`], and there is no
//! way back from it: nothing in that ring means anything any more.

mod backend;
mod frontend;

pub use backend::{Backend, Position, Unasked};
pub use frontend::{Frontend, Full};

use crate::Page;
use core::fmt;
use core::marker::PhantomData;
use core::mem::offset_of;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use core::sync::atomic::fence;
use xen_abi::ring::Header;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The most pages of a ring: as many as Linux's frontends ever use.
pub const MAX_PAGES: usize = 16;

const WORD: usize = size_of::<u32>();
const PAGE_WORDS: usize = 1024;
const HEADER_WORDS: usize = size_of::<Header>() / WORD;

/// What goes through a ring.
pub trait Protocol {
    /// What the frontend asks.
    type Request: FromBytes + IntoBytes + Immutable;
    /// What the backend answers.
    type Response: FromBytes + IntoBytes + Immutable;
}

/// The protocols of `io/blkif.h` and `io/netif.h`.
macro_rules! protocols {
    ($($(#[$meta:meta])* $name:ident: $request:ty => $response:ty;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Protocol for $name {
            type Request = $request;
            type Response = $response;
        }
    )*};
}

protocols! {
    /// A block device's queue.
    Block: xen_abi::blkif::Request => xen_abi::blkif::Response;
    /// The frames that a frontend sends.
    NetTransmit: xen_abi::netif::TxRequest => xen_abi::netif::TxResponse;
    /// The frames that a frontend receives.
    NetReceive: xen_abi::netif::RxRequest => xen_abi::netif::RxResponse;
    /// Control messages of a network device.
    NetControl: xen_abi::netif::ControlRequest => xen_abi::netif::ControlResponse;
}

/// An index of the other side's that contradicts what this side knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overrun {
    /// How far the other side says it is.
    pub found: u32,
    /// How far this side has taken what the other produced.
    pub consumed: u32,
    /// How far the other could be at most, if it told the truth.
    pub limit: u32,
}

impl fmt::Display for Overrun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { found, consumed, limit } = self;
        write!(f, "expected an index from {consumed} to {limit}, found {found}")
    }
}

impl core::error::Error for Overrun {}

/// A number of pages that no ring has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSize {
    /// How many there were.
    pub pages: usize,
}

impl fmt::Display for BadSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a ring has 1, 2, 4, 8 or {MAX_PAGES} pages, not {}", self.pages)
    }
}

impl core::error::Error for BadSize {}

/// The memory of a ring.
#[derive(Debug)]
pub struct Ring<'a, P> {
    pages: [&'a Page; MAX_PAGES],
    slots: u32,
    protocol: PhantomData<P>,
}

impl<P> Clone for Ring<'_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P> Copy for Ring<'_, P> {}

impl<'a, P: Protocol> Ring<'a, P> {
    /// Words of a slot: it holds a request or a response.
    const SLOT_WORDS: usize = {
        let (request, response) = (size_of::<P::Request>(), size_of::<P::Response>());
        assert!(request.is_multiple_of(WORD) && response.is_multiple_of(WORD));
        let align = if align_of::<P::Request>() > align_of::<P::Response>() {
            align_of::<P::Request>()
        } else {
            align_of::<P::Response>()
        };
        let size = if request > response { request } else { response };
        size.next_multiple_of(align) / WORD
    };

    /// The ring that lies in `pages`, in their order.
    ///
    /// # Errors
    /// [`BadSize`].
    pub fn new(pages: &[&'a Page]) -> Result<Self, BadSize> {
        if !pages.len().is_power_of_two() || pages.len() > MAX_PAGES {
            return Err(BadSize { pages: pages.len() });
        }
        let words = pages.len() * PAGE_WORDS - HEADER_WORDS;
        let slots = 1 << (words / Self::SLOT_WORDS).ilog2();
        let pages = core::array::from_fn(|index| pages[index % pages.len()]);
        Ok(Self { pages, slots, protocol: PhantomData })
    }

    /// How many slots there are: a power of two.
    pub const fn slots(&self) -> u32 {
        self.slots
    }

    /// How many responses the frontend has been shown, as the ring says: the frontend can forge it.
    pub fn shown(&self) -> u32 {
        self.rsp_prod().load(Relaxed)
    }

    /// How many requests the frontend has shown, as the ring says: it can say anything.
    pub fn asked(&self) -> u32 {
        self.req_prod().load(Relaxed)
    }

    /// The words of the slot at `index`.
    fn words(&self, index: u32, count: usize) -> impl Iterator<Item = &'a AtomicU32> {
        let first = HEADER_WORDS + (index & (self.slots - 1)) as usize * Self::SLOT_WORDS;
        let pages = self.pages;
        (first..first + count).map(move |word| &pages[word / PAGE_WORDS % MAX_PAGES][word % PAGE_WORDS])
    }

    fn load<T: FromBytes + IntoBytes>(&self, index: u32) -> T {
        let mut value = T::new_zeroed();
        let words = self.words(index, size_of::<T>() / WORD);
        for (bytes, word) in value.as_mut_bytes().chunks_exact_mut(WORD).zip(words) {
            bytes.copy_from_slice(&word.load(Relaxed).to_le_bytes());
        }
        value
    }

    fn store<T: IntoBytes + Immutable>(&self, index: u32, value: &T) {
        let words = self.words(index, size_of::<T>() / WORD);
        for (bytes, word) in value.as_bytes().chunks_exact(WORD).zip(words) {
            word.store(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]), Relaxed);
        }
    }

    fn index(&self, offset: usize) -> &'a AtomicU32 {
        &self.pages[0][offset / WORD]
    }

    fn req_prod(&self) -> &'a AtomicU32 {
        self.index(offset_of!(Header, req_prod))
    }

    fn req_event(&self) -> &'a AtomicU32 {
        self.index(offset_of!(Header, req_event))
    }

    fn rsp_prod(&self) -> &'a AtomicU32 {
        self.index(offset_of!(Header, rsp_prod))
    }

    fn rsp_event(&self) -> &'a AtomicU32 {
        self.index(offset_of!(Header, rsp_event))
    }
}

/// Moves `produced` from `old` to `new`, and says whether the other side wants an event for that: whether the threshold that it
/// has set lies between the two.
fn publish(produced: &AtomicU32, event: &AtomicU32, old: u32, new: u32) -> bool {
    produced.store(new, Release);
    // The other side sets its threshold and then looks at the index; here it is the other way round.
    fence(SeqCst);
    new.wrapping_sub(event.load(Relaxed)) < new.wrapping_sub(old)
}

/// How far the other side is, which must be from `consumed` to `limit`.
fn produced(index: &AtomicU32, consumed: u32, limit: u32) -> Result<u32, Overrun> {
    let found = index.load(Acquire);
    if found.wrapping_sub(consumed) <= limit.wrapping_sub(consumed) {
        Ok(found)
    } else {
        Err(Overrun { found, consumed, limit })
    }
}
