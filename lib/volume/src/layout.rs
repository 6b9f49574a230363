//! Where a volume's sectors are.

/// A disk of the host, in the order in which its driver's component has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DiskId(pub u8);

/// Sectors in a row on one disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The disk.
    pub disk: DiskId,
    /// The first of them.
    pub first: u64,
    /// How many there are.
    pub sectors: u64,
}

impl Extent {
    /// Whether a sector is in both.
    pub const fn overlaps(&self, other: &Extent) -> bool {
        self.disk.0 == other.disk.0
            && self.first < other.first.saturating_add(other.sectors)
            && other.first < self.first.saturating_add(self.sectors)
    }
}

/// Where the sectors of a volume are. Disks and partitions are one extent; a logical volume is several.
pub trait Layout {
    /// The size of the volume, in sectors.
    fn sectors(&self) -> u64;

    /// Where sector `sector` is, with as many of those that follow it as lie in a row with it; none behind the end.
    fn locate(&self, sector: u64) -> Option<Extent>;

    /// Where `sectors` sectors from `sector` on are, if they all lie in a row.
    fn place(&self, sector: u64, sectors: u64) -> Option<Extent> {
        let extent = self.locate(sector)?;
        (extent.sectors >= sectors).then_some(Extent { sectors, ..extent })
    }

    /// All that the volume occupies.
    fn extents(&self) -> impl Iterator<Item = Extent> {
        let mut sector = 0;
        core::iter::from_fn(move || {
            let extent = self.locate(sector)?;
            sector += extent.sectors;
            Some(extent)
        })
    }
}

impl Layout for Extent {
    fn sectors(&self) -> u64 {
        self.sectors
    }

    fn locate(&self, sector: u64) -> Option<Extent> {
        let sectors = self.sectors.checked_sub(sector).filter(|&left| left > 0)?;
        Some(Extent { first: self.first.checked_add(sector)?, sectors, ..*self })
    }
}
