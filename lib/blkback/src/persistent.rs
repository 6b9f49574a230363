//! Grants that stay mapped, because the frontend has promised to use the same ones again and again.

use crate::pages::{MapError, Page, Pages};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use xen_abi::{Domid, GrantRef};

#[derive(Clone, Copy, Debug)]
struct Mapping {
    page: Page,
    /// How many requests use it now.
    users: u32,
    /// When it was used last, in uses of the table.
    used: u64,
}

/// A page makes room for another when it was not used for so many uses of the table as it has pages, times this. A frontend that
/// goes round among more pages than can be mapped would otherwise have each of them unmapped just before it is used again.
const STALE_ROUNDS: u64 = 8;

/// The mapped pages of one frontend, at most so many: when there are more, one that was not used for long goes.
#[derive(Debug)]
pub struct Persistent {
    mapped: BTreeMap<GrantRef, Mapping>,
    capacity: usize,
    uses: u64,
    /// Until then, in uses of the table, none that is mapped was not used for long.
    full_until: u64,
}

impl Persistent {
    /// A table of at most `capacity` mappings: 0 for a frontend that has promised nothing.
    pub const fn new(capacity: usize) -> Self {
        Self { mapped: BTreeMap::new(), capacity, uses: 0, full_until: 0 }
    }

    /// How many pages are mapped.
    pub fn len(&self) -> usize {
        self.mapped.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.mapped.is_empty()
    }

    /// The page of a grant, mapped if it is not yet, for one more user.
    ///
    /// # Errors
    /// [`MapError`].
    pub fn acquire(
        &mut self,
        guest: Domid,
        gref: GrantRef,
        pages: &mut impl Pages,
    ) -> Result<Page, MapError> {
        self.uses += 1;
        if let Some(mapping) = self.mapped.get_mut(&gref) {
            mapping.users += 1;
            mapping.used = self.uses;
            return Ok(mapping.page);
        }
        if self.mapped.len() >= self.capacity {
            self.make_room(pages)?;
        }
        let page = pages.map(guest, gref)?;
        self.mapped.insert(gref, Mapping { page, users: 1, used: self.uses });
        Ok(page)
    }

    /// Unmaps the page that was not used for the longest time, if that is long.
    fn make_room(&mut self, pages: &mut impl Pages) -> Result<(), MapError> {
        if self.uses < self.full_until {
            return Err(MapError::NoRoom);
        }
        let idle = self.mapped.values().filter(|mapping| mapping.users == 0);
        let used = idle.map(|mapping| mapping.used).min().ok_or(MapError::NoRoom)?;
        let stale_from = used + self.capacity as u64 * STALE_ROUNDS;
        if self.uses < stale_from {
            self.full_until = stale_from;
            return Err(MapError::NoRoom);
        }
        self.spare(1, pages);
        Ok(())
    }

    /// Unmaps up to `count` pages that nobody uses now, those first that were not used for the longest time. Returns how many.
    pub fn spare(&mut self, count: usize, pages: &mut impl Pages) -> usize {
        let idle = self.mapped.iter().filter(|(_, mapping)| mapping.users == 0);
        let mut idle: Vec<_> = idle.map(|(&gref, mapping)| (mapping.used, gref)).collect();
        idle.sort_unstable();
        idle.truncate(count);
        let spared = idle.iter().filter_map(|(_, gref)| self.mapped.remove(gref));
        let spared: Vec<Page> = spared.map(|mapping| mapping.page).collect();
        pages.unmap(&spared);
        spared.len()
    }

    /// One user of the grant's page less.
    pub fn release(&mut self, gref: GrantRef) {
        if let Some(mapping) = self.mapped.get_mut(&gref) {
            mapping.users = mapping.users.saturating_sub(1);
        }
    }

    /// Unmaps everything. Nothing may be in use.
    pub fn clear(&mut self, pages: &mut impl Pages) {
        debug_assert!(self.mapped.values().all(|mapping| mapping.users == 0), "a mapped page is in use");
        let mapped: Vec<Page> = self.mapped.values().map(|mapping| mapping.page).collect();
        pages.unmap(&mapped);
        self.mapped.clear();
    }
}
