#![no_std]
//! Guests' configurations in the form of `xl.cfg(5)`, which every Xen host understands.
//!
//! A file is a list of settings. [`text`] reads them, [`Config`] says what they mean. Nothing is ignored in silence: a
//! key of the manual page is either obeyed or refused by name, with the reason; a key that is not in it is a mistake;
//! and so is one that comes twice, because then one of the two is not meant.
//!
//! ```
//! let config = xlcfg::Config::read(
//!     r#"
//!     name = "web"
//!     kernel = "/boot/vmlinuz"
//!     memory = 512
//!     disk = [ "/dev/vg/web,raw,xvda,rw" ]
//!     "#,
//! )?;
//! assert_eq!(config.memory_mib, 512);
//! assert_eq!(config.disks[0].vdev, "xvda");
//!
//! let mistake = xlcfg::Config::read("name = 'web'\nmemory = 512\nkernel = 'k'\nusb = 1").unwrap_err();
//! assert_eq!(mistake.to_string(), "4:1: usb: refused: no device is emulated for a PV guest");
//! # Ok::<(), xlcfg::Mistake>(())
//! ```

extern crate alloc;

pub mod config;
pub mod disk;
mod keys;
mod mistake;
pub mod text;
pub mod vif;

pub use config::{Config, OnEvent, TscMode};
pub use disk::Disk;
pub use mistake::{Mistake, Reason};
pub use text::Place;
pub use vif::Vif;
