#![no_std]
//! From the file that a distribution ships as a kernel to the ELF image that a domain builder loads.
//!
//! A Linux kernel comes as a *bzImage*: boot code for real hardware around a compressed ELF file, the *payload*. A
//! guest's domain builder needs none of that boot code; it takes the payload out and unpacks it. Where it lies is
//! written in the setup header (Linux' `Documentation/arch/x86/boot.rst`, from protocol 2.08 on).
//!
//! The file comes from whoever owns the guest, so nothing in it is believed: every offset is checked, the unpacked
//! size is bounded before anything is allocated, memory is asked for in a way that can be refused, and what the
//! decompressors make must have the size that the file states.
//!
//! - [`bzimage`] finds the payload.
//! - [`compression`] tells the formats apart and unpacks them.
//!
//! ```
//! # fn load(file: &[u8]) -> Result<(), kernel_image::KernelImageError> {
//! let image = kernel_image::unpack(file, 256 << 20)?;
//! let elf: &[u8] = &image;
//! # Ok(())
//! # }
//! # assert!(load(b"#!/bin/sh").is_err());
//! ```

extern crate alloc;

pub mod bzimage;
pub mod compression;
mod error;

use alloc::borrow::Cow;

pub use compression::Compression;
pub use error::KernelImageError;

/// What every ELF file starts with.
const ELF_MAGIC: &[u8] = b"\x7fELF";

/// The ELF image in `file`: the file itself if it is one, or else the unpacked payload of a bzImage.
///
/// `most` bounds the size of the unpacked image in bytes. What is allocated meanwhile is bounded by `most` and
/// [`compression::MAX_WINDOW`] together.
///
/// # Errors
/// See [`KernelImageError`].
pub fn unpack(file: &[u8], most: usize) -> Result<Cow<'_, [u8]>, KernelImageError> {
    if file.starts_with(ELF_MAGIC) {
        return Ok(Cow::Borrowed(file));
    }
    let payload = bzimage::payload(file)?;
    // Nobody builds a kernel like this by default; it costs nothing to take it.
    if payload.starts_with(ELF_MAGIC) {
        return Ok(Cow::Borrowed(payload));
    }
    let image = compression::unpack(payload, most)?;
    if !image.starts_with(ELF_MAGIC) {
        return Err(KernelImageError::NotElf { found: error::start_of(&image) });
    }
    Ok(Cow::Owned(image))
}
