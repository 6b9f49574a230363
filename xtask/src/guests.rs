//! Guests to test with: stock Debian kernels, each with an initial ramdisk that holds busybox, the drivers for Xen,
//! and the tools that read and write XenStore.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cpio::newc::{self, ModeFileType};
use emulator::artifacts::XenVersion;
use lzma_rust2::{Read, XzReader};

use crate::packages::{PackagesError, Piece, Shelf};
use crate::workspace::{Workspace, WorkspaceError, entries};

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

/// Where Debian 12 and 13 have libraries.
const LIBRARY_FOLDERS: [&str; 2] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"];

/// Why there is no guest.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GuestError {
    /// Its packages cannot be had.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// A folder cannot be listed.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// A package has not what it should have.
    #[error("{}: there is no {wanted} in it", .folder.display())]
    Missing {
        /// The unpacked packages.
        folder: PathBuf,
        /// What is not there.
        wanted: String,
    },
    /// A driver does not unpack.
    #[error("{}: it does not unpack: {reason:?}", .path.display())]
    Module {
        /// The file.
        path: PathBuf,
        /// What the decompressor said.
        reason: lzma_rust2::Error,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
}

/// A guest, ready to be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GuestFiles {
    /// The kernel, as Debian ships it.
    pub(crate) kernel: PathBuf,
    /// The initial ramdisk, not compressed.
    pub(crate) initrd: PathBuf,
}

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

/// Makes a guest with each of these kernels.
pub(crate) fn build_all(workspace: &Workspace) -> Result<Vec<GuestFiles>, GuestError> {
    KERNELS.into_iter().map(|(xen, piece)| build(workspace, xen, piece)).collect()
}

/// Makes the guest with the kernel in `piece` of the release with `xen`, in `target/guests/SUITE-PIECE`.
fn build(workspace: &Workspace, xen: XenVersion, piece: Piece) -> Result<GuestFiles, GuestError> {
    let shelf = Shelf::new(&workspace.debian(), xen);
    let kernel = shelf.piece(piece)?;
    let parts = Parts {
        init: workspace.root().join(INIT),
        busybox: shelf.piece(Piece::Guest)?,
        tools: shelf.piece(Piece::GuestTools)?,
        kernel: kernel.clone(),
    };
    let folder = workspace.target().join("guests").join(format!("{}-{}", xen.suite(), piece.folder()));
    fs::create_dir_all(&folder).map_err(file_error(&folder))?;
    let files = GuestFiles { kernel: folder.join("vmlinuz"), initrd: folder.join("initrd") };
    let image = find(&kernel.join("boot"), &|name| name.starts_with("vmlinuz-"), "boot/vmlinuz-*")?;
    fs::copy(&image, &files.kernel).map_err(file_error(&files.kernel))?;
    fs::write(&files.initrd, parts.ramdisk()?).map_err(file_error(&files.initrd))?;
    Ok(files)
}

/// What a ramdisk is made of: its first program, and folders with unpacked packages.
struct Parts {
    init: PathBuf,
    busybox: PathBuf,
    tools: PathBuf,
    kernel: PathBuf,
}

impl Parts {
    /// The ramdisk: a cpio archive.
    fn ramdisk(&self) -> Result<Vec<u8>, GuestError> {
        let mut archive = Archive::default();
        for folder in ["bin", "sbin", "lib", "lib64", "modules", "dev", "proc", "sys", "run", "tmp"] {
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
            archive.file(&format!("{folder}/{name}"), 0o755, &read(&self.library(name)?)?);
        }
        for name in MODULES {
            let is_wanted = |file: &str| file == format!("{name}.ko") || file == format!("{name}.ko.xz");
            let path = find(&self.kernel, &is_wanted, &format!("{name}.ko"))?;
            archive.file(&format!("modules/{name}.ko"), 0o644, &read_module(&path)?);
        }
        let order: String = MODULES.iter().map(|name| format!("{name}.ko\n")).collect();
        archive.file("modules/order", 0o644, order.as_bytes());
        Ok(archive.finish())
    }

    fn library(&self, name: &str) -> Result<PathBuf, GuestError> {
        let mut places = LIBRARY_FOLDERS.iter().map(|folder| self.tools.join(folder).join(name));
        // They are links to files whose names have more numbers.
        let found = places.find(|path| path.is_file());
        found.ok_or_else(|| GuestError::Missing { folder: self.tools.clone(), wanted: name.to_owned() })
    }
}

/// A driver, unpacked: busybox does not unpack.
fn read_module(path: &Path) -> Result<Vec<u8>, GuestError> {
    let file = read(path)?;
    if path.extension().is_none_or(|extension| extension != "xz") {
        return Ok(file);
    }
    let mut reader = XzReader::new(&file[..], false);
    let mut module = Vec::new();
    let mut buffer = [0; 1 << 16];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(module),
            Ok(count) => module.extend(&buffer[..count]),
            Err(reason) => return Err(GuestError::Module { path: path.into(), reason }),
        }
    }
}

/// The one file below `folder` whose name `is_wanted`.
fn find(folder: &Path, is_wanted: &dyn Fn(&str) -> bool, wanted: &str) -> Result<PathBuf, GuestError> {
    let found = search(folder, is_wanted)?;
    found.ok_or_else(|| GuestError::Missing { folder: folder.into(), wanted: wanted.to_owned() })
}

fn search(folder: &Path, is_wanted: &dyn Fn(&str) -> bool) -> Result<Option<PathBuf>, GuestError> {
    for path in entries(folder)? {
        let is_link = path.is_symlink();
        if path.is_dir() && !is_link {
            if let Some(found) = search(&path, is_wanted)? {
                return Ok(Some(found));
            }
        } else if !is_link && path.file_name().and_then(|name| name.to_str()).is_some_and(is_wanted) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn read(path: &Path) -> Result<Vec<u8>, GuestError> {
    fs::read(path).map_err(file_error(path))
}

fn file_error(path: &Path) -> impl Fn(io::Error) -> GuestError {
    move |source| GuestError::File { path: path.to_path_buf(), source }
}

/// A cpio archive in the form that kernels unpack, all of it root's and without times, so that the same files make the
/// same archive.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn folder(&mut self, name: &str) {
        self.add(name, ModeFileType::Directory, 0o755, &[]);
    }

    fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.add(name, ModeFileType::Regular, mode, content);
    }

    fn add(&mut self, name: &str, kind: ModeFileType, mode: u32, content: &[u8]) {
        self.entries += 1;
        let entry = newc::Builder::new(name).ino(self.entries).nlink(1).mode(mode).set_mode_file_type(kind);
        let mut writer = entry.write(&mut self.bytes, content.len() as u32);
        // Writing to memory does not fail.
        let _ = writer.write_all(content).and_then(|()| writer.finish().map(drop));
    }

    fn finish(mut self) -> Vec<u8> {
        // As above.
        let _ = newc::trailer(&mut self.bytes);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn made_of(files: &[String]) -> Result<Vec<u8>, GuestError> {
        let base = tree(&files.iter().map(String::as_str).collect::<Vec<_>>());
        let folder = || base.path().to_path_buf();
        Parts { init: folder().join("init"), busybox: folder(), tools: folder(), kernel: folder() }.ramdisk()
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

    #[test]
    fn a_packed_driver_is_unpacked() {
        // What `printf driver | xz` writes.
        let packed = concat!(
            "fd377a585a000004e6d6b446020021011600000074",
            "2fe5a30100056472697665720000005feb7a1fec88",
            "3f7000011e06c12fa41d1fb6f37d01000000000459",
            "5a",
        );
        let digits = |at: usize| u8::from_str_radix(&packed[at..at + 2], 16).unwrap();
        let mut packed: Vec<_> = (0..packed.len()).step_by(2).map(digits).collect();
        let base = tree(&[]);
        let path = base.path().join("x.ko.xz");
        fs::write(&path, &packed).unwrap();
        assert_eq!(read_module(&path).unwrap(), b"driver");
        packed[30] ^= 1;
        fs::write(&path, &packed).unwrap();
        let error = read_module(&path).unwrap_err();
        assert!(error.to_string().contains("x.ko.xz"), "{error}");
    }
}
