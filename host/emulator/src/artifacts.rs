//! Where `./x build` puts what a host boots.

use std::path::{Path, PathBuf};

use strum::{Display, EnumString, VariantArray};

use crate::machine::BootFiles;

/// The versions of Xen that R-VMM runs on, each from a release of Debian.
#[derive(Clone, Copy, Debug, Display, EnumString, Eq, Hash, PartialEq, VariantArray)]
pub enum XenVersion {
    /// Xen 4.17, from Debian 12.
    #[strum(serialize = "4.17")]
    V4_17,
    /// Xen 4.20, from Debian 13.
    #[strum(serialize = "4.20")]
    V4_20,
}

impl XenVersion {
    /// The release of Debian that it comes from, by the name that Debian's archive knows it by.
    pub fn suite(self) -> &'static str {
        match self {
            XenVersion::V4_17 => "bookworm",
            XenVersion::V4_20 => "trixie",
        }
    }
}

/// A target directory and what is built in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Artifacts {
    target: PathBuf,
}

impl Artifacts {
    /// What is built under `target`.
    pub fn in_target(target: impl Into<PathBuf>) -> Self {
        Artifacts { target: target.into() }
    }

    /// What is built under the directory that the environment names in `RVMM_TARGET`, or else under `target` in `workspace`.
    pub fn of_workspace(workspace: &Path) -> Self {
        Artifacts::in_target(
            std::env::var_os("RVMM_TARGET").map_or_else(|| workspace.join("target"), PathBuf::from),
        )
    }

    /// The target directory.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// What a host with this Xen boots.
    pub fn boot_files(&self, xen: XenVersion) -> BootFiles {
        BootFiles {
            xen: self.target.join("debian").join(xen.suite()).join("xen"),
            root: self.image("root"),
            archive: self.image("rvmm.archive"),
        }
    }

    /// What the host boots that ours is held against: Xen with a Linux dom0, as `./x vanilla` makes it.
    pub fn vanilla_files(&self) -> BootFiles {
        let folder = self.target.join("vanilla");
        BootFiles {
            root: folder.join("vmlinuz"),
            archive: folder.join("initrd"),
            ..self.boot_files(XenVersion::V4_17)
        }
    }

    /// The ELF image of a program.
    pub fn image(&self, program: &str) -> PathBuf {
        self.target.join("image").join(program)
    }

    /// The symbol table of a program.
    pub fn symbols(&self, program: &str) -> PathBuf {
        self.image(&format!("{program}.symbols"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_has_its_own_xen_and_the_same_root() {
        let artifacts = Artifacts::in_target("/t");
        let (old, new) = (artifacts.boot_files(XenVersion::V4_17), artifacts.boot_files(XenVersion::V4_20));
        assert_eq!(old.xen, Path::new("/t/debian/bookworm/xen"));
        assert_eq!(new.xen, Path::new("/t/debian/trixie/xen"));
        assert_eq!(old.root, new.root);
        assert_eq!("4.20".parse(), Ok(XenVersion::V4_20));
    }
}
