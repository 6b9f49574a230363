//! Ramdisks: cpio archives with programs, libraries and drivers out of unpacked packages.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cpio::newc::{self, ModeFileType};
use lzma_rust2::{Read, XzReader};

use crate::packages::PackagesError;
use crate::process::ProcessError;
use crate::workspace::{WorkspaceError, entries};

/// Why there is no ramdisk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RamdiskError {
    /// Its packages cannot be had.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// A program of ours cannot be built for it.
    #[error(transparent)]
    Process(#[from] ProcessError),
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

/// A Linux, ready to be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LinuxFiles {
    /// The kernel, as Debian ships it.
    pub(crate) kernel: PathBuf,
    /// The initial ramdisk, not compressed.
    pub(crate) initrd: PathBuf,
}

impl LinuxFiles {
    /// Writes the kernel of the unpacked packages in `packages`, and `ramdisk`, to `folder`.
    pub(crate) fn write(folder: &Path, packages: &Path, ramdisk: &[u8]) -> Result<Self, RamdiskError> {
        fs::create_dir_all(folder).map_err(file_error(folder))?;
        let files = Self { kernel: folder.join("vmlinuz"), initrd: folder.join("initrd") };
        let image = find(&packages.join("boot"), &|name| name.starts_with("vmlinuz-"), "boot/vmlinuz-*")?;
        fs::copy(&image, &files.kernel).map_err(file_error(&files.kernel))?;
        fs::write(&files.initrd, ramdisk).map_err(file_error(&files.initrd))?;
        Ok(files)
    }
}

/// A driver, unpacked: busybox does not unpack.
fn read_module(path: &Path) -> Result<Vec<u8>, RamdiskError> {
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
            Err(reason) => return Err(RamdiskError::Module { path: path.into(), reason }),
        }
    }
}

/// The one file below `folder` whose name `is_wanted`.
pub(crate) fn find(
    folder: &Path,
    is_wanted: &dyn Fn(&str) -> bool,
    wanted: &str,
) -> Result<PathBuf, RamdiskError> {
    let found = search(folder, is_wanted)?;
    found.ok_or_else(|| RamdiskError::Missing { folder: folder.into(), wanted: wanted.to_owned() })
}

fn search(folder: &Path, is_wanted: &dyn Fn(&str) -> bool) -> Result<Option<PathBuf>, RamdiskError> {
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

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, RamdiskError> {
    fs::read(path).map_err(file_error(path))
}

pub(crate) fn file_error(path: &Path) -> impl Fn(io::Error) -> RamdiskError {
    move |source| RamdiskError::File { path: path.to_path_buf(), source }
}

/// A cpio archive in the form that kernels unpack, all of it root's and without times, so that the same files make the
/// same archive.
#[derive(Default)]
pub(crate) struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    /// An empty folder.
    pub(crate) fn folder(&mut self, name: &str) {
        self.add(name, ModeFileType::Directory, 0o755, &[]);
    }

    /// A file.
    pub(crate) fn file(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.add(name, ModeFileType::Regular, mode, content);
    }

    /// A link to `target`.
    pub(crate) fn link(&mut self, name: &str, target: &str) {
        self.add(name, ModeFileType::Symlink, 0o777, target.as_bytes());
    }

    /// The drivers `names` of the unpacked packages in `kernel`, and `modules/order`, a list of them in this order.
    pub(crate) fn modules(&mut self, kernel: &Path, names: &[&str]) -> Result<(), RamdiskError> {
        self.folder("modules");
        for name in names {
            let is_wanted = |file: &str| file == format!("{name}.ko") || file == format!("{name}.ko.xz");
            let path = find(kernel, &is_wanted, &format!("{name}.ko"))?;
            self.file(&format!("modules/{name}.ko"), 0o644, &read_module(&path)?);
        }
        let order: String = names.iter().map(|name| format!("{name}.ko\n")).collect();
        self.file("modules/order", 0o644, order.as_bytes());
        Ok(())
    }

    fn add(&mut self, name: &str, kind: ModeFileType, mode: u32, content: &[u8]) {
        self.entries += 1;
        let entry = newc::Builder::new(name).ino(self.entries).nlink(1).mode(mode).set_mode_file_type(kind);
        let mut writer = entry.write(&mut self.bytes, content.len() as u32);
        // Writing to memory does not fail.
        let _ = writer.write_all(content).and_then(|()| writer.finish().map(drop));
    }

    /// The archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        // As above.
        let _ = newc::trailer(&mut self.bytes);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("x.ko.xz");
        fs::write(&path, &packed).unwrap();
        assert_eq!(read_module(&path).unwrap(), b"driver");
        packed[30] ^= 1;
        fs::write(&path, &packed).unwrap();
        let error = read_module(&path).unwrap_err();
        assert!(error.to_string().contains("x.ko.xz"), "{error}");
    }
}
