//! Debian's packages: downloaded, checked and unpacked under `target/debian/SUITE`, never installed on this machine.
//!
//! A hypervisor package would rewrite the boot menu, and a kernel package the boot folder; R-VMM needs only the files in
//! them. Each piece is fetched when it is first asked for. What was fetched is recorded with its SHA-256 and checked each
//! time; as long as it is intact, nothing here touches the network.

mod apt;
mod error;
mod manifest;
mod mirror;
mod qemu;
mod shelf;

use emulator::artifacts::XenVersion;

use apt::Apt;

pub(crate) use error::PackagesError;
pub(crate) use qemu::{QemuError, ensure_qemu};
pub(crate) use shelf::Shelf;

/// Packages that are needed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Xen itself; its image is gunzipped to the file `xen`, as QEMU wants it.
    Hypervisor,
    /// Xen's public headers, which `xen-abi` is checked against.
    Headers,
    /// A stock Linux kernel with its modules, and busybox: what a guest is made of.
    Guest,
}

impl Piece {
    /// Every piece.
    pub(crate) const ALL: [Piece; 3] = [Piece::Hypervisor, Piece::Headers, Piece::Guest];

    /// The folder that it is unpacked to, below its suite's.
    fn folder(self) -> &'static str {
        match self {
            Piece::Hypervisor => "hypervisor",
            Piece::Headers => "headers",
            Piece::Guest => "guest",
        }
    }

    /// The packages that it is made of.
    fn packages(self, xen: XenVersion, apt: &Apt) -> Result<Vec<String>, PackagesError> {
        Ok(match self {
            Piece::Hypervisor => vec![format!("xen-hypervisor-{xen}-amd64")],
            Piece::Headers => vec!["libxen-dev".to_owned()],
            Piece::Guest => {
                // The cloud kernel has Xen's frontends and none of the hardware drivers, so it is the smallest.
                let kernel = apt.dependency("linux-image-cloud-amd64", "linux-image-")?;
                vec![kernel, "busybox-static".to_owned()]
            }
        })
    }
}
