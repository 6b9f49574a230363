//! What the system description tells a probe to be, by its `args`.

/// The arguments.
#[derive(Debug, Default)]
pub struct Arguments {
    /// Burn CPU time.
    pub spin: bool,
}

impl Arguments {
    /// Reads the words of `text`; one that is not known is reported and passed over.
    pub fn parse(text: &str) -> Self {
        let mut arguments = Self::default();
        for word in text.split_ascii_whitespace() {
            match word {
                "spin" => arguments.spin = true,
                _ => log::warn!("`{word}` among the arguments means nothing to a probe"),
            }
        }
        arguments
    }
}
