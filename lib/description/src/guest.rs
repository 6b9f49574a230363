//! Guests that start with the host.

use crate::Name;
use heapless::String;
use serde::{Deserialize, Serialize};

/// Where a file lies, as the toolstack names it.
pub type Path = String<64>;

/// A guest kernel's command line.
pub type CmdLine = String<128>;

/// A guest that the toolstack starts once all components are up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Its name, unique among guests.
    pub name: Name,
    /// The kernel's file.
    pub kernel: Path,
    /// The initial ramdisk's file, if any.
    pub ramdisk: Option<Path>,
    /// The kernel's command line.
    pub cmdline: CmdLine,
    /// Its memory in pages.
    pub memory_pages: u32,
    /// How many vCPUs it has.
    pub vcpus: u8,
    /// Its weight in Xen's credit2 scheduler (Xen's default is 256).
    pub weight: u16,
}

impl Guest {
    /// Its vCPUs where `rvmm.toml` says nothing.
    pub const DEFAULT_VCPUS: u8 = 1;
    /// Its weight where `rvmm.toml` says nothing: Xen's own default.
    pub const DEFAULT_WEIGHT: u16 = 256;
}
