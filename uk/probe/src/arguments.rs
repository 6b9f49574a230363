//! What the system description tells a probe to be, by its `args`.

use libos::grant::Domid;

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
    /// Create so many nodes in XenStore first.
    pub fill: u32,
    /// Ask root's broker for domains.
    pub broker: Option<Manner>,
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
                "fill" if value.parse::<u32>().is_ok() => arguments.fill = value.parse().unwrap_or(0),
                "broker" if value == "sound" => arguments.broker = Some(Manner::Sound),
                "broker" if value == "rogue" => arguments.broker = Some(Manner::Rogue),
                "map" if domain.is_some() => arguments.map = domain,
                _ => log::warn!("`{word}` among the arguments means nothing to a probe"),
            }
        }
        arguments
    }
}
