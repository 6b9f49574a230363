//! The address space of a unikernel.
//!
//! ```text
//! 0x0000_0000  nothing: a null pointer, and what a small index makes of it, faults
//! 0x0020_0000  RAM: pfn p of the domain is at RAM_BASE + p * PAGE_SIZE, where it is mapped at all
//!              image | page tables (unmapped: they guard the stack) | stack | boot info* | health* |
//!              log ring | kept map | p2m | heap
//! 0x3000_0000  shared_info, the page that Xen shares with the domain
//! 0x3010_0000  health page: at a fixed address, because the trap stubs use it when nothing else is sound
//! 0x3011_0000  boot info (read-only), then a page for each device
//! 0x3020_0000  grant window: where granted pages of other domains are mapped
//! 0x3060_0000  BAR window: the registers of the unikernel's devices
//! 0x3100_0000  kept window: the recovery box and other pages that root keeps and lends, see `kept`; then the boot
//!              archive, if it is lent
//! ```
//!
//! The pages marked * take part in the order of RAM but are mapped at their fixed addresses instead.
//!
//! Everything lies below 2 GiB, because the images are linked for the small code model.

/// Bytes in a page.
pub const PAGE_SIZE: usize = 4096;

/// Where the domain's RAM starts: pfn 0 is mapped here. Images are linked at this address.
pub const RAM_BASE: u64 = 0x0020_0000;

/// Where the page that Xen shares with the domain is mapped.
pub const SHARED_INFO_VA: u64 = 0x3000_0000;

/// Where the health page is mapped (read and write).
pub const HEALTH_VA: u64 = 0x3010_0000;

/// Where the boot info page is mapped (read-only); the pages of the devices follow it.
pub const BOOT_INFO_VA: u64 = 0x3011_0000;

/// The first page of the window that maps other domains' granted pages.
pub const GRANT_WINDOW_VA: u64 = 0x3020_0000;

/// The most pages that the grant window can have: it ends where the BAR window starts.
pub const GRANT_WINDOW_MAX_PAGES: usize = ((BAR_WINDOW_VA - GRANT_WINDOW_VA) as usize) / PAGE_SIZE;

/// The first page of the window that maps the registers of devices.
pub const BAR_WINDOW_VA: u64 = 0x3060_0000;

/// The most pages that the BAR window can have: one L1 table of 512 entries each 2 MiB, two of them.
pub const BAR_WINDOW_MAX_PAGES: usize = 1024;

/// The first page of the window that maps what root keeps for the unikernel: see [`kept`](crate::kept).
pub const KEPT_WINDOW_VA: u64 = 0x3100_0000;

/// The most pages that root keeps: 36 MiB, nine times the largest vault that is known to be needed.
pub const KEPT_MAX_PAGES: usize = 9216;

/// The most pages of a boot archive that is lent: as many as a grant table of Xen's usual size has entries for.
pub const ARCHIVE_MAX_PAGES: usize = 32768;

/// The most pages that the kept window can have.
pub const KEPT_WINDOW_MAX_PAGES: usize = KEPT_MAX_PAGES + ARCHIVE_MAX_PAGES;

/// Pages in which a unikernel asks root's broker for something.
pub const BROKER_PAGES: usize = 136;

/// Bytes of the kept map for each kept page: one of Xen's operations to map a granted page.
pub const KEPT_MAP_ENTRY: usize = 32;

/// Bytes from a unikernel's entry point to its trap stubs, one for each of the 256 vectors.
pub const TRAP_STUBS: u64 = 64;

/// Bytes from one trap stub to the next.
pub const TRAP_STUB_SIZE: u64 = 16;
