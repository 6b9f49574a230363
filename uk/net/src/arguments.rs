//! What the description says.

use core::fmt::{self, Write};
use core::str::FromStr;
use heapless::Vec;
use network::MAX_CARDS;
use network::switch::BridgeName;
use smoltcp::wire::Ipv4Cidr;

/// The address, where the description gives none: the one that QEMU's own network leaves to its guest.
const DEFAULT_ADDRESS: &str = "10.0.2.15/24";

/// What the bridges' names begin with, where the description gives none, as `xl`'s do; the card's number follows.
const DEFAULT_BRIDGE: &str = "xenbr";

/// The arguments.
#[derive(Debug)]
pub struct Arguments {
    /// The addresses at which this program itself answers: on the first card's bridge, the second's, and so on.
    addresses: Vec<Ipv4Cidr, MAX_CARDS>,
    /// The bridges that are named: that of the first card, and so on.
    bridges: Vec<BridgeName, MAX_CARDS>,
    /// The memory of the ring to XenStore, if guests are to be served.
    pub store: Option<&'static str>,
    /// The memory of the cable to another unikernel, which is on the same bridge as the first card, if there is one.
    pub cable: Option<&'static str>,
    /// After how long a part that has work and does none hangs, in microseconds, if that is said.
    pub deadline_us: Option<u64>,
}

/// A word that means nothing here.
#[derive(Debug)]
pub struct ArgumentError(&'static str);

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(word) = self;
        write!(
            f,
            "args must be of words like address={DEFAULT_ADDRESS} bridge=xenbr0,xenbr1 store=MEMORY cable=MEMORY deadline=MS, not \
             \"{word}\""
        )
    }
}

impl Arguments {
    /// Reads the words of `text`.
    ///
    /// # Errors
    /// [`ArgumentError`].
    pub fn read(text: &'static str) -> Result<Self, ArgumentError> {
        let addresses = list(DEFAULT_ADDRESS).ok_or(ArgumentError(DEFAULT_ADDRESS))?;
        let mut arguments =
            Self { addresses, bridges: Vec::new(), store: None, cable: None, deadline_us: None };
        for word in text.split_ascii_whitespace() {
            let unknown = || ArgumentError(word);
            let (name, value) = word.split_once('=').ok_or_else(unknown)?;
            match name {
                "address" => arguments.addresses = list(value).ok_or_else(unknown)?,
                "bridge" => arguments.bridges = list(value).ok_or_else(unknown)?,
                "store" => arguments.store = Some(value),
                "cable" => arguments.cable = Some(value),
                "deadline" => {
                    let ms: u64 = value.parse().map_err(|_| unknown())?;
                    arguments.deadline_us = Some(ms.saturating_mul(1000)).filter(|us| *us > 0);
                }
                _ => return Err(unknown()),
            }
        }
        Ok(arguments)
    }

    /// The address of this program itself on the bridge of the card `number`, if it has one there.
    pub fn address(&self, number: usize) -> Option<Ipv4Cidr> {
        self.addresses.get(number).copied()
    }

    /// The bridge that the card `number` is on.
    pub fn bridge(&self, number: usize) -> BridgeName {
        self.bridges.get(number).cloned().unwrap_or_else(|| {
            let mut name = BridgeName::new();
            // There is room for it.
            let _ = write!(name, "{DEFAULT_BRIDGE}{number}");
            name
        })
    }
}

/// The values in a list with commas: one for each card at most.
fn list<T: FromStr>(text: &str) -> Option<Vec<T, MAX_CARDS>> {
    let mut values = Vec::new();
    for word in text.split(',') {
        values.push(word.parse().ok()?).ok()?;
    }
    Some(values)
}
