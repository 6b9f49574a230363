//! What the description says.

use core::fmt;
use core::str::FromStr;
use network::switch::BridgeName;
use smoltcp::wire::Ipv4Cidr;

/// The address, where the description gives none: the one that QEMU's own network leaves to its guest.
const DEFAULT_ADDRESS: &str = "10.0.2.15/24";

/// The bridge that the card is on, where the description gives none: `xl`'s.
const DEFAULT_BRIDGE: &str = "xenbr0";

/// The arguments.
#[derive(Debug)]
pub struct Arguments {
    /// The address at which this program itself answers.
    pub address: Ipv4Cidr,
    /// The bridge that the card is on.
    pub bridge: BridgeName,
    /// The memory of the ring to XenStore, if guests are to be served.
    pub store: Option<&'static str>,
    /// The memory of the cable to another unikernel, which is on the same bridge as the card, if there is one.
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
            "args must be of words like address={DEFAULT_ADDRESS} bridge={DEFAULT_BRIDGE} store=MEMORY cable=MEMORY deadline=MS, not \
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
        let address = Ipv4Cidr::from_str(DEFAULT_ADDRESS).map_err(|()| ArgumentError(DEFAULT_ADDRESS))?;
        let bridge = BridgeName::try_from(DEFAULT_BRIDGE).map_err(|_| ArgumentError(DEFAULT_BRIDGE))?;
        let mut arguments = Self { address, bridge, store: None, cable: None, deadline_us: None };
        for word in text.split_ascii_whitespace() {
            let unknown = || ArgumentError(word);
            let (name, value) = word.split_once('=').ok_or_else(unknown)?;
            match name {
                "address" => arguments.address = Ipv4Cidr::from_str(value).map_err(|()| unknown())?,
                "bridge" => arguments.bridge = BridgeName::try_from(value).map_err(|_| unknown())?,
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
}
