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
    /// Its name, unique among guests and components.
    pub name: Name,
    /// What it is made from.
    pub source: Source,
}

/// What a guest is made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::large_enum_variant,
    reason = "nothing is allocated: each guest takes its place in the description"
)]
pub enum Source {
    /// A configuration file of its own, which says everything.
    Config {
        /// The configuration's file.
        path: Path,
    },
    /// A kernel, with the little that a guest needs besides.
    Kernel {
        /// The kernel's file.
        kernel: Path,
        /// The initial ramdisk's file, if any.
        ramdisk: Option<Path>,
        /// The kernel's command line.
        cmdline: CmdLine,
        /// Its memory in pages.
        memory_pages: u32,
        /// How many vCPUs it has.
        vcpus: u8,
        /// Its weight in Xen's credit2 scheduler.
        weight: u16,
    },
}

impl Source {
    /// The vCPUs of a guest where `rvmm.toml` says nothing.
    pub const DEFAULT_VCPUS: u8 = 1;
    /// The weight of a guest where `rvmm.toml` says nothing: Xen's own default.
    pub const DEFAULT_WEIGHT: u16 = 256;
}
