//! What the system description tells the toolstack, by its `args`.

/// The arguments.
#[derive(Debug)]
pub struct Arguments {
    /// The memory of the ring to XenStore.
    pub store: &'static str,
    /// The component that serves network interfaces.
    pub net: Option<&'static str>,
    /// The component that serves disks.
    pub disk: Option<&'static str>,
}

impl Arguments {
    /// Reads the words of `text`; one that is not known is reported and passed over.
    pub fn parse(text: &'static str) -> Self {
        let mut arguments = Self { store: "store.tool", net: None, disk: None };
        for word in text.split_ascii_whitespace() {
            match word.split_once('=').filter(|(_, value)| !value.is_empty()) {
                Some(("store", name)) => arguments.store = name,
                Some(("net", name)) => arguments.net = Some(name),
                Some(("disk", name)) => arguments.disk = Some(name),
                _ => log::warn!("`{word}` among the arguments means nothing to the toolstack"),
            }
        }
        arguments
    }
}
