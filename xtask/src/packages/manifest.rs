//! The record of what was downloaded and unpacked: one SHA-256 a file, in the format of `sha256sum`, so that
//! `sha256sum -c` can check it by hand.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Paths below one folder, with the digest that each file had when it was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Manifest {
    files: BTreeMap<PathBuf, String>,
}

/// A line that is not `DIGEST  PATH`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "line {line} of a checksum file reads `{found}`; asked for 64 hexadecimal digits, two spaces, a relative path"
)]
pub(crate) struct BadLine {
    /// Counted from 1.
    pub(crate) line: usize,
    /// What stands there.
    pub(crate) found: String,
}

/// What became of a recorded file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// It is not there any more, or cannot be read.
    Missing(PathBuf),
    /// It holds other bytes than were recorded.
    Changed(PathBuf),
}

impl Manifest {
    /// Reads the text that [`Manifest::to_text`] wrote.
    pub(crate) fn parse(text: &str) -> Result<Manifest, BadLine> {
        let mut files = BTreeMap::new();
        for (index, line) in text.lines().enumerate() {
            let bad = || BadLine { line: index + 1, found: line.to_owned() };
            let (digest, path) = line.split_once("  ").ok_or_else(bad)?;
            let is_digest = digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
            let path = Path::new(path);
            let stays_below = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
            if !is_digest || !stays_below || path.as_os_str().is_empty() {
                return Err(bad());
            }
            files.insert(path.to_path_buf(), digest.to_ascii_lowercase());
        }
        Ok(Manifest { files })
    }

    /// One line a file.
    pub(crate) fn to_text(&self) -> String {
        self.files.iter().map(|(path, digest)| format!("{digest}  {}\n", path.display())).collect()
    }

    /// Records the file `path`, or every file below the folder `path`; relative to `base`. Symbolic links are left out:
    /// what they lead to is recorded under its own name.
    pub(crate) fn record(&mut self, base: &Path, path: &Path) -> io::Result<()> {
        let full = base.join(path);
        let kind = fs::symlink_metadata(&full)?.file_type();
        if kind.is_dir() {
            for entry in fs::read_dir(&full)? {
                self.record(base, &path.join(entry?.file_name()))?;
            }
        } else if kind.is_file() {
            self.files.insert(path.to_path_buf(), digest_of(&full)?);
        }
        Ok(())
    }

    /// Splits off the files below `part`.
    pub(crate) fn split(self, part: &Path) -> (Manifest, Manifest) {
        let (below, rest) = self.files.into_iter().partition(|(path, _)| path.starts_with(part));
        (Manifest { files: below }, Manifest { files: rest })
    }

    /// The first file that is not as recorded, if there is one.
    pub(crate) fn damage(&self, base: &Path) -> Option<Damage> {
        self.files.iter().find_map(|(path, recorded)| match digest_of(&base.join(path)) {
            Ok(found) if found == *recorded => None,
            Ok(_) => Some(Damage::Changed(path.clone())),
            Err(_) => Some(Damage::Missing(path.clone())),
        })
    }

    /// The recorded files.
    pub(crate) fn into_paths(self) -> Vec<PathBuf> {
        self.files.into_keys().collect()
    }
}

/// The SHA-256 of a file, in lower-case hexadecimal.
pub(crate) fn digest_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            n => hasher.update(&buffer[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The digest of no bytes at all, from FIPS 180-4's examples.
    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn recorded() -> (tempfile::TempDir, Manifest) {
        let base = tempfile::tempdir().unwrap();
        fs::create_dir_all(base.path().join("tree/deep")).unwrap();
        fs::write(base.path().join("tree/empty"), "").unwrap();
        fs::write(base.path().join("tree/deep/a b"), "text").unwrap();
        std::os::unix::fs::symlink("/nowhere", base.path().join("tree/link")).unwrap();
        let mut manifest = Manifest::default();
        manifest.record(base.path(), Path::new("tree")).unwrap();
        (base, manifest)
    }

    #[test]
    fn text_round_trips_and_digests_are_sha256() {
        let (_base, manifest) = recorded();
        let text = manifest.to_text();
        assert!(text.contains(&format!("{EMPTY}  tree/empty\n")), "{text}");
        assert_eq!(Manifest::parse(&text), Ok(manifest));
    }

    #[test]
    fn an_intact_tree_has_no_damage_and_a_changed_one_names_the_file() {
        let (base, manifest) = recorded();
        assert_eq!(manifest.damage(base.path()), None);
        fs::write(base.path().join("tree/deep/a b"), "texT").unwrap();
        assert_eq!(manifest.damage(base.path()), Some(Damage::Changed("tree/deep/a b".into())));
        fs::remove_file(base.path().join("tree/deep/a b")).unwrap();
        assert_eq!(manifest.damage(base.path()), Some(Damage::Missing("tree/deep/a b".into())));
    }

    #[test]
    fn a_part_is_split_off_by_its_folder() {
        let (_base, manifest) = recorded();
        let (deep, rest) = manifest.split(Path::new("tree/deep"));
        assert_eq!(deep.into_paths(), [Path::new("tree/deep/a b")]);
        assert_eq!(rest.into_paths(), [Path::new("tree/empty")]);
    }

    #[test]
    fn lines_that_are_no_record_are_refused() {
        for found in [
            "",
            "abc  file",
            &format!("{EMPTY} file"),
            &format!("{EMPTY}  ../file"),
            &format!("{EMPTY}  /etc"),
        ] {
            let text = format!("{EMPTY}  fine\n{found}\n");
            assert_eq!(Manifest::parse(&text), Err(BadLine { line: 2, found: found.to_owned() }));
        }
    }
}
