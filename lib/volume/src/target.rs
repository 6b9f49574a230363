//! How a volume is named: by `target` of a disk in a guest's configuration, which stands in `params` in XenStore.
//!
//! | name | volume |
//! |---|---|
//! | `disk0` | the first disk |
//! | `disk0/p2` | the second partition of its table |
//! | `disk0/swap` | its partition of that name |
//! | `partlabel=swap` | the partition of that name, whichever disk it is on |
//! | `partuuid=C1A7...` | the partition with that unique GUID |
//!
//! `phy:` may stand before each, as in configurations for other toolstacks. A name that fits several partitions fits none: which one
//! was meant is not to be guessed.

use crate::gpt::{Guid, Partition};
use crate::layout::{DiskId, Extent};
use core::fmt;

/// Which partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which<'a> {
    /// By its number, from 1.
    Number(u32),
    /// By its name.
    Label(&'a str),
    /// By its unique GUID.
    Guid(Guid),
}

impl Which<'_> {
    fn fits(&self, partition: &Partition) -> bool {
        match self {
            Self::Number(number) => partition.number == *number,
            Self::Label(label) => partition.label == *label,
            Self::Guid(guid) => partition.guid == *guid,
        }
    }
}

/// A name of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// The disk; any, if it is not named.
    pub disk: Option<DiskId>,
    /// The partition; the whole disk, if none is named.
    pub partition: Option<Which<'a>>,
}

/// A name that names no volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownTarget<'a> {
    /// It is not a name as they are here.
    Name(&'a str),
    /// There is no such disk.
    Disk {
        /// Which was asked for.
        disk: DiskId,
        /// How many there are.
        disks: usize,
    },
    /// There is no such partition.
    Partition(Which<'a>),
    /// There is more than one.
    Ambiguous(Which<'a>),
}

impl fmt::Display for UnknownTarget<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let which = |f: &mut fmt::Formatter<'_>, which: &Which<'_>| match which {
            Which::Number(number) => write!(f, "partition {number}"),
            Which::Label(label) => write!(f, "partition of the name {label:?}"),
            Which::Guid(guid) => write!(f, "partition with the GUID {guid}"),
        };
        match self {
            Self::Name(name) => {
                write!(
                    f,
                    "expected a target like disk0, disk0/p1, partlabel=NAME or partuuid=GUID, found {name:?}"
                )
            }
            Self::Disk { disk, disks } => write!(f, "there is no disk{}: there are {disks}", disk.0),
            Self::Partition(wanted) => {
                f.write_str("there is no ")?;
                which(f, wanted)
            }
            Self::Ambiguous(wanted) => {
                f.write_str("there is more than one ")?;
                which(f, wanted)
            }
        }
    }
}

impl core::error::Error for UnknownTarget<'_> {}

/// What follows `key=`, in whatever case the key is written.
fn value_of<'a>(name: &'a str, key: &str) -> Option<&'a str> {
    let (found, value) = name.split_once('=')?;
    found.eq_ignore_ascii_case(key).then_some(value)
}

impl<'a> Target<'a> {
    /// Reads a name.
    ///
    /// # Errors
    /// [`UnknownTarget::Name`].
    pub fn parse(text: &'a str) -> Result<Self, UnknownTarget<'a>> {
        let name = text.strip_prefix("phy:").unwrap_or(text);
        let unknown = UnknownTarget::Name(text);
        if let Some(guid) = value_of(name, "partuuid") {
            let guid = Guid::try_parse(guid).map_err(|_| unknown)?;
            return Ok(Self { disk: None, partition: Some(Which::Guid(guid)) });
        }
        if let Some(label) = value_of(name, "partlabel").filter(|label| !label.is_empty()) {
            return Ok(Self { disk: None, partition: Some(Which::Label(label)) });
        }
        let rest = name.strip_prefix("disk").ok_or(unknown)?;
        let (disk, partition) = rest.split_once('/').map_or((rest, None), |(disk, part)| (disk, Some(part)));
        let number =
            |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
        let disk = number(disk).and_then(|disk: u32| u8::try_from(disk).ok()).ok_or(unknown)?;
        let partition = match partition {
            None => None,
            Some("") => return Err(unknown),
            Some(name) => {
                Some(name.strip_prefix('p').and_then(number).map_or(Which::Label(name), Which::Number))
            }
        };
        Ok(Self { disk: Some(DiskId(disk)), partition })
    }

    /// Where the volume is on `disks`: of each its size in sectors and its partitions.
    ///
    /// # Errors
    /// [`UnknownTarget`].
    pub fn find<'t>(
        &self,
        disks: impl ExactSizeIterator<Item = (u64, &'t [Partition])>,
    ) -> Result<Extent, UnknownTarget<'a>> {
        let count = disks.len();
        let mut found = None;
        for (id, (sectors, partitions)) in (0..).map(DiskId).zip(disks) {
            if self.disk.is_some_and(|wanted| wanted != id) {
                continue;
            }
            let Some(wanted) = &self.partition else {
                return Ok(Extent { disk: id, first: 0, sectors });
            };
            for partition in partitions.iter().filter(|partition| wanted.fits(partition)) {
                let extent = Extent { disk: id, first: partition.first, sectors: partition.sectors };
                if found.replace(extent).is_some() {
                    return Err(UnknownTarget::Ambiguous(*wanted));
                }
            }
        }
        found.ok_or(match (self.disk, self.partition) {
            (Some(disk), _) if usize::from(disk.0) >= count => UnknownTarget::Disk { disk, disks: count },
            (Some(disk), None) => UnknownTarget::Disk { disk, disks: count },
            (_, Some(wanted)) => UnknownTarget::Partition(wanted),
            (None, None) => UnknownTarget::Name(""),
        })
    }
}
