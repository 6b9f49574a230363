//! What an R-VMM host runs.
//!
//! A person writes `rvmm.toml`; `cargo xtask` checks it ([`text`], behind the feature of that name) and makes a
//! [`Description`] of it; the description travels to root in compact form inside the boot [`Archive`], next to the
//! images it names. So root parses no text, and a mistake is found where it can be shown with its line and column.
//!
//! The rules that a description must keep stand once, behind [`Description::check`]: the text side uses them to point at lines, and
//! root asks the same rules before it builds anything, because an archive can be damaged, or be of another version.
//!
//! Nothing here allocates, except behind the feature `std`.

#![cfg_attr(not(any(test, feature = "std")), no_std)]

mod amount;
mod archive;
mod assign;
mod capability;
mod component;
mod device;
mod guest;
mod host;
mod name;
mod order;
mod problem;
mod rules;
mod shared;
mod symbols;
mod system;
#[cfg(feature = "text")]
pub mod text;

pub use amount::Amount;
#[cfg(feature = "std")]
pub use archive::ArchiveWriter;
pub use archive::{Archive, ArchiveError, Directory, Kind, MAX_BLOBS};
pub use assign::{Claim, assign_devices};
pub use capability::Capabilities;
pub use component::{Component, MAX_ARGS, MAX_DEVICES};
pub use device::{
    Device, DeviceClass, DeviceSelector, Driver, Interrupt, PciAddress, PciAddressError, PciFunction,
};
pub use guest::{CmdLine, Guest, Path, Source};
pub use host::{Console, Host};
pub use monitor::{ComponentId, ComponentSet, Granularity, Limits, MAX_COMPONENTS, Rung};
pub use name::{MAX_NAME, Name, NameError};
pub use order::Cycle;
pub use problem::{Item, Place, Problem};
pub use shared::{KEPT_MAX_PAGES, MAX_SHARED, Shared};
#[cfg(feature = "std")]
pub use symbols::encode as encode_symbols;
pub use symbols::{Symbols, SymbolsError};
pub use system::{DecodeError, Description, MAX_ENCODED, MAX_GUESTS};
