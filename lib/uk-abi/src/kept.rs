//! What root keeps for unikernels and lends to them: memory that no failure of a unikernel takes away.
//!
//! ```text
//!                            root's pages                                      mapped by
//!  recovery boxes            | box of a | box of b | box of c |                each its own
//!  shared memory             | between a and b | between a, b and c |          all that it is between
//!  requests to root's broker | of a |                                          who may ask for guests
//!  the register of domains   | one page |                                      who serves domains, to read
//!  the boot archive          | all of it |                                     who may ask for guests, to read
//! ```
//!
//! The pages are root's own, and root grants each of them to the domains that may use it, once, when the host
//! comes up. A domain that is rebuilt maps the same pages again; nobody holds pages of it, so nothing keeps
//! what is left of it from going away, and nothing is copied however much is kept.
//!
//! Unikernels that share memory also have an event channel, one for each pair. Of two, the one with the lower
//! number has the port, reserved for the other; the other binds to it, again whenever the first is rebuilt.
//! Root says in the [health page](crate::health) which port that is: see [`Offer`].

use crate::boot_info::Area;
use crate::text::{padded, until_nul};
use core::str;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The most pieces of shared memory that one unikernel takes part in.
pub const MAX_SHARED: usize = 8;

/// The most unikernels that can share memory: a set of them is one word, in which bit n stands for domain n.
pub const MAX_PEERS: usize = 64;

/// A piece of memory that unikernels share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SharedInfo {
    /// Its name, padded with NUL; see [`SharedInfo::name`].
    pub name: [u8; 16],
    /// Where the unikernel maps it.
    pub area: Area,
    /// The domains that share it, this one among them: bit n stands for domain n.
    pub members: u64,
}

impl SharedInfo {
    /// A name that is too long is cut.
    pub fn new(name: &str, area: Area, members: u64) -> Self {
        Self { name: padded(name), area, members }
    }

    /// Its name; empty if it is not UTF-8.
    pub fn name(&self) -> &str {
        str::from_utf8(until_nul(&self.name)).unwrap_or_default()
    }
}

/// The numbers of the domains in a set such as [`SharedInfo::members`], in ascending order.
pub fn domains(set: u64) -> impl Iterator<Item = u16> + Clone {
    (0..MAX_PEERS as u16).filter(move |domid| set >> domid & 1 != 0)
}

/// The port between two unikernels that share memory: one of the domain with the lower number, which is reserved
/// for the other. In one word, so that it is whole at any moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The life in which the domain with the port was built: the same port of a rebuilt domain is another one.
    pub built: u32,
    /// The port.
    pub port: u32,
}

impl Offer {
    /// The offer in a word; none in a word of zeros.
    pub fn from_word(word: u64) -> Option<Self> {
        (word != 0).then_some(Self { built: (word >> 32) as u32, port: word as u32 })
    }

    /// The word.
    pub fn word(self) -> u64 {
        u64::from(self.built) << 32 | u64::from(self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn sets_name_domains_in_order() {
        assert_eq!(domains(0b1010 | 1 << 63).collect::<Vec<_>>(), [1, 3, 63]);
        assert_eq!(domains(0).count(), 0);
    }

    #[test]
    fn an_offer_is_one_word_and_zeros_are_none() {
        let offer = Offer { built: 7, port: 12 };
        assert_eq!(Offer::from_word(offer.word()), Some(offer));
        assert_eq!(Offer::from_word(0), None);
    }
}
