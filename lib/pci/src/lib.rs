#![no_std]
//! What a PCI function's configuration space says of its registers and capabilities.
//!
//! Root reads and writes configuration space; what the bytes mean is worked out here, without a port and without a
//! panic whatever they are, because a device may say anything.
//!
//! - [`bars`]: where the registers are, how large, and which of them a unikernel may map.
//! - [`capabilities`]: the ones that root uses: MSI, MSI-X, function-level reset, virtio's registers.

pub mod bars;
pub mod capabilities;

pub use capabilities::{Capabilities, Msix};
