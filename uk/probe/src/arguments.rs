//! What the system description tells a probe to be, by its `args`.

use crate::interfaces::Interfaces;
use heapless::Vec;
use libos::grant::Domid;

/// Virtual disks that a probe can announce.
const MAX_DISKS: usize = 4;

/// A virtual disk for the domain whose home a probe makes: `vbd=51712:disk0/p1:r@2`, or without `:r` if it may be written.
#[derive(Clone, Copy, Debug)]
pub struct VirtualDisk {
    /// Its number for the guest: 51712 is `xvda`.
    pub device: u32,
    /// The volume behind it.
    pub target: &'static str,
    /// `w`, or `r` where it may only be read.
    pub mode: &'static str,
    /// The domain of its backend.
    pub backend: Domid,
}

impl VirtualDisk {
    fn parse(text: &'static str) -> Option<Self> {
        let (what, backend) = text.rsplit_once('@')?;
        let (device, what) = what.split_once(':')?;
        let (target, mode) = what.rsplit_once(':').unwrap_or((what, "w"));
        Some(Self { device: device.parse().ok()?, target, mode, backend: Domid(backend.parse().ok()?) })
    }
}

/// The arguments.
#[derive(Debug, Default)]
pub struct Arguments {
    /// Burn CPU time.
    pub spin: bool,
    /// Let this domain use a page.
    pub offer: Option<Domid>,
    /// Copy from the page that this domain offers, again and again.
    pub read: Option<Domid>,
    /// Talk to all who share the memory of this name.
    pub talk: Option<&'static str>,
    /// Use XenStore over the ring in the shared memory of this name.
    pub store: Option<&'static str>,
    /// Make a home in XenStore for this domain, as a toolstack does.
    pub home: Option<Domid>,
    /// Create so many nodes in XenStore first.
    pub fill: u32,
    /// Announce network interfaces.
    pub interfaces: Option<Interfaces>,
    /// Ask root's broker for domains.
    pub broker: Option<Manner>,
    /// Announce these virtual disks in the home that it makes.
    pub disks: Vec<VirtualDisk, MAX_DISKS>,
    /// Map the page that this domain offers, and look at it again and again.
    pub map: Option<Domid>,
}

/// How somebody asks the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// For what it may have.
    Sound,
    /// For what it may not have.
    Rogue,
}

impl Arguments {
    /// Reads the words of `text`; one that is not known is reported and passed over.
    pub fn parse(text: &'static str) -> Self {
        let mut arguments = Self::default();
        for word in text.split_ascii_whitespace() {
            let (name, value) = word.split_once('=').unwrap_or((word, ""));
            let domain = value.parse().ok().map(Domid);
            match name {
                "spin" if value.is_empty() => arguments.spin = true,
                "offer" if domain.is_some() => arguments.offer = domain,
                "read" if domain.is_some() => arguments.read = domain,
                "talk" if !value.is_empty() => arguments.talk = Some(value),
                "store" if !value.is_empty() => arguments.store = Some(value),
                "home" if domain.is_some() => arguments.home = domain,
                "fill" if value.parse::<u32>().is_ok() => arguments.fill = value.parse().unwrap_or(0),
                "vifs" if Interfaces::parse(value).is_some() => {
                    arguments.interfaces = Interfaces::parse(value)
                }
                "broker" if value == "sound" => arguments.broker = Some(Manner::Sound),
                "broker" if value == "rogue" => arguments.broker = Some(Manner::Rogue),
                "vbd" if VirtualDisk::parse(value).is_some() => {
                    // There are no more of them in so few bytes.
                    arguments.disks.extend(VirtualDisk::parse(value));
                }
                "map" if domain.is_some() => arguments.map = domain,
                _ => log::warn!("`{word}` among the arguments means nothing to a probe"),
            }
        }
        arguments
    }
}
