//! What root keeps for the components and lends to them: recovery boxes, shared memory, requests to the broker, the
//! register of domains, the boot archive.
//!
//! All of it follows from the description, and every life of root comes to the same, in this order. Each component finds its own in one piece, under numbers in one piece.

use core::sync::atomic::AtomicU64;
use description::{ComponentId, Description, MAX_COMPONENTS};
use heapless::Vec;
use kernel::lend::{Borrower, FIRST_REFERENCE, Loans};
use kernel::pv::Result;
use kernel::window::Access;
use uk_abi::boot_info::{Area, BootInfo};
use uk_abi::kept::{MAX_SHARED, SharedInfo};
use uk_abi::layout::{BROKER_PAGES, KEPT_WINDOW_VA, PAGE_SIZE};
use uk_abi::register::{self, Register};
use xen_abi::{Domid, GrantRef};

/// What a component is lent.
#[derive(Clone, Debug)]
pub struct Lent {
    /// Under which number the first page is granted; the others follow.
    reference: GrantRef,
    /// All of it.
    pub pages: u32,
    /// How many have been given a meaning so far.
    taken: u32,
    recovery_box: Area,
    broker: Area,
    register: Area,
    archive: Area,
    archive_bytes: u64,
    /// Who may have guests, if it is told.
    toolstacks: u64,
    shared: Vec<SharedInfo, MAX_SHARED>,
}

impl Lent {
    /// The next so many pages, as `domain` is lent them.
    fn take(&mut self, pages: u32, domain: Domid, access: Access) -> (Area, Borrower) {
        let va = KEPT_WINDOW_VA + u64::from(self.taken) * PAGE_SIZE as u64;
        let reference = GrantRef(self.reference.0 + self.taken);
        self.taken += pages;
        (Area { va, pages: pages.into() }, Borrower { domain, reference, access })
    }

    /// Writes into the boot info page what is lent and where.
    pub fn describe(&self, info: &mut BootInfo) {
        info.kept_reference = self.reference.0;
        info.recovery_box = self.recovery_box;
        info.broker = self.broker;
        info.register = self.register;
        info.archive = self.archive;
        info.archive_bytes = self.archive_bytes;
        info.toolstacks = self.toolstacks;
        info.shared_count = self.shared.len() as u32;
        for (place, shared) in info.shared.iter_mut().zip(&self.shared) {
            *place = *shared;
        }
    }

    /// The domains that it shares memory with, and itself if there are any: bit n stands for domain n.
    pub fn members(&self) -> u64 {
        self.shared.iter().fold(0, |set, shared| set | shared.members)
    }

    /// Whether it may read the register.
    pub fn has_register(&self) -> bool {
        self.register.pages > 0
    }
}

/// The pages that root lends.
pub struct Kept {
    loans: Loans,
    /// Who may ask the broker, by the indexes of the components, and the first of the pages in which each does.
    askers: Vec<(usize, usize), MAX_COMPONENTS>,
    /// Where the register is, if there is anybody to read it.
    register: Option<usize>,
}

impl Kept {
    /// Lends every component what the description says, and of the boot archive `archive_bytes` bytes. Answers what that
    /// is, component by component.
    ///
    /// # Errors
    /// Xen's; ENOMEM where root's memory is too small for it, or a grant table of the usual size is.
    pub fn lend(
        description: &Description,
        archive_bytes: usize,
    ) -> Result<(Self, Vec<Lent, MAX_COMPONENTS>)> {
        let archive_pages = |index: usize| match description.broker_pages_of(index) {
            0 => 0,
            _ => archive_bytes.div_ceil(PAGE_SIZE) as u32,
        };
        let mut next = FIRST_REFERENCE.0;
        let mut lent = Vec::<Lent, MAX_COMPONENTS>::new();
        for index in 0..description.components.len() {
            let pages = description.kept_pages_of(index) as u32 + archive_pages(index);
            let (reference, nothing) = (GrantRef(next), Area::default());
            // There are no more components than fit.
            let _ = lent.push(Lent {
                reference,
                pages,
                taken: 0,
                recovery_box: nothing,
                broker: nothing,
                register: nothing,
                archive: nothing,
                archive_bytes: 0,
                toolstacks: 0,
                shared: Vec::new(),
            });
            next += pages;
        }
        let mut loans = Loans::open(description.kept_pages() as usize, (next - FIRST_REFERENCE.0) as usize)?;

        let mut page = 0;
        let mut give = |pages: u32, borrowers: &[Borrower]| {
            let at = page;
            page += pages as usize;
            loans.lend(at, pages as usize, borrowers).map(|()| at)
        };
        for (component, (index, lent)) in description.components.iter().zip(lent.iter_mut().enumerate()) {
            let (area, borrower) = lent.take(component.box_pages, domid(index), Access::Writable);
            lent.recovery_box = area;
            give(component.box_pages, &[borrower])?;
        }
        for shared in &description.shared {
            let members = u64::from(shared.between.bits()) << 1;
            let mut borrowers = Vec::<Borrower, MAX_COMPONENTS>::new();
            for index in shared.between.iter().map(ComponentId::index) {
                let (area, borrower) = lent[index].take(shared.pages, domid(index), Access::Writable);
                // The rules of the description leave room for both.
                let _ = lent[index].shared.push(SharedInfo::new(&shared.name, area, members));
                let _ = borrowers.push(borrower);
            }
            give(shared.pages, &borrowers)?;
        }
        let mut askers = Vec::new();
        for (index, lent) in lent.iter_mut().enumerate() {
            let pages = description.broker_pages_of(index);
            if pages > 0 {
                let (area, borrower) = lent.take(pages, domid(index), Access::Writable);
                lent.broker = area;
                let _ = askers.push((index, give(pages, &[borrower])?));
            }
        }
        let mut readers = Vec::<Borrower, MAX_COMPONENTS>::new();
        for (index, lent) in lent.iter_mut().enumerate() {
            let pages = description.register_pages_of(index);
            if pages > 0 {
                let (area, borrower) = lent.take(pages, domid(index), Access::ReadOnly);
                lent.register = area;
                lent.toolstacks = askers.iter().fold(0, |set, (index, _)| set | 1 << domid(*index).0);
                let _ = readers.push(borrower);
            }
        }
        let register = give(register::PAGES as u32, &readers)?;
        let register = (!readers.is_empty()).then_some(register);
        if let Some(page) = register {
            loans.map(page, register::PAGES)?;
        }
        for (index, page) in &askers {
            loans.map(*page, BROKER_PAGES)?;
            let (area, borrower) = lent[*index].take(archive_pages(*index), domid(*index), Access::ReadOnly);
            (lent[*index].archive, lent[*index].archive_bytes) = (area, archive_bytes as u64);
            loans.lend_archive(area.pages as usize, &[borrower])?;
        }
        Ok((Self { loans, askers, register }, lent))
    }

    /// Who may ask the broker: the indexes of the components.
    pub fn askers(&self) -> impl Iterator<Item = usize> {
        self.askers.iter().map(|(index, _)| *index)
    }

    /// The words in which the component at `index` asks the broker, if it may.
    pub fn requests(&self, index: usize) -> Option<&[AtomicU64]> {
        let (_, page) = self.askers.iter().find(|(asker, _)| *asker == index)?;
        Some(self.loans.words(*page, BROKER_PAGES))
    }

    /// The register of domains, if there is anybody to read it.
    pub fn register(&self) -> Option<Register<&[AtomicU64]>> {
        Register::new(self.loans.words(self.register?, register::PAGES))
    }
}

/// The number of the domain of the component at `index`: components come first, guests behind them.
pub fn domid(index: usize) -> Domid {
    Domid(index as u16 + 1)
}
