//! Network cards and disks of the emulated machine.

use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use thiserror::Error;

use crate::namespace::TAP;

/// What a network card is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum NicModel {
    /// A virtio card.
    Virtio,
    /// Intel's 82574L.
    E1000e,
}

/// What a disk is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DiskModel {
    /// A virtio disk.
    Virtio,
    /// An NVMe disk, whose sectors have 4 KiB.
    Nvme,
}

/// A TCP port of this machine's loopback address that leads to somebody on QEMU's own network; written `8080:10.0.2.16:80`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Forward {
    /// The port here.
    pub here: u16,
    /// Who listens there, and where.
    pub there: SocketAddrV4,
}

/// A text is no [`Forward`].
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("expected PORT:ADDRESS:PORT such as 8080:10.0.2.16:80, found {found:?}")]
pub struct NotAForward {
    /// The text.
    pub found: String,
}

impl FromStr for Forward {
    type Err = NotAForward;

    fn from_str(text: &str) -> Result<Self, NotAForward> {
        let forward = text
            .split_once(':')
            .and_then(|(here, there)| Some(Forward { here: here.parse().ok()?, there: there.parse().ok()? }));
        forward.ok_or_else(|| NotAForward { found: text.to_owned() })
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Wire {
    User(Vec<Forward>),
    Lan(PathBuf),
    Tap,
}

/// A network card and what it is connected to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nic {
    model: NicModel,
    wire: Wire,
}

impl Nic {
    /// A card on QEMU's own network, which needs no privilege: 10.0.2.0/24, the gateway answers at 10.0.2.2.
    pub fn user(model: NicModel) -> Self {
        Nic { model, wire: Wire::User(Vec::new()) }
    }

    /// A card whose frames come and go through the Unix socket at `socket`, where a [`crate::lan::Lan`] listens.
    pub fn lan(model: NicModel, socket: impl Into<PathBuf>) -> Self {
        Nic { model, wire: Wire::Lan(socket.into()) }
    }

    /// A card on the tap of the [`Namespace`](crate::namespace::Namespace) that its machine [runs in](crate::machine::MachineConfig::namespace).
    pub fn tap(model: NicModel) -> Self {
        Nic { model, wire: Wire::Tap }
    }

    /// Lets `forward.here` on the loopback address lead to `forward.there`. Only QEMU's own network can do it: any other card stays as
    /// it is.
    pub fn forward(mut self, forward: Forward) -> Self {
        if let Wire::User(forwards) = &mut self.wire {
            forwards.push(forward);
        }
        self
    }

    pub(crate) fn backend(&self, id: &str) -> String {
        match &self.wire {
            Wire::User(forwards) => {
                let forwards: String = forwards
                    .iter()
                    .map(|Forward { here, there }| format!(",hostfwd=tcp:127.0.0.1:{here}-{there}"))
                    .collect();
                format!("user,id={id}{forwards}")
            }
            Wire::Lan(socket) => {
                format!("stream,id={id},server=off,addr.type=unix,addr.path={}", escaped(socket))
            }
            Wire::Tap => format!("tap,id={id},ifname={TAP},script=no,downscript=no"),
        }
    }

    pub(crate) fn device(&self, id: &str, bus: &str, iommu: bool) -> String {
        match self.model {
            NicModel::Virtio => format!("virtio-net-pci,netdev={id},bus={bus},romfile={}", virtio(iommu)),
            NicModel::E1000e => format!("e1000e,netdev={id},bus={bus},romfile="),
        }
    }
}

/// A disk and the raw file that holds its content. What is written lasts as long as the machine: the file is not changed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Disk {
    model: DiskModel,
    file: PathBuf,
    persistent: bool,
    bad_sector: Option<u64>,
}

impl Disk {
    /// A disk with the content of `file`.
    pub fn new(model: DiskModel, file: impl Into<PathBuf>) -> Self {
        Disk { model, file: file.into(), persistent: false, bad_sector: None }
    }

    /// Writes go to the file.
    pub fn persistent(self) -> Self {
        Disk { persistent: true, ..self }
    }

    /// This sector, of 512 bytes, cannot be read.
    pub fn bad_sector(self, sector: Option<u64>) -> Self {
        Disk { bad_sector: sector, ..self }
    }

    pub(crate) fn backend(&self, id: &str) -> String {
        let snapshot = if self.persistent { "off" } else { "on" };
        let path = escaped(&self.file);
        let file = match self.bad_sector {
            None => format!("file={path}"),
            Some(sector) => {
                let rule = format!("event=read_aio,iotype=read,sector={sector}")
                    .replace(',', ",file.inject-error.0.");
                format!("file.driver=blkdebug,file.image.filename={path},file.inject-error.0.{rule}")
            }
        };
        format!("if=none,id={id},format=raw,{file},snapshot={snapshot}")
    }

    pub(crate) fn device(&self, id: &str, bus: &str, iommu: bool) -> String {
        match self.model {
            DiskModel::Virtio => format!("virtio-blk-pci,drive={id},bus={bus}{}", virtio(iommu)),
            DiskModel::Nvme => {
                format!(
                    "nvme,drive={id},bus={bus},serial={id},logical_block_size=4096,physical_block_size=4096"
                )
            }
        }
    }
}

/// Virtio devices are the current kind, and go through the IOMMU if there is one.
fn virtio(iommu: bool) -> &'static str {
    if iommu { ",disable-legacy=on,iommu_platform=on" } else { ",disable-legacy=on" }
}

/// QEMU reads a comma as the next option, and two as one comma.
fn escaped(path: &Path) -> String {
    path.to_string_lossy().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwards_are_on_the_loopback_address_alone() {
        let forward: Forward = "5001:10.0.2.16:7".parse().unwrap();
        let nic = Nic::user(NicModel::Virtio).forward(forward);
        assert_eq!(nic.backend("n"), "user,id=n,hostfwd=tcp:127.0.0.1:5001-10.0.2.16:7");
        for text in ["", "5001", "5001:7", "10.0.2.16:7", "70000:10.0.2.16:7"] {
            assert_eq!(text.parse::<Forward>(), Err(NotAForward { found: text.to_owned() }));
        }
    }

    #[test]
    fn a_disk_keeps_its_file_unless_told_otherwise() {
        let disk = Disk::new(DiskModel::Virtio, "/d");
        assert!(disk.backend("x").ends_with("snapshot=on"));
        assert!(disk.persistent().backend("x").ends_with("snapshot=off"));
    }

    #[test]
    fn a_bad_sector_is_one_that_is_read() {
        let line = Disk::new(DiskModel::Virtio, "/d").bad_sector(Some(7)).backend("x");
        let rule =
            "file.inject-error.0.event=read_aio,file.inject-error.0.iotype=read,file.inject-error.0.sector=7";
        assert!(line.contains("file.image.filename=/d,") && line.contains(rule), "{line}");
    }
}
