//! Network interfaces: values of `vif`, as in xl-network-configuration(5).

use alloc::{borrow::ToOwned, string::String};
use core::{fmt, str::FromStr};

use crate::{Mistake, Reason, text::Text};

/// Why other options of an interface are refused.
const REFUSED: [(&str, &str); 9] = [
    ("script", "no script runs: the network's unikernel connects interfaces itself"),
    ("model", "no device is emulated for a PV guest"),
    ("backend", "every interface is served by the network's unikernel"),
    ("gatewaydev", "the network's unikernel routes nothing"),
    ("netdev", "the network's unikernel routes nothing"),
    ("devid", "interfaces are numbered in the order of the list"),
    ("accel", "there are no plug-ins"),
    ("trusted", "every guest's backend is trusted with its frames"),
    ("vifname", "nobody would see a name: there is no Linux on the other side"),
];

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vif {
    /// Its address; the toolstack makes one up if there is none.
    pub mac: Option<[u8; 6]>,
    /// What it is plugged into; the host's first bridge if nothing is said.
    pub bridge: Option<String>,
    /// The address that it is allowed to use; any if nothing is said.
    pub ip: Option<String>,
    /// How much it may send, in bytes a second; as much as it can if nothing is said.
    pub rate: Option<u64>,
}

impl Vif {
    /// Reads one value.
    pub(crate) fn read(value: &Text) -> Result<Self, Mistake> {
        let mut vif = Self::default();
        for option in value.text.split(',').map(str::trim).filter(|option| !option.is_empty()) {
            let (key, text) =
                option.split_once('=').map_or((option, ""), |(key, text)| (key.trim(), text.trim()));
            let wrong = |wanted| {
                Reason::Value { key: key.to_owned(), wanted, found: text.to_owned() }.at(value.place)
            };
            match key {
                "mac" => {
                    vif.mac = Some(mac(text).ok_or_else(|| wrong("six hexadecimal bytes with : between"))?)
                }
                "bridge" if !text.is_empty() => vif.bridge = Some(text.to_owned()),
                "ip" if !text.is_empty() => vif.ip = Some(text.to_owned()),
                "bridge" | "ip" => return Err(wrong("a name or an address")),
                "rate" => {
                    vif.rate = Some(
                        rate(text).ok_or_else(|| wrong("a rate up to 80GB/s, such as 10MB/s or 80Mb/s,"))?,
                    )
                }
                "type" if text == "vif" => {}
                "type" => return Err(wrong("vif, because no device is emulated for a PV guest,")),
                _ => return Err(Reason::no_use_for(key, &REFUSED).at(value.place)),
            }
        }
        Ok(vif)
    }
}

/// A value on its own, as an operator types it.
impl FromStr for Vif {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        Self::read(&Text::alone(text))
    }
}

/// A value that says the same.
impl fmt::Display for Vif {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("type=vif")?;
        if let Some([a, b, c, d, e, g]) = self.mac {
            write!(f, ", mac={a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")?;
        }
        if let Some(bridge) = &self.bridge {
            write!(f, ", bridge={bridge}")?;
        }
        if let Some(ip) = &self.ip {
            write!(f, ", ip={ip}")?;
        }
        // The finest unit that there is.
        self.rate.map_or(Ok(()), |rate| write!(f, ", rate={}Kb/s", rate / 125))
    }
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let mut bytes = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut bytes {
        let part = parts.next().filter(|part| part.len() == 2 && !part.starts_with('+'))?;
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    // The lowest bit of the first byte says that an address is one of many.
    (parts.next().is_none() && bytes[0] & 1 == 0).then_some(bytes)
}

/// The greatest rate, in bytes a second: more is no limit, and XenStore's form of it (bytes in so many microseconds) is read as 32 bits.
const MOST_RATE: u64 = 80_000_000_000;

/// Bytes a second, from one of the smallest unit to [`MOST_RATE`]: an interface that may send nothing would wait for ever. What an interval
/// stands behind (`@50ms`) would shape bursts, which nobody does.
fn rate(text: &str) -> Option<u64> {
    const UNITS: [(&str, u128, u128); 6] = [
        ("GB/s", 1_000_000_000, 1),
        ("MB/s", 1_000_000, 1),
        ("KB/s", 1_000, 1),
        ("Gb/s", 1_000_000_000, 8),
        ("Mb/s", 1_000_000, 8),
        ("Kb/s", 1_000, 8),
    ];
    UNITS.iter().find_map(|(unit, times, divided)| {
        let number = text.strip_suffix(unit)?.parse::<u64>().ok()?;
        // Bits may be more than a number holds where the bytes are not.
        let bytes = u64::try_from(u128::from(number) * times / divided).ok()?;
        (1..=MOST_RATE).contains(&bytes).then_some(bytes)
    })
}
