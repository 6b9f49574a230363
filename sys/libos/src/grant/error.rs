//! What can go wrong when pages are shared.

use core::fmt;
use xen_abi::grant_table::GrantError as Refusal;
use xen_abi::{Domid, GrantRef, XenError};

/// Why a page could not be granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantError {
    /// This unikernel has no grant window, and so no grant table.
    NoTable,
    /// Every entry of the grant table is in use.
    Full,
    /// The entry that was asked for is reserved, in use, or there is none of this number.
    Taken {
        /// Which one.
        reference: GrantRef,
    },
}

impl fmt::Display for GrantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTable => f.write_str("a unikernel without a grant window cannot grant"),
            Self::Full => f.write_str("every entry of the grant table is in use"),
            Self::Taken { reference } => write!(f, "entry {reference} of the grant table is not free"),
        }
    }
}

impl core::error::Error for GrantError {}

/// Why a granted page could not be mapped or unmapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// Every page of the grant window is in use.
    WindowFull {
        /// How many there are.
        pages: u64,
    },
    /// Xen refused this page.
    Refused {
        /// Who granted it.
        from: Domid,
        /// Under which number.
        reference: GrantRef,
        /// Xen's reason.
        reason: Refusal,
    },
    /// Xen refused the operation.
    Xen(XenError),
}

impl fmt::Display for MapError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WindowFull { pages } => write!(f, "all {pages} pages of the grant window are in use"),
            Self::Refused { from, reference, reason } => {
                write!(f, "grant {reference} of domain {from}: {reason}")
            }
            Self::Xen(error) => write!(f, "a grant operation: {error}"),
        }
    }
}

impl core::error::Error for MapError {}

/// Why a copy could not be added to a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyError {
    /// The batch has no room for it: run it first.
    Full,
    /// It would cross the end of the granted page.
    CrossesPage {
        /// The first byte in the granted page.
        offset: u16,
        /// How many.
        len: usize,
    },
    /// The local bytes are not in this domain's own memory.
    NotOwn {
        /// Where they are.
        address: u64,
    },
}

impl fmt::Display for CopyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the batch of copies is full"),
            Self::CrossesPage { offset, len } => {
                write!(f, "{len} bytes from {offset} on cross the page's end")
            }
            Self::NotOwn { address } => write!(f, "{address:#x} is not this domain's own memory"),
        }
    }
}

impl core::error::Error for CopyError {}
