//! The host that ours is held against: Xen with a Linux dom0 and Xen's own toolstack, all from Debian, in one ramdisk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use emulator::artifacts::XenVersion;

use crate::guests;
use crate::packages::{Piece, Shelf};
use crate::ramdisk::{Archive, LinuxFiles, RamdiskError, file_error, read};
use crate::workspace::{Workspace, entries};

/// dom0's first program, in the checkout.
const INIT: &str = "bench/vanilla/init";

/// Drivers, in the order in which they are loaded: what the toolstack talks to, the backends of disks and networks, and the disk
/// and the network card.
const MODULES: [&str; 20] = [
    "xen-privcmd",
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xenfs",
    "llc",
    "stp",
    "bridge",
    "xen-netback",
    "xen-blkback",
    "loop",
    "virtio_ring",
    "virtio",
    "virtio_pci_modern_dev",
    "virtio_pci_legacy_dev",
    "virtio_pci",
    "virtio_blk",
    "failover",
    "net_failover",
    "virtio_net",
];

/// What no program needs to run.
const LEFT_OUT: [&str; 4] = ["usr/share", "usr/include", "var", "usr/lib/debug"];

/// Makes the dom0 in `target/vanilla`, with a guest in its folder `guest`: a kernel, the ramdisk of guests as they are tested with, and
/// those of guests whose network or disk is measured.
pub(crate) fn build(workspace: &Workspace) -> Result<LinuxFiles, RamdiskError> {
    let shelf = Shelf::new(&workspace.debian(), XenVersion::V4_17);
    let kernel = shelf.piece(Piece::StockKernel)?;
    let mut archive = Archive::default();
    add_tree(&mut archive, &shelf.piece(Piece::Dom0)?, Path::new(""))?;
    for folder in ["dev", "proc", "sys", "run", "tmp", "root", "var", "var/lib", "var/log", "guest"] {
        archive.folder(folder);
    }
    archive.link("var/run", "/run");
    archive.link("var/lock", "/run/lock");
    archive.modules(&kernel, &MODULES)?;
    archive.file("init", 0o755, &read(&workspace.root().join(INIT))?);
    let guest = guests::build(workspace, XenVersion::V4_17, Piece::Guest)?;
    archive.file("guest/vmlinuz", 0o644, &read(&guest.kernel)?);
    archive.file("guest/initrd", 0o644, &read(&guest.initrd)?);
    archive.file("guest/initrd-net", 0o644, &read(&guests::build_for_networks(workspace)?.initrd)?);
    archive.file("guest/initrd-disks", 0o644, &read(&guests::build_for_disks(workspace)?.initrd)?);
    LinuxFiles::write(&workspace.target().join("vanilla"), &kernel, &archive.finish())
}

/// Adds what is in `folder` of the unpacked packages in `packages`.
fn add_tree(archive: &mut Archive, packages: &Path, folder: &Path) -> Result<(), RamdiskError> {
    for path in entries(&packages.join(folder))? {
        let name = folder.join(path.file_name().unwrap_or_default());
        let text = name.to_string_lossy();
        if LEFT_OUT.contains(&&*text) {
            continue;
        }
        if path.is_symlink() {
            let target = fs::read_link(&path).map_err(file_error(&path))?;
            archive.link(&text, &target.to_string_lossy());
        } else if path.is_dir() {
            archive.folder(&text);
            add_tree(archive, packages, &name)?;
        } else {
            let mode = fs::metadata(&path).map_err(file_error(&path))?.permissions().mode() & 0o777;
            archive.file(&text, mode, &read(&path)?);
        }
    }
    Ok(())
}
