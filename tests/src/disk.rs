//! Hosts whose guests have disks.

use std::fmt::Display;

use crate::guest::Guest;
use crate::system::{DISK, System};

/// The domains of the guests, behind those of the components.
pub const GUESTS: [u16; 2] = [6, 7];

/// A guest with what disks are tried with, and with these, each as `xl.cfg` says it.
pub fn guest_with(name: &'static str, disks: &[&str]) -> Guest {
    Guest::new(name).of("bookworm-disks").with(format_args!("disk = {disks:?}"))
}

/// The system with one guest that does what these words say with all of the disk.
pub fn guest_that(does: impl Display) -> System {
    DISK.starting(&[guest_with("guest", &["disk0,,xvda,rw"]).does(format_args!("quiet {does}"))])
}
