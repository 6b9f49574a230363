//! The files of the guests that start with a host, on their way into the boot archive.
//!
//! A guest's kernel goes there unpacked, because nobody on the host unpacks one; its ramdisk and its configuration as they
//! are. Which files those are, the guest's table in the system description says, or the configuration that it names.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use description::{ArchiveWriter, Description, Guest, Source};
use kernel_image::KernelImageError;
use xlcfg::{Config, Mistake};

/// The most bytes that a kernel unpacks to.
const MOST_KERNEL: usize = 128 << 20;

/// Why a guest's files cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum GuestFileError {
    /// A file cannot be read.
    #[error("the guest {guest}: {}: {source}", .path.display())]
    File {
        /// The guest.
        guest: String,
        /// Which file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// A configuration is wrong.
    #[error("the guest {guest}: {}:{mistake}", .path.display())]
    Config {
        /// The guest.
        guest: String,
        /// The configuration.
        path: PathBuf,
        /// What is wrong with it, and where.
        mistake: Box<Mistake>,
    },
    /// A file is no kernel.
    #[error("the guest {guest}: {}: {source}", .path.display())]
    Kernel {
        /// The guest.
        guest: String,
        /// The file.
        path: PathBuf,
        /// Why it is none.
        source: KernelImageError,
    },
}

/// Where files are looked for that are not named by a path from the root of the file system.
#[derive(Clone, Copy, Debug)]
pub struct Folders<'a> {
    /// Configurations.
    pub configs: &'a Path,
    /// Kernels and ramdisks.
    pub files: &'a Path,
}

/// A guest's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestFiles {
    /// The configuration, if the guest has one of its own.
    pub config: Option<Vec<u8>>,
    /// The kernel, an ELF image.
    pub kernel: Vec<u8>,
    /// The initial ramdisk, if there is one.
    pub ramdisk: Option<Vec<u8>>,
}

impl GuestFiles {
    /// Reads them.
    ///
    /// # Errors
    /// See [`GuestFileError`].
    pub fn read(guest: &Guest, folders: Folders<'_>) -> Result<Self, GuestFileError> {
        let name = guest.name.as_str();
        let read = |path: PathBuf| {
            fs::read(&path).map_err(|source| GuestFileError::File { guest: name.to_owned(), path, source })
        };
        let (config, kernel, ramdisk) = match &guest.source {
            Source::Kernel { kernel, ramdisk, .. } => {
                (None, kernel.as_str().to_owned(), ramdisk.as_ref().map(|path| path.as_str().to_owned()))
            }
            Source::Config { path } => {
                let path = folders.configs.join(path.as_str());
                let text = read(path.clone())?;
                let config = Config::read(&String::from_utf8_lossy(&text)).map_err(|mistake| {
                    GuestFileError::Config { guest: name.to_owned(), path, mistake: Box::new(mistake) }
                })?;
                (Some(text), config.kernel, config.ramdisk)
            }
        };
        let path = folders.files.join(kernel);
        let file = read(path.clone())?;
        let image = kernel_image::unpack(&file, MOST_KERNEL).map_err(|source| GuestFileError::Kernel {
            guest: name.to_owned(),
            path,
            source,
        })?;
        let ramdisk = ramdisk.map(|ramdisk| read(folders.files.join(ramdisk))).transpose()?;
        Ok(Self { config, kernel: image.into_owned(), ramdisk })
    }

    /// Adds them to an archive.
    pub fn add(self, guest: &Guest, writer: &mut ArchiveWriter) {
        if let Some(config) = self.config {
            writer.config(&guest.name, config);
        }
        writer.kernel(&guest.name, self.kernel);
        if let Some(ramdisk) = self.ramdisk {
            writer.ramdisk(&guest.name, ramdisk);
        }
    }
}

/// Adds the files of all guests of `description` to an archive.
///
/// # Errors
/// See [`GuestFileError`]; the archive then has some of them.
pub fn add(
    description: &Description,
    folders: Folders<'_>,
    writer: &mut ArchiveWriter,
) -> Result<(), GuestFileError> {
    for guest in &description.guests {
        GuestFiles::read(guest, folders)?.add(guest, writer);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use description::Archive;

    const COMPONENT: &str = "[[component]]\nname = \"tool\"\ncapabilities = [\"guests\"]\n";

    /// An archive with the files of `guests`, from a folder with some.
    fn packed(guests: &str) -> Result<Vec<u8>, GuestFileError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in [
            ("kernel", &b"\x7fELF and so on"[..]),
            ("ramdisk", b"070701"),
            ("text", b"no kernel"),
            ("a.cfg", b"name = 'a'\nmemory = 64\nkernel = 'kernel'\nramdisk = 'ramdisk'\n"),
            ("b.cfg", b"name = 'b'\nmemory = 'much'\nkernel = 'kernel'\n"),
        ] {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let description = description::text::parse("rvmm.toml", &format!("{COMPONENT}{guests}")).unwrap();
        let mut writer = ArchiveWriter::new(&description);
        let folders = Folders { configs: folder.path(), files: folder.path() };
        add(&description, folders, &mut writer).map(|()| writer.finish())
    }

    #[test]
    fn what_table_or_configuration_names_goes_by_the_guests_name() {
        let bytes = packed(concat!(
            "[[guest]]\nname = \"one\"\nkernel = \"kernel\"\nmemory = \"64 MiB\"\n",
            "[[guest]]\nname = \"two\"\nconfig = \"a.cfg\"\n",
        ))
        .unwrap();
        let archive = Archive::parse(&bytes).unwrap();
        for guest in ["one", "two"] {
            assert_eq!(archive.kernel(guest), Some(&b"\x7fELF and so on"[..]));
        }
        assert_eq!((archive.ramdisk("one"), archive.config("one")), (None, None));
        assert_eq!(archive.ramdisk("two"), Some(&b"070701"[..]));
        assert!(archive.config("two").unwrap().starts_with(b"name = 'a'"));
    }

    #[test]
    fn a_complaint_names_guest_file_and_reason() {
        let complaint = |guest: &str| {
            let text = packed(&format!("[[guest]]\nname = \"web\"\n{guest}\n")).unwrap_err().to_string();
            assert!(text.starts_with("the guest web: "), "{text}");
            text
        };
        let missing = complaint("kernel = \"nowhere\"\nmemory = \"64 MiB\"");
        assert!(missing.contains("nowhere: No such file"), "{missing}");
        let wrong = complaint("config = \"b.cfg\"");
        assert!(wrong.contains("b.cfg:2:"), "{wrong}");
        let no_kernel = complaint("kernel = \"text\"\nmemory = \"64 MiB\"");
        assert!(no_kernel.contains("text: neither an ELF file nor a Linux bzImage"), "{no_kernel}");
    }
}
