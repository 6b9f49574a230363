//! What the boot archive has for guests, and who the components are.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use description::Kind;
use description::{ArchiveError, DecodeError, Description, Directory, Guest as Described, Source};
use libos::Uk;
use libos::boot_archive::BootArchive;
use libos::xen_abi::Domid;

/// Pages of a MiB.
const PAGES_PER_MIB: u32 = 256;

/// What there is.
pub struct Files {
    archive: Option<BootArchive>,
    guests: Vec<Guest>,
    /// The names of the components, in the order of their domains, from 1.
    components: Vec<String>,
    /// What the keys of this component's interface come from.
    secret: Option<[u8; 32]>,
}

/// A guest of the description.
pub struct Guest {
    /// Its name.
    pub name: String,
    /// Its configuration, as `xl.cfg` has it; none if the archive has none.
    pub config: Option<String>,
    /// Its kernel, an ELF image.
    pub kernel: Option<&'static [u8]>,
    /// Its ramdisk.
    pub ramdisk: Option<&'static [u8]>,
}

/// Why there are no files.
#[derive(Debug)]
pub enum FilesError {
    /// The archive's directory cannot be read.
    Archive(ArchiveError),
    /// The archive ends before something that its directory names.
    Short,
    /// The description in it cannot be read.
    Description(DecodeError),
}

impl fmt::Display for FilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Archive(error) => write!(f, "the boot archive: {error}"),
            Self::Short => f.write_str("the boot archive ends before what its directory names"),
            Self::Description(error) => write!(f, "the description in the boot archive: {error}"),
        }
    }
}

impl Files {
    /// Finds all of it. Kernels and ramdisks are mapped, not copied.
    pub async fn read(uk: &Uk) -> Result<Self, FilesError> {
        let Some(archive) = uk.boot_archive() else {
            return Ok(Self { archive: None, guests: Vec::new(), components: Vec::new(), secret: None });
        };
        let first =
            archive.bytes(0..Directory::MAX_BYTES.min(archive.len())).await.ok_or(FilesError::Short)?;
        let directory = Directory::parse(first).map_err(FilesError::Archive)?;
        let range = directory.description().ok_or(FilesError::Short)?;
        let bytes = archive.bytes(range).await.ok_or(FilesError::Short)?;
        let mut description = Box::new(Description::default());
        description.decode_from(bytes).map_err(FilesError::Description)?;
        let mut guests = Vec::new();
        for described in &description.guests {
            let mut blobs = [None; 3];
            for (blob, kind) in blobs.iter_mut().zip([Kind::Kernel, Kind::Ramdisk, Kind::Config]) {
                if let Some(range) = directory.find(kind, &described.name) {
                    *blob = Some(archive.bytes(range).await.ok_or(FilesError::Short)?);
                }
            }
            let [kernel, ramdisk, config] = blobs;
            let config = config.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
            guests.push(Guest {
                name: described.name.as_str().into(),
                config: config.or_else(|| config_of(described)),
                kernel,
                ramdisk,
            });
        }
        let components = description.components.iter().map(|component| component.name.as_str().to_string());
        let components = components.collect();
        let secret = match directory.find(Kind::Secret, uk.info().name()) {
            Some(range) => archive.bytes(range).await.and_then(|bytes| bytes.try_into().ok()),
            None => None,
        };
        Ok(Self { archive: Some(archive), guests, components, secret })
    }

    /// The domain of a component.
    pub fn component(&self, name: Option<&str>) -> Option<Domid> {
        let name = name?;
        let index = self.components.iter().position(|component| component == name);
        if index.is_none() {
            log::error!("the system description has no component {name}");
        }
        index.map(|index| Domid(index as u16 + 1))
    }

    /// What the keys of this component's interface come from, if the archive has it.
    pub const fn secret(&self) -> Option<[u8; 32]> {
        self.secret
    }

    /// The guests.
    pub fn guests(&self) -> impl Iterator<Item = &Guest> {
        self.guests.iter()
    }

    /// A guest.
    pub fn guest(&self, name: &str) -> Option<&Guest> {
        self.guests.iter().find(|guest| guest.name == name)
    }

    /// Where in the archive bytes lie.
    pub fn place(&self, bytes: &[u8]) -> Option<u64> {
        self.archive?.offset_of(bytes)
    }
}

/// The configuration of a guest of which the description says the little that it needs.
fn config_of(guest: &Described) -> Option<String> {
    let Source::Kernel { kernel, ramdisk, cmdline, memory_pages, vcpus, weight } = &guest.source else {
        return None;
    };
    let ramdisk = ramdisk.as_ref().map_or(String::new(), |ramdisk| format!("ramdisk = {ramdisk:?}\n"));
    let memory = memory_pages / PAGES_PER_MIB;
    // A guest that reads the time often would wait for an emulated counter.
    Some(format!(
        "name = {name:?}\nkernel = {kernel:?}\n{ramdisk}cmdline = {cmdline:?}\nmemory = {memory}\nvcpus = {vcpus}\n\
         cpu_weight = {weight}\ntsc_mode = \"native\"\n",
        name = guest.name.as_str(),
        kernel = kernel.as_str(),
        cmdline = cmdline.as_str(),
    ))
}
