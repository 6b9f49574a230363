//! Which volumes there are, and who has them: what guests' devices and whoever else uses volumes share.

use crate::tables::Disks;
use alloc::format;
use alloc::string::String;
use core::cell::{Cell, RefCell, RefMut};
use libos::sync::blocking_mutex::raw::NoopRawMutex;
use libos::sync::signal::Signal;
use volume::{Claims, DiskId, Extent, Target, UnknownTarget};

/// A volume, as a list has it.
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What its partition is called; nothing where it has no such name.
    pub label: String,
    /// Where it is.
    pub extent: Extent,
}

/// The volumes.
pub struct Volumes {
    disks: Disks,
    claims: RefCell<Claims>,
    /// Given when the claims of all guests that XenStore knows of are made.
    guests_known: Signal<NoopRawMutex, ()>,
    /// Something that was claimed is free again.
    freed: Cell<bool>,
}

impl Volumes {
    /// The volumes of these disks, which nobody has.
    pub const fn new(disks: Disks) -> Self {
        let claims = RefCell::new(Claims::new());
        Self { disks, claims, guests_known: Signal::new(), freed: Cell::new(false) }
    }

    /// Who has which; not to be kept while something is waited for.
    pub fn claims(&self) -> RefMut<'_, Claims> {
        self.claims.borrow_mut()
    }

    /// Where the volume of this name is.
    ///
    /// # Errors
    /// [`UnknownTarget`].
    pub fn find<'n>(&self, name: &'n str) -> Result<Extent, UnknownTarget<'n>> {
        Target::parse(name)?.find(self.disks.iter())
    }

    /// All of them: each disk, and then what is on it.
    pub fn all(&self) -> impl Iterator<Item = Listed> {
        (0..).map(DiskId).zip(self.disks.iter()).flat_map(|(disk, (sectors, partitions))| {
            let whole = Listed {
                name: format!("disk{}", disk.0),
                label: String::new(),
                extent: Extent { disk, first: 0, sectors },
            };
            let part = move |part: &volume::Partition| Listed {
                name: format!("disk{}/p{}", disk.0, part.number),
                label: part.label.clone(),
                extent: Extent { disk, first: part.first, sectors: part.sectors },
            };
            core::iter::once(whole).chain(partitions.iter().map(part))
        })
    }

    /// Notes that all guests have claimed what is theirs.
    pub fn guests_are_known(&self) {
        self.guests_known.signal(());
    }

    /// Waits until they have: before that nobody else may have anything.
    pub async fn when_guests_are_known(&self) {
        self.guests_known.wait().await;
    }

    /// Notes that something is free again, for those who were refused it.
    pub fn has_freed(&self) {
        self.freed.set(true);
        crate::notice();
    }

    /// Whether something has become free since the last time.
    pub fn take_freed(&self) -> bool {
        self.freed.take()
    }
}
