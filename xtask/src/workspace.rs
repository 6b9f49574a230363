//! Where things are: the checkout, what is built from it, and the crates in it.

use std::fs;
use std::path::{Path, PathBuf};

/// The checkout that this program was built from.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
}

/// A folder or manifest of the workspace that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkspaceError {
    /// A folder could not be listed, or a file not read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// Which one.
        path: PathBuf,
        /// What the system answered.
        source: std::io::Error,
    },
    /// A Cargo.toml is not valid TOML.
    #[error("{}: {source}", .path.display())]
    Manifest {
        /// Which one.
        path: PathBuf,
        /// Line and column, and what was expected there.
        source: Box<toml::de::Error>,
    },
    /// A Cargo.toml has no package name.
    #[error("{}: no package.name", .path.display())]
    Nameless {
        /// Which one.
        path: PathBuf,
    },
}

/// One crate of the workspace.
#[derive(Clone, Debug)]
pub(crate) struct Crate {
    /// The package's name.
    pub(crate) name: String,
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Its Cargo.toml.
    pub(crate) manifest: toml::Table,
}

/// The folders whose crates run on a plain Linux machine, so that `cargo test` can run their tests.
pub(crate) const HOST_FOLDERS: [&str; 4] = ["lib", "host", "sys/linux", "xtask"];
/// The folders whose crates run on Xen only.
pub(crate) const UK_FOLDERS: [&str; 4] = ["sys/kernel", "sys/libos", "sys/pv", "uk"];
/// The crates that need whole systems or other daemons: built like the host's, run by `test`, `demo` and `bench`.
pub(crate) const SYSTEM_FOLDERS: [&str; 3] = ["tests", "tests/xenstore", "bench"];

impl Workspace {
    /// The checkout that holds this crate.
    pub(crate) fn here() -> Workspace {
        let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
        Workspace { root: xtask.parent().unwrap_or(xtask).to_path_buf() }
    }

    /// The top of the checkout.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The programs that a fuzzer drives: a workspace of their own.
    pub(crate) fn fuzz(&self) -> PathBuf {
        self.root.join("fuzz")
    }

    /// Everything that is built or downloaded; `clean` removes it.
    pub(crate) fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    /// Debian's packages, one folder a suite.
    pub(crate) fn debian(&self) -> PathBuf {
        self.target().join("debian")
    }

    /// What QEMU boots: root's kernel and the boot archive.
    pub(crate) fn image(&self) -> PathBuf {
        self.target().join("image")
    }

    /// Guests: a folder each with a kernel and a ramdisk.
    pub(crate) fn guests(&self) -> PathBuf {
        self.target().join("guests")
    }

    /// Cargo's output for unikernels, apart from the host's because their flags differ.
    pub(crate) fn uk_target(&self) -> PathBuf {
        self.target().join("uk")
    }

    /// The crates under `folder`, by name; `folder` may be a crate itself. A missing folder has none.
    pub(crate) fn crates(&self, folder: &str) -> Result<Vec<Crate>, WorkspaceError> {
        let top = self.root.join(folder);
        if top.join("Cargo.toml").is_file() {
            return Ok(vec![read_crate(&top)?]);
        }
        if !top.is_dir() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for entry in entries(&top)? {
            if entry.join("Cargo.toml").is_file() {
                found.push(read_crate(&entry)?);
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The crates under several folders.
    pub(crate) fn crates_in(&self, folders: &[&str]) -> Result<Vec<Crate>, WorkspaceError> {
        let lists = folders.iter().map(|folder| self.crates(folder)).collect::<Result<Vec<_>, _>>()?;
        Ok(lists.concat())
    }

    /// `path` as a reader of the checkout would name it.
    pub(crate) fn relative<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap_or(path)
    }
}

/// What a folder holds, sorted.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, WorkspaceError> {
    let fail = |source| WorkspaceError::Read { path: folder.to_path_buf(), source };
    let mut found = fs::read_dir(folder)
        .map_err(fail)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(fail)?;
    found.sort();
    Ok(found)
}

fn read_crate(folder: &Path) -> Result<Crate, WorkspaceError> {
    let path = folder.join("Cargo.toml");
    let text =
        fs::read_to_string(&path).map_err(|source| WorkspaceError::Read { path: path.clone(), source })?;
    let manifest: toml::Table = text
        .parse()
        .map_err(|source| WorkspaceError::Manifest { path: path.clone(), source: Box::new(source) })?;
    let name = manifest
        .get("package")
        .and_then(|package| package.get("name"))
        .and_then(toml::Value::as_str)
        .ok_or(WorkspaceError::Nameless { path })?
        .to_owned();
    Ok(Crate { name, folder: folder.to_path_buf(), manifest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_this_crate_as_a_folder_of_its_own() {
        let found = Workspace::here().crates("xtask").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "xtask");
    }

    #[test]
    fn a_folder_holds_crates_by_name() {
        let temporary = tempfile::tempdir().unwrap();
        let workspace = Workspace { root: temporary.path().to_path_buf() };
        for (folder, name) in [("uk/b", "beta"), ("uk/a", "zeta"), ("uk/c", "alpha")] {
            let folder = temporary.path().join(folder);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("Cargo.toml"), format!("[package]\nname = \"{name}\"\n")).unwrap();
        }
        fs::create_dir_all(temporary.path().join("uk/notes")).unwrap();
        let names: Vec<_> = workspace.crates("uk").unwrap().into_iter().map(|c| c.name).collect();
        assert_eq!(names, ["alpha", "beta", "zeta"]);
        assert!(workspace.crates("nowhere").unwrap().is_empty());
    }

    #[test]
    fn a_manifest_without_a_name_is_reported_with_its_path() {
        let temporary = tempfile::tempdir().unwrap();
        let workspace = Workspace { root: temporary.path().to_path_buf() };
        fs::create_dir_all(temporary.path().join("lib/x")).unwrap();
        fs::write(temporary.path().join("lib/x/Cargo.toml"), "[package]\n").unwrap();
        let error = workspace.crates("lib").unwrap_err();
        assert!(error.to_string().contains("lib/x/Cargo.toml"), "{error}");
    }
}
