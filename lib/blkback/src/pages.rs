//! Pages that data lie in on their way, and how they get from a guest and to it.

use xen_abi::grant_table::GrantError;
use xen_abi::{Domid, GrantRef};

/// A page that the device can reach: the driver's own, or a guest's that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Page(pub u32);

/// Which way data go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the guest.
    In,
    /// To the guest.
    Out,
}

/// One copy between a guest's page and one of the driver's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The guest.
    pub guest: Domid,
    /// Its page.
    pub gref: GrantRef,
    /// Where in it, in bytes.
    pub guest_offset: u32,
    /// The driver's page.
    pub page: Page,
    /// Where in it, in bytes.
    pub offset: u32,
    /// How much, in bytes.
    pub bytes: u32,
    /// Which way.
    pub direction: Direction,
    /// How it went: set by [`Pages::copy`].
    pub result: Result<(), GrantError>,
}

/// Why a guest's page is not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapError {
    /// There is no room for it: data are copied instead.
    NoRoom,
    /// The grant is no good.
    Grant(GrantError),
}

/// The memory of a disk uk, and its grants.
///
/// A life begins with nothing allocated and nothing mapped: what an earlier one has left is let go before. That takes
/// a table of mappings in memory that outlives the uk, written by the very call that maps.
pub trait Pages {
    /// A page of the driver's own; none if all are in use. There are at least as many as the largest request has segments.
    fn allocate(&mut self) -> Option<Page>;

    /// Takes back a page that was allocated.
    fn release(&mut self, page: Page);

    /// Copies, all in one go, and notes how each went.
    fn copy(&mut self, copies: &mut [Copy]);

    /// Reads from a page of the driver's own.
    fn read(&self, page: Page, offset: u32, bytes: &mut [u8]);

    /// Maps a guest's page, so that the device can read and write it.
    ///
    /// # Errors
    /// [`MapError`].
    fn map(&mut self, guest: Domid, gref: GrantRef) -> Result<Page, MapError>;

    /// Unmaps pages that were mapped.
    fn unmap(&mut self, pages: &[Page]);
}
