//! Disks: values of `disk`, as in xl-disk-configuration(5), in all the forms that it has.
//!
//! ```text
//! /dev/vg/guest,raw,xvda,rw                             by position: target, format, vdev, access
//! format=raw, vdev=xvda, access=rw, target=/dev/vg/guest by name; the target comes last, and may have commas in it
//! raw:/dev/vg/guest,xvda,w                              with the format before the target, as long ago
//! ```

use alloc::{borrow::ToOwned, string::String};
use core::{fmt, str::FromStr};

use crate::{Mistake, Reason, text::Text};

/// A disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// What it is made of, as the disks' unikernel names its volumes; none for an empty drive.
    pub target: Option<String>,
    /// What the guest calls it: `xvda`, for instance.
    pub vdev: String,
    /// Whether the guest may not write to it.
    pub read_only: bool,
    /// Whether it is a drive that a disc is put into.
    pub cdrom: bool,
    /// Whether the guest may give blocks back; it may if nothing is said.
    pub discard: Option<bool>,
}

/// Formats of images, and whether they are read here.
const FORMATS: [(&str, bool); 6] =
    [("raw", true), ("qcow", false), ("qcow2", false), ("vhd", false), ("qed", false), ("empty", true)];

/// What stood before a target, long ago, without saying more than that it is raw.
const RAW_PREFIXES: [&str; 5] = ["raw", "phy", "file", "tap", "aio"];

/// Options that are refused, and why.
const REFUSED: [(&str, &str); 6] = [
    ("script", "no script runs: the disks' unikernel knows its volumes itself"),
    ("backend", "every disk is served by the disks' unikernel"),
    ("colo", "nothing is replicated"),
    ("direct-io-safe", "there is no page cache below a disk that it could speak of"),
    ("specification", "every disk is Xen's own kind"),
    ("transport", "every disk is Xen's own kind"),
];

/// What comes next by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    Target,
    Format,
    Vdev,
    Access,
    Over,
}

impl Disk {
    /// Reads one value.
    pub(crate) fn read(value: &Text) -> Result<Self, Mistake> {
        let mut disk = Self::default();
        let mut next = Position::Target;
        let mut rest = Some(value.text.as_str());
        while let Some(text) = rest {
            // A target takes all the rest.
            if let Some(target) = text.trim_start().strip_prefix("target=") {
                disk.target = Some(target.trim().to_owned());
                break;
            }
            let (option, after) =
                text.split_once(',').map_or((text, None), |(option, after)| (option, Some(after)));
            rest = after;
            disk.option(option.trim(), &mut next).map_err(|reason| reason.at(value.place))?;
        }
        disk.target = disk.target.filter(|target| !target.is_empty());
        let missing = |key, why| Err(Reason::Missing { key, why }.at(value.place));
        if disk.vdev.is_empty() {
            return missing("vdev", "what the guest is to call the disk, xvda for instance");
        }
        if disk.target.is_none() && !disk.cdrom {
            return missing("target", "only a drive for discs may be empty");
        }
        Ok(Self { read_only: disk.read_only || disk.cdrom, ..disk })
    }

    fn option(&mut self, option: &str, next: &mut Position) -> Result<(), Reason> {
        if let Some((key, text)) = option.split_once('=')
            && key.trim().chars().all(|c| c.is_ascii_lowercase() || c == '-')
        {
            return self.named(key.trim(), text.trim());
        }
        match option {
            "cdrom" => {
                self.cdrom = true;
                return Ok(());
            }
            "discard" | "no-discard" => {
                self.discard = Some(option == "discard");
                return Ok(());
            }
            _ if REFUSED.iter().any(|(name, _)| *name == option) => return self.named(option, ""),
            _ => {}
        }
        match *next {
            Position::Target => {
                *next = Position::Format;
                let prefixed = option.split_once(':').filter(|(prefix, _)| {
                    RAW_PREFIXES.contains(prefix) || FORMATS.iter().any(|(format, _)| format == prefix)
                });
                if let Some((prefix, target)) = prefixed {
                    if !RAW_PREFIXES.contains(&prefix) {
                        self.named("format", prefix)?;
                    }
                    self.target = Some(target.trim_start().to_owned());
                    *next = Position::Vdev;
                } else {
                    self.target = Some(option.to_owned());
                }
                Ok(())
            }
            Position::Format => {
                *next = Position::Vdev;
                if option.is_empty() { Ok(()) } else { self.named("format", option) }
            }
            Position::Vdev => {
                *next = Position::Access;
                let (vdev, kind) =
                    option.split_once(':').map_or((option, None), |(vdev, kind)| (vdev, Some(kind)));
                if let Some(kind) = kind {
                    self.named("devtype", kind)?;
                }
                self.named("vdev", vdev)
            }
            Position::Access => {
                *next = Position::Over;
                if option.is_empty() { Ok(()) } else { self.named("access", option) }
            }
            Position::Over => Err(Reason::Syntax {
                wanted: "the end, after target, format, vdev and access,",
                found: alloc::format!("{option:?}"),
            }),
        }
    }

    fn named(&mut self, key: &str, text: &str) -> Result<(), Reason> {
        let wrong = |wanted| Reason::Value { key: key.to_owned(), wanted, found: text.to_owned() };
        match key {
            "vdev" if is_vdev(text) => self.vdev = text.to_owned(),
            "vdev" => return Err(wrong("xvda, sda, hda or the like")),
            "access" => {
                self.read_only = match text {
                    "ro" | "r" => true,
                    "rw" | "w" => false,
                    _ => return Err(wrong("ro, r, rw or w")),
                }
            }
            "format" => match FORMATS.iter().find(|(name, _)| *name == text) {
                Some((_, true)) => {}
                Some(_) => {
                    let key = alloc::format!("format={text}");
                    return Err(Reason::Refused { key, why: "the disks' unikernel reads raw volumes alone" });
                }
                None => return Err(wrong("raw, qcow, qcow2, vhd, qed or empty")),
            },
            "devtype" => {
                self.cdrom = match text {
                    "cdrom" => true,
                    "disk" => false,
                    _ => return Err(wrong("cdrom or disk")),
                }
            }
            "backendtype" if text == "phy" => {}
            "backendtype" => return Err(wrong("phy, because every disk is served by the disks' unikernel,")),
            _ => return Err(Reason::no_use_for(key, &REFUSED)),
        }
        Ok(())
    }
}

/// A value on its own, as an operator types it.
impl FromStr for Disk {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        Self::read(&Text::alone(text))
    }
}

/// A value that says the same, by name.
impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vdev={}, access={}", self.vdev, if self.read_only { "ro" } else { "rw" })?;
        if self.cdrom {
            f.write_str(", devtype=cdrom")?;
        }
        match self.discard {
            Some(true) => f.write_str(", discard")?,
            Some(false) => f.write_str(", no-discard")?,
            None => {}
        }
        self.target.as_ref().map_or(Ok(()), |target| write!(f, ", target={target}"))
    }
}

/// Whether a guest can call a disk so: a kind of disk, letters for which, and a number for a partition.
fn is_vdev(text: &str) -> bool {
    let Some(rest) = ["xvd", "sd", "hd"].iter().find_map(|kind| text.strip_prefix(kind)) else {
        return false;
    };
    let letters = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    let partition = &rest[letters.len()..];
    (1..=2).contains(&letters.len())
        && letters.chars().all(|c| c.is_ascii_lowercase())
        && partition.len() <= 2
        && !partition.starts_with('0')
}
