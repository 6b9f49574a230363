//! One suite's packages on the disk: got once, recorded, and checked each time.

use std::cell::OnceCell;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::{Apt, Offer};
use super::manifest::{self, Damage, Manifest};
use super::{PackagesError, Piece};
use crate::process;
use emulator::artifacts::XenVersion;

/// The folder of the package files, below a shelf's.
const DEBS: &str = "debs";

/// The packages of one suite, under `target/debian/SUITE`.
#[derive(Debug)]
pub(crate) struct Shelf {
    xen: XenVersion,
    folder: PathBuf,
    /// Set up when the first package has to be downloaded.
    apt: OnceCell<Apt>,
}

impl Shelf {
    /// The shelf of the suite with `xen`, below `debian`; nothing is fetched yet.
    pub(crate) fn new(debian: &Path, xen: XenVersion) -> Shelf {
        Shelf { xen, folder: debian.join(xen.suite()), apt: OnceCell::new() }
    }

    /// Xen as QEMU boots it.
    pub(crate) fn hypervisor(&self) -> Result<PathBuf, PackagesError> {
        self.piece(Piece::Hypervisor)?;
        Ok(self.folder.join("xen"))
    }

    /// The folder that `piece` is unpacked in: fetched if it is not there, checked if it is.
    pub(crate) fn piece(&self, piece: Piece) -> Result<PathBuf, PackagesError> {
        fs::create_dir_all(&self.folder).map_err(|source| self.file_error("", source))?;
        let _one_at_a_time = self.lock()?;
        let unpacked = self.folder.join(piece.folder());
        let mut packages = None;
        if let Some(manifest) = self.read_manifest(piece) {
            let (debs, products) = manifest.split(Path::new(DEBS));
            let Some(damage) = products.damage(&self.folder) else {
                return Ok(unpacked);
            };
            let (path, what) = match damage {
                Damage::Missing(path) => (path, "is missing"),
                Damage::Changed(path) => (path, "has changed"),
            };
            eprintln!("x: {} {what}: unpacking it again", self.folder.join(path).display());
            packages = debs.damage(&self.folder).is_none().then(|| debs.into_paths());
        }
        let packages = packages.map_or_else(|| self.download(piece), Ok)?;
        self.unpack(piece, &packages)?;
        Ok(unpacked)
    }

    /// Held while a piece is got, so that two commands at once do not unpack over each other.
    fn lock(&self) -> Result<File, PackagesError> {
        let lock = File::create(self.folder.join("lock")).and_then(|file| file.lock().map(|()| file));
        lock.map_err(|source| self.file_error("lock", source))
    }

    /// What was recorded of `piece`; none if it was never got whole.
    fn read_manifest(&self, piece: Piece) -> Option<Manifest> {
        Manifest::parse(&fs::read_to_string(self.manifest_path(piece)).ok()?).ok()
    }

    fn manifest_path(&self, piece: Piece) -> PathBuf {
        self.folder.join(format!("{}.sha256", piece.folder()))
    }

    /// Downloads the packages of `piece`; answers their paths below the shelf.
    fn download(&self, piece: Piece) -> Result<Vec<PathBuf>, PackagesError> {
        let debs = self.folder.join(DEBS);
        fs::create_dir_all(&debs).map_err(|source| self.file_error(DEBS, source))?;
        let apt = self.apt()?;
        let packages = piece.packages(self.xen, apt)?;
        let offers = apt.offers(&packages)?;
        let mut wanted = Vec::new();
        for (package, offer) in packages.iter().zip(&offers) {
            let path = debs.join(&offer.file);
            if manifest::digest_of(&path).is_ok_and(|found| found == offer.sha256) {
                continue;
            }
            // apt takes a file of the right name and size for the right file: a damaged one has to go first.
            fs::remove_file(&path).or_else(unless_missing).map_err(|source| self.file_error(DEBS, source))?;
            eprintln!("x: downloading {} (unpacked under target/, not installed)", offer.file);
            wanted.push(package);
        }
        // All at once: apt reads its lists each time that it is called.
        if !wanted.is_empty() {
            apt.download(&wanted, &debs)?;
        }
        let check = |Offer { file, sha256: asked }: Offer| {
            let found =
                manifest::digest_of(&debs.join(&file)).map_err(|source| self.file_error(&file, source))?;
            if found == asked {
                Ok(Path::new(DEBS).join(file))
            } else {
                Err(PackagesError::WrongDigest { file, asked, found })
            }
        };
        offers.into_iter().map(check).collect()
    }

    /// apt with the suite's lists, as they are on the mirror now.
    fn apt(&self) -> Result<&Apt, PackagesError> {
        if let Some(apt) = self.apt.get() {
            return Ok(apt);
        }
        let suite = self.xen.suite();
        eprintln!("x: asking this machine's Debian mirror for the lists of {suite}");
        let apt = Apt::update(&self.folder.join("apt"), suite)?;
        Ok(self.apt.get_or_init(|| apt))
    }

    /// Unpacks `packages` in place of what `piece` held. The record is written last: an interrupted run leaves none.
    fn unpack(&self, piece: Piece, packages: &[PathBuf]) -> Result<(), PackagesError> {
        let record = self.manifest_path(piece);
        let folder = self.folder.join(piece.folder());
        for result in [fs::remove_file(&record), fs::remove_dir_all(&folder)] {
            result.or_else(unless_missing).map_err(|source| self.file_error(piece.folder(), source))?;
        }
        let mut manifest = Manifest::default();
        let mut add = |path: &Path| {
            let done = manifest.record(&self.folder, path);
            done.map_err(|source| PackagesError::File { path: self.folder.join(path), source })
        };
        for package in packages {
            process::run(Command::new("dpkg-deb").arg("-x").arg(self.folder.join(package)).arg(&folder))
                .map_err(|source| PackagesError::Unpack { suite: self.xen.suite(), source })?;
            add(package)?;
        }
        add(Path::new(piece.folder()))?;
        if piece == Piece::Hypervisor {
            gunzip_hypervisor(&folder.join("boot"), &self.folder.join("xen"))?;
            add(Path::new("xen"))?;
        }
        fs::write(&record, manifest.to_text()).map_err(|source| PackagesError::File { path: record, source })
    }

    fn file_error(&self, name: &str, source: io::Error) -> PackagesError {
        PackagesError::File { path: self.folder.join(name), source }
    }
}

fn unless_missing(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Unpacks the one `xen-VERSION-amd64.gz` in `boot` to `target`.
fn gunzip_hypervisor(boot: &Path, target: &Path) -> Result<(), PackagesError> {
    let missing = || PackagesError::NoHypervisor { folder: boot.to_path_buf() };
    let packed = fs::read_dir(boot)
        .map_err(|_| missing())?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .find(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            // The package also holds the same hypervisor as an EFI program and a link or two.
            name.starts_with("xen-") && name.ends_with("-amd64.gz") && !path.is_symlink()
        })
        .ok_or_else(missing)?;
    let copy = || {
        let mut reader = flate2::read::GzDecoder::new(File::open(&packed)?);
        io::copy(&mut reader, &mut File::create(target)?)
    };
    copy().map(|_| ()).map_err(|source| PackagesError::File { path: packed.clone(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shelf that holds the hypervisor piece as if it had been downloaded: one hand-made package.
    fn stocked() -> (tempfile::TempDir, Shelf) {
        let base = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(base.path(), XenVersion::V4_17);
        let tree = base.path().join("tree");
        fs::create_dir_all(tree.join("boot")).unwrap();
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        fs::create_dir_all(shelf.folder.join("debs")).unwrap();
        let control =
            "Package: xen-hypervisor\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody\nDescription: x\n";
        fs::write(tree.join("DEBIAN/control"), control).unwrap();
        let packed = File::create(tree.join("boot/xen-4.17-amd64.gz")).unwrap();
        let mut gz = flate2::write::GzEncoder::new(packed, flate2::Compression::fast());
        io::Write::write_all(&mut gz, b"a hypervisor").unwrap();
        gz.finish().unwrap();
        let deb = PathBuf::from("debs/xen.deb");
        process::capture(Command::new("dpkg-deb").arg("--build").arg(&tree).arg(shelf.folder.join(&deb)))
            .unwrap();
        shelf.unpack(Piece::Hypervisor, &[deb]).unwrap();
        (base, shelf)
    }

    #[test]
    fn what_is_on_the_shelf_is_served_without_the_network() {
        let (_base, shelf) = stocked();
        let xen = shelf.hypervisor().unwrap();
        assert_eq!(fs::read(xen).unwrap(), b"a hypervisor");
    }

    #[test]
    fn a_damaged_product_is_made_again_from_the_intact_package() {
        let (_base, shelf) = stocked();
        fs::write(shelf.folder.join("xen"), "a hypervisoR").unwrap();
        fs::remove_file(shelf.folder.join("hypervisor/boot/xen-4.17-amd64.gz")).unwrap();
        let xen = shelf.hypervisor().unwrap();
        assert_eq!(fs::read(xen).unwrap(), b"a hypervisor");
    }

    #[test]
    fn a_damaged_package_does_not_matter_as_long_as_what_was_in_it_is_intact() {
        let (_base, shelf) = stocked();
        fs::write(shelf.folder.join("debs/xen.deb"), "!<arch>\n").unwrap();
        let xen = shelf.hypervisor().unwrap();
        assert_eq!(fs::read(xen).unwrap(), b"a hypervisor");
    }

    #[test]
    fn an_interrupted_run_leaves_no_record() {
        let (_base, shelf) = stocked();
        fs::write(shelf.folder.join("debs/broken.deb"), "!<arch>\n").unwrap();
        shelf.unpack(Piece::Hypervisor, &["debs/broken.deb".into()]).unwrap_err();
        assert_eq!(shelf.read_manifest(Piece::Hypervisor), None);
    }

    #[test]
    fn a_package_without_a_hypervisor_is_reported() {
        let base = tempfile::tempdir().unwrap();
        let error = gunzip_hypervisor(base.path(), &base.path().join("xen")).unwrap_err();
        assert!(matches!(error, PackagesError::NoHypervisor { .. }), "{error}");
    }
}
