//! What a life must know of the one before: which frontends are connected, and how.

use blkback::VbdId;
use blkback::keys::Link;
use core::sync::atomic::AtomicU64;
use libos::recovery_box::{Record, RecoveryBox, TooSmall};
use libos::xen_abi::Domid;
use serde::{Deserialize, Serialize};
use volume::{DiskId, Extent, Holder};

/// Frontends that can be connected at a time.
pub const FRONTENDS: usize = 16;

/// Bytes of a record: four queues of four pages take 120, the rest about 40.
const PAYLOAD: usize = 192;

type Records = RecoveryBox<&'static [AtomicU64], FRONTENDS, PAYLOAD>;

/// A frontend that is connected. Under its [`VbdId`].
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Known {
    guest: u16,
    device: u32,
    disk: u8,
    first: u64,
    sectors: u64,
    reads: bool,
    link: Link,
}

impl Record for Known {
    const TYPE: u16 = 1;
    const VERSION: u16 = 1;
}

/// A frontend that is connected: who, to what, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The guest and the number of its device.
    pub holder: Holder,
    /// Where its volume is, with the size that its frontend was told.
    pub extent: Extent,
    /// Whether it may only read.
    pub reads: bool,
    /// Its rings and ports.
    pub link: Link,
}

impl Connection {
    /// Whether it is the same frontend, connected in the same way to the same volume, whatever size that has.
    pub fn is_same(&self, other: &Self) -> bool {
        let sized = Extent { sectors: self.extent.sectors, ..other.extent };
        *self == Self { extent: sized, ..other.clone() }
    }

    /// The guest.
    pub fn guest(&self) -> Domid {
        Domid(self.holder.domid)
    }
}

/// The records.
pub struct Frontends(Records);

impl Frontends {
    /// Words that they take.
    pub const WORDS: usize = Records::WORDS;

    /// Opens them.
    ///
    /// # Errors
    /// [`TooSmall`].
    pub fn open(words: &'static [AtomicU64]) -> Result<Self, TooSmall> {
        let (mut records, report) = Records::open(words)?;
        if !report.is_sound() {
            log::warn!("what is known of frontends: {report}");
        }
        records.discard_lost();
        Ok(Self(records))
    }

    /// All that were connected.
    pub fn all(&self) -> impl Iterator<Item = (VbdId, Connection)> {
        self.0.iter::<Known>().filter_map(|entry| {
            let Known { guest, device, disk, first, sectors, reads, link } = entry.value.ok()?;
            let holder = Holder { domid: guest, device };
            let extent = Extent { disk: DiskId(disk), first, sectors };
            Some((VbdId(u16::try_from(entry.key).ok()?), Connection { holder, extent, reads, link }))
        })
    }

    /// The number of a device: the one that it had, or one that nobody has.
    pub fn number(&self, holder: Holder) -> Option<VbdId> {
        let known = self.all().find(|(_, connection)| connection.holder == holder).map(|(id, _)| id);
        let is_free = |id: &VbdId| self.all().all(|(used, _)| used != *id);
        known.or_else(|| (0..FRONTENDS as u16).map(VbdId).find(is_free))
    }

    /// Notes that a frontend is about to be connected. One that cannot be noted is connected by XenStore in the next life.
    pub fn note(&mut self, id: VbdId, connection: &Connection) {
        let Connection { holder, extent, reads, link } = connection;
        let known = Known {
            guest: holder.domid,
            device: holder.device,
            disk: extent.disk.0,
            first: extent.first,
            sectors: extent.sectors,
            reads: *reads,
            link: link.clone(),
        };
        if let Err(error) = self.0.put(id.0.into(), &known) {
            log::warn!("{holder} is not noted: {error}");
        }
    }

    /// Notes that it is connected no more.
    pub fn forget(&mut self, id: VbdId) {
        self.0.remove::<Known>(id.0.into());
    }
}
