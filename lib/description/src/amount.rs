//! Amounts as people read and write them.

use core::fmt;

/// An amount with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// So many of what the place is about.
    Count(u64),
    /// Memory in pages of 4 KiB.
    Pages(u64),
    /// Time in microseconds.
    Micros(u64),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(count) => write!(f, "{count}"),
            Self::Pages(pages) => match pages {
                _ if pages == 0 || pages % 256 != 0 => write!(f, "{} KiB", pages.saturating_mul(4)),
                _ if pages % (256 * 1024) != 0 => write!(f, "{} MiB", pages / 256),
                _ => write!(f, "{} GiB", pages / (256 * 1024)),
            },
            Self::Micros(us) => match us {
                _ if us == 0 || us % 1_000 != 0 => write!(f, "{us} us"),
                _ if us % 1_000_000 != 0 => write!(f, "{} ms", us / 1_000),
                _ if us % 60_000_000 != 0 => write!(f, "{} s", us / 1_000_000),
                _ => write!(f, "{} min", us / 60_000_000),
            },
        }
    }
}

impl Amount {
    /// So many of what the place is about.
    pub fn count(count: impl Into<u64>) -> Self {
        Self::Count(count.into())
    }

    /// So many pages.
    pub fn pages(pages: impl Into<u64>) -> Self {
        Self::Pages(pages.into())
    }

    /// The number, without its unit.
    pub fn value(self) -> u64 {
        match self {
            Self::Count(value) | Self::Pages(value) | Self::Micros(value) => value,
        }
    }

    /// Another number of the same unit.
    pub fn with(self, value: u64) -> Self {
        match self {
            Self::Count(_) => Self::Count(value),
            Self::Pages(_) => Self::Pages(value),
            Self::Micros(_) => Self::Micros(value),
        }
    }
}
