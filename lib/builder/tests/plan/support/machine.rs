//! A machine that has built a plan: its memory holds the page tables, and it walks them as a processor does.

use std::collections::BTreeMap;

use builder::{TablePage, UkPlan};
use xen_abi::{Mfn, Pfn};

pub(crate) const PAGE: u64 = 4096;

const PRESENT: u64 = 1;
pub(crate) const RW: u64 = 1 << 1;
pub(crate) const USER: u64 = 1 << 2;
pub(crate) const PWT: u64 = 1 << 3;
pub(crate) const PCD: u64 = 1 << 4;
pub(crate) const ACCESSED: u64 = 1 << 5;
pub(crate) const DIRTY: u64 = 1 << 6;
pub(crate) const NX: u64 = 1 << 63;

/// The frame of shared_info in every test; no page of a domain has it.
pub(crate) const SHARED_INFO: Mfn = Mfn(0x99);

/// The machine frame of a page of the domain: scattered, and a different one for each.
pub(crate) fn frame_of(pfn: Pfn) -> Mfn {
    Mfn(0x10_0000 + (pfn.0 * 0x5_1ead) % (1 << 20))
}

/// What a walk ends at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) frame: Mfn,
    /// Flags of the last entry; RW and USER only where every level has them, NX where any has it.
    pub(crate) flags: u64,
}

/// The frames that hold page tables, and the one that cr3 names.
pub(crate) struct Machine {
    tables: BTreeMap<Mfn, [u64; 512]>,
    cr3: Mfn,
}

impl Machine {
    /// Writes the page tables of `plan`, as root does.
    pub(crate) fn build(plan: &UkPlan) -> Self {
        let fill = |table: &TablePage, content: &mut _| {
            plan.fill_table(table, frame_of, SHARED_INFO, content);
        };
        Self::with_tables(plan.tables(), plan.root_table(), fill)
    }

    /// Writes `tables`; `fill` gives their content.
    pub(crate) fn with_tables(
        tables: impl Iterator<Item = TablePage>,
        root: Pfn,
        fill: impl Fn(&TablePage, &mut [u64; 512]),
    ) -> Self {
        let mut written = BTreeMap::new();
        for table in tables {
            // Not zero: whoever fills a table must write every entry.
            let mut content = [u64::MAX; 512];
            fill(&table, &mut content);
            let old = written.insert(frame_of(table.pfn), content);
            assert!(old.is_none(), "two tables in one page");
        }
        Self { tables: written, cr3: frame_of(root) }
    }

    /// Every mapped page by its address.
    pub(crate) fn mappings(&self) -> BTreeMap<u64, Reached> {
        mappings(self.cr3, |table| self.tables[&table])
    }
}

/// Every page that is mapped by the tables under `cr3`, by its address; `read` gives the content of a table.
pub(crate) fn mappings(cr3: Mfn, mut read: impl FnMut(Mfn) -> [u64; 512]) -> BTreeMap<u64, Reached> {
    let mut found = BTreeMap::new();
    walk(&mut read, cr3, 4, 0, RW | USER, &mut found);
    found
}

fn walk(
    read: &mut impl FnMut(Mfn) -> [u64; 512],
    table: Mfn,
    level: u32,
    base: u64,
    above: u64,
    found: &mut BTreeMap<u64, Reached>,
) {
    let entries = read(table);
    for (index, entry) in (0u64..).zip(entries).filter(|(_, entry)| *entry & PRESENT != 0) {
        let address = canonical(base + (index << (12 + 9 * (level - 1))));
        let frame = Mfn((entry & 0x000f_ffff_ffff_f000) >> 12);
        let all = entry & above & (RW | USER);
        let any = (entry | above) & NX;
        if level == 1 {
            let flags = (entry & 0xfff & !(RW | USER | PRESENT)) | all | any;
            found.insert(address, Reached { frame, flags });
        } else {
            walk(read, frame, level - 1, address, all | any, found);
        }
    }
}

/// The address with bit 47 repeated above it.
fn canonical(address: u64) -> u64 {
    if address & 1 << 47 == 0 { address } else { address | 0xffff << 48 }
}
