//! What a boot archive has in it.

use core::fmt;

/// What a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The system description in its compact form.
    Description,
    /// The ELF image of a unikernel.
    Image,
    /// The symbol table of an image.
    Symbols,
    /// The kernel of a guest: an ELF image, unpacked.
    Kernel,
    /// The initial ramdisk of a guest.
    Ramdisk,
    /// The configuration of a guest, in the form of `xl.cfg(5)`.
    Config,
    /// What the keys of a component's interface come from.
    Secret,
}

impl Kind {
    /// The number that stands for each kind in the directory.
    pub(super) const CODES: [(u32, Self); 7] = [
        (0, Self::Description),
        (1, Self::Image),
        (2, Self::Symbols),
        (3, Self::Kernel),
        (4, Self::Ramdisk),
        (5, Self::Config),
        (6, Self::Secret),
    ];

    /// The kind that a number stands for.
    pub(super) fn from_code(code: u32) -> Option<Self> {
        Self::CODES.iter().find(|(known, _)| *known == code).map(|(_, kind)| *kind)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Description => "description",
            Self::Image => "image",
            Self::Symbols => "symbol table",
            Self::Kernel => "kernel",
            Self::Ramdisk => "ramdisk",
            Self::Config => "configuration",
            Self::Secret => "secret",
        })
    }
}
