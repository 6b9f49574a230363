//! Sharing pages with other domains.
//!
//! ```text
//!   this domain's page                            another domain's page
//!   SharedPage --grant--> Grant                   MappedPage (in the grant window), CopyBatch
//! ```
//!
//! Shared memory is words that are atomics, because the other side may write them at any moment. Handles undo what they
//! stand for when they are dropped.
//!
//! A micro-reboot ends no grant and no mapping: the other side must not notice. So what the last life has left is found
//! again at the start: its grants in the grant table itself, which Xen keeps; its mappings in a book that lies behind the
//! heap and is as old as the domain. A program takes it over by [`inherited`] and [`inherited_mappings`], and whatever
//! of it is dropped is undone. A rebuild leaves none of it, because Xen undoes it along with the old domain.
//!
//! As long as another domain maps a page of this one, this domain cannot be rebuilt: Xen keeps what is left of the old
//! domain for the page's sake, and its number with it. Pages that are mapped for long therefore belong to guests, which
//! are not rebuilt; unikernels among themselves copy, or share what root keeps for them ([`crate::kept`]).

mod book;
mod copy;
mod error;
mod mapping;
mod page;
mod table;

pub use copy::{CopyBatch, CopyRoom, PageCopy, Remote, Way, copy_with};
pub use error::{CopyError, GrantError, MapError};
pub use mapping::{MappedPage, inherited_mappings};
pub use page::{Page, SharedPage, halves};
pub use table::{FIRST_FREE, Grant, StillMapped, inherited};
pub use xen_abi::grant_table::GrantError as Refusal;
pub use xen_abi::{Domid, GrantRef};

pub(crate) use book::area as book_area;
pub(crate) use table::inherited_pages;

use uk_abi::boot_info::{BootInfo, BootReason};

/// What another domain may do with a page, or this one with another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read it.
    ReadOnly,
    /// Read and write it.
    ReadWrite,
}

/// Sets up the grant table and settles what the last life has left, before there is a heap.
///
/// # Panics
/// If Xen refuses the table, or the last life's mappings cannot be made out: a rebuild undoes them all.
pub(crate) fn start(info: &BootInfo) {
    if info.grant_window.pages == 0 {
        return;
    }
    table::set_up();
    match info.boot_reason() {
        Some(BootReason::MicroReboot) => mapping::settle(),
        _ => book::clear(),
    }
}
