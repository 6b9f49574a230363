//! Guests to test with: stock Debian kernels, each with an initial ramdisk that holds busybox, the drivers for Xen,
//! and the tools that read and write XenStore.

use std::path::{Path, PathBuf};

use emulator::artifacts::XenVersion;

use crate::cargo;
use crate::packages::{PackagesError, Piece, Shelf};
use crate::process;
use crate::ramdisk::{Archive, LinuxFiles, RamdiskError, find, read};
use crate::workspace::Workspace;

/// The ramdisk's first program, in the checkout.
const INIT: &str = "tests/guests/init";

/// Drivers, in the order in which they are loaded; those that are part of the kernel are not among them.
const MODULES: [&str; 7] =
    ["xen-privcmd", "xen-evtchn", "xen-gntdev", "xen-gntalloc", "xenfs", "xen-blkfront", "xen-netfront"];

/// The tools, all by names that the first one has, too.
const XENSTORE: [&str; 8] = [
    "xenstore-chmod",
    "xenstore-exists",
    "xenstore-list",
    "xenstore-ls",
    "xenstore-read",
    "xenstore-rm",
    "xenstore-watch",
    "xenstore-write",
];

/// What the tools load.
const LIBRARIES: [&str; 3] = ["libc.so.6", "libxenstore.so.4", "libxentoolcore.so.1"];
const LOADER: &str = "ld-linux-x86-64.so.2";

/// What a guest with disks has besides: programs that make and check a file system, whose driver is part of the kernel, and the
/// libraries that these load. Ours, which is last, is linked statically.
const DISK_PROGRAMS: [&str; 2] = ["mke2fs", "e2fsck"];
const DISK_LIBRARIES: [&str; 5] =
    ["libext2fs.so.2", "libcom_err.so.2", "libe2p.so.2", "libblkid.so.1", "libuuid.so.1"];
const DISK_IO: &str = "guest-io";

/// What a guest whose network is measured has besides: ours, linked in the same way.
const NETWORK: &str = "guest-net";

/// What a guest has that tries its network with Debian's own programs, with the libraries that these load.
const NETWORK_PROGRAMS: [(&str, &str); 3] =
    [("ab", "usr/bin/ab"), ("iperf3", "usr/bin/iperf3"), ("ping", "bin/ping")];
const NETWORK_LIBRARIES: [&str; 13] = [
    "libapr-1.so.0",
    "libaprutil-1.so.0",
    "libcap.so.2",
    "libcrypt.so.1",
    "libcrypto.so.3",
    "libexpat.so.1",
    "libidn2.so.0",
    "libiperf.so.0",
    "libsctp.so.1",
    "libssl.so.3",
    "libunistring.so.2",
    "libuuid.so.1",
    MATHEMATICS,
];
/// Of these, what the C library's package has.
const MATHEMATICS: &str = "libm.so.6";

/// Where Debian 12 and 13 have libraries.
pub(crate) const LIBRARY_FOLDERS: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];

/// Every stock kernel that guests are tested with: the release that it is from, and its packages.
const KERNELS: [(XenVersion, Piece); 3] = [
    (XenVersion::V4_17, Piece::Guest),
    (XenVersion::V4_17, Piece::StockKernel),
    (XenVersion::V4_20, Piece::Guest),
];

/// The folders with these kernels.
pub(crate) fn kernel_folders(workspace: &Workspace) -> Result<Vec<PathBuf>, PackagesError> {
    let folder = |(xen, piece)| Ok(Shelf::new(&workspace.debian(), xen).piece(piece)?.join("boot"));
    KERNELS.into_iter().map(folder).collect()
}

/// Makes a guest with each of these kernels, and those with what disks are tried with, and networks measured and tried, in
/// `target/guests/SUITE-disks`, `SUITE-net` and `SUITE-programs`.
pub(crate) fn build_all(workspace: &Workspace) -> Result<Vec<LinuxFiles>, RamdiskError> {
    let plain = KERNELS.into_iter().map(|(xen, piece)| build(workspace, xen, piece));
    let others =
        [build_for_disks(workspace), build_for_networks(workspace), build_with_network_programs(workspace)];
    plain.chain(others).collect()
}

/// Makes the guest with the kernel in `piece` of the release with `xen`, in `target/guests/SUITE-PIECE`.
pub(crate) fn build(
    workspace: &Workspace,
    xen: XenVersion,
    piece: Piece,
) -> Result<LinuxFiles, RamdiskError> {
    build_with(workspace, xen, piece, piece.folder(), Extras::default())
}

/// Makes the guest with what disks are tried with, in `target/guests/SUITE-disks`.
pub(crate) fn build_for_disks(workspace: &Workspace) -> Result<LinuxFiles, RamdiskError> {
    let xen = XenVersion::V4_17;
    let packages = Shelf::new(&workspace.debian(), xen).piece(Piece::FileSystems)?;
    let mut extras =
        Extras { programs: vec![(DISK_IO, our_program(workspace, DISK_IO)?)], libraries: vec![] };
    for name in DISK_PROGRAMS {
        extras.programs.push((name, find(&packages, &|file| file == name, name)?));
    }
    for name in DISK_LIBRARIES {
        extras.libraries.push((name, library(&packages, name)?));
    }
    build_with(workspace, xen, Piece::Guest, "disks", extras)
}

/// Makes the guest that tries its network with Debian's own programs, in `target/guests/SUITE-programs`.
fn build_with_network_programs(workspace: &Workspace) -> Result<LinuxFiles, RamdiskError> {
    let xen = XenVersion::V4_17;
    let shelf = Shelf::new(&workspace.debian(), xen);
    let (packages, tools) = (shelf.piece(Piece::NetworkPrograms)?, shelf.piece(Piece::GuestTools)?);
    let programs = NETWORK_PROGRAMS.map(|(name, path)| (name, packages.join(path)));
    let mut extras = Extras { programs: programs.into(), libraries: vec![] };
    for name in NETWORK_LIBRARIES {
        let base = if name == MATHEMATICS { &tools } else { &packages };
        extras.libraries.push((name, library(base, name)?));
    }
    build_with(workspace, xen, Piece::Guest, "programs", extras)
}

/// Makes the guest whose network is measured.
pub(crate) fn build_for_networks(workspace: &Workspace) -> Result<LinuxFiles, RamdiskError> {
    let extras = Extras { programs: vec![(NETWORK, our_program(workspace, NETWORK)?)], libraries: vec![] };
    build_with(workspace, XenVersion::V4_17, Piece::Guest, "net", extras)
}

/// Builds a program of ours for guests.
fn our_program(workspace: &Workspace, name: &str) -> Result<PathBuf, RamdiskError> {
    process::run(&mut cargo::guest_program(workspace, name))?;
    Ok(cargo::guest_program_output(workspace, name))
}

fn build_with(
    workspace: &Workspace,
    xen: XenVersion,
    piece: Piece,
    name: &str,
    extras: Extras,
) -> Result<LinuxFiles, RamdiskError> {
    let shelf = Shelf::new(&workspace.debian(), xen);
    let kernel = shelf.piece(piece)?;
    let parts = Parts {
        init: workspace.root().join(INIT),
        busybox: shelf.piece(Piece::Guest)?,
        tools: shelf.piece(Piece::GuestTools)?,
        kernel: kernel.clone(),
        extras,
    };
    let folder = workspace.guests().join(format!("{}-{name}", xen.suite()));
    LinuxFiles::write(&folder, &kernel, &parts.ramdisk()?)
}

/// What a ramdisk is made of: its first program, and folders with unpacked packages.
struct Parts {
    init: PathBuf,
    busybox: PathBuf,
    tools: PathBuf,
    kernel: PathBuf,
    extras: Extras,
}

/// What some guests have besides: files, with their names there.
#[derive(Default)]
struct Extras {
    programs: Vec<(&'static str, PathBuf)>,
    libraries: Vec<(&'static str, PathBuf)>,
}

impl Parts {
    /// The ramdisk: a cpio archive.
    fn ramdisk(&self) -> Result<Vec<u8>, RamdiskError> {
        let mut archive = Archive::default();
        for folder in ["bin", "sbin", "lib", "lib64", "dev", "proc", "sys", "run", "tmp"] {
            archive.folder(folder);
        }
        archive.file("init", 0o755, &read(&self.init)?);
        let busybox = find(&self.busybox, &|name| name == "busybox", "busybox")?;
        archive.file("bin/busybox", 0o755, &read(&busybox)?);
        for name in XENSTORE {
            archive.file(&format!("bin/{name}"), 0o755, &read(&self.tools.join("usr/bin").join(name))?);
        }
        for name in LIBRARIES.into_iter().chain([LOADER]) {
            // Every program names its loader by this path, and the loader looks into the other folder by itself.
            let folder = if name == LOADER { "lib64" } else { "lib" };
            archive.file(&format!("{folder}/{name}"), 0o755, &read(&library(&self.tools, name)?)?);
        }
        let Extras { programs, libraries } = &self.extras;
        for (folder, files) in [("sbin", programs), ("lib", libraries)] {
            for (name, path) in files {
                archive.file(&format!("{folder}/{name}"), 0o755, &read(path)?);
            }
        }
        archive.modules(&self.kernel, &MODULES)?;
        Ok(archive.finish())
    }
}

/// A library in the unpacked packages in `base`.
fn library(base: &Path, name: &str) -> Result<PathBuf, RamdiskError> {
    let mut places = LIBRARY_FOLDERS.iter().map(|folder| base.join(folder).join(name));
    // They are links to files whose names have more numbers.
    let found = places.find(|path| path.is_file());
    found.ok_or_else(|| RamdiskError::Missing { folder: base.to_path_buf(), wanted: name.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpio::newc;
    use std::{fs, io};

    /// Files below a folder, each with its own path as content.
    fn tree(files: &[&str]) -> tempfile::TempDir {
        let base = tempfile::tempdir().unwrap();
        for file in files {
            let path = base.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        base
    }

    /// Names and contents.
    fn unpack(mut archive: &[u8]) -> Vec<(String, u32, String)> {
        let mut found = Vec::new();
        loop {
            let mut reader = newc::Reader::new(archive).unwrap();
            if reader.entry().is_trailer() {
                return found;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut content = String::new();
            io::Read::read_to_string(&mut reader, &mut content).unwrap();
            found.push((name, mode, content));
            archive = reader.finish().unwrap();
        }
    }

    fn userland() -> Vec<String> {
        let tools = XENSTORE.iter().map(|name| format!("usr/bin/{name}"));
        let libraries = LIBRARIES.iter().map(|name| format!("usr/lib/x86_64-linux-gnu/{name}"));
        let others = ["init", "bin/busybox", "lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"].map(str::to_owned);
        tools.chain(libraries).chain(others).collect()
    }

    fn modules() -> Vec<String> {
        MODULES.iter().map(|name| format!("lib/modules/1/kernel/drivers/{name}.ko")).collect()
    }

    fn made_of(files: &[String]) -> Result<Vec<u8>, RamdiskError> {
        let base = tree(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let folder = || base.path().to_path_buf();
        let (init, extras) = (folder().join("init"), Extras::default());
        Parts { init, busybox: folder(), tools: folder(), kernel: folder(), extras }.ramdisk()
    }

    #[test]
    fn a_ramdisk_holds_what_a_guest_starts_with() {
        let archive = made_of(&[userland(), modules()].concat()).unwrap();
        assert_eq!(archive.len() % 4, 0);
        let found = unpack(&archive);
        let entry = |name: &str| found.iter().find(|(other, ..)| other == name).unwrap();
        assert_eq!(*entry("init"), ("init".into(), 0o100_755, "init".into()));
        assert_eq!(entry("dev").1, 0o40_755);
        assert_eq!(entry("lib/libc.so.6").2, "usr/lib/x86_64-linux-gnu/libc.so.6");
        assert_eq!(entry("bin/xenstore-watch").2, "usr/bin/xenstore-watch");
        assert_eq!(entry("modules/xenfs.ko").2, "lib/modules/1/kernel/drivers/xenfs.ko");
        assert_eq!(entry("modules/order").2.lines().count(), MODULES.len());
        assert_eq!(made_of(&[userland(), modules()].concat()).unwrap(), archive, "it is the same each time");
    }

    #[test]
    fn what_is_missing_is_named() {
        for missing in ["xen-netfront.ko", "libc.so.6", "busybox", "xenstore-read"] {
            let files: Vec<_> = [userland(), modules()]
                .concat()
                .into_iter()
                .filter(|file| !file.ends_with(missing))
                .collect();
            let text = made_of(&files).unwrap_err().to_string();
            assert!(text.contains(missing), "{text}");
        }
    }
}
