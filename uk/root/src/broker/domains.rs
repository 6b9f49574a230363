//! The domains that askers have made: whose each is, and what it was promised.

use core::sync::atomic::AtomicU64;
use heapless::Vec;
use recovery_box::{Record, RecoveryBox};
use serde::{Deserialize, Serialize};
use uk_abi::register::DOMAINS;
use xen_abi::Domid;
use xen_abi::domctl::DomainHandle;

/// The most of them: as many as there are numbers.
const MAX_GUESTS: usize = DOMAINS as usize - 1;

/// Bytes of a record.
const PAYLOAD: usize = 32;

/// Their part of root's recovery box.
pub type Records = RecoveryBox<&'static [AtomicU64], MAX_GUESTS, PAYLOAD>;

/// A domain that an asker has made. Keyed by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Its number.
    pub domid: Domid,
    /// The index of the component that has asked for it.
    pub owner: u8,
    /// Whether the register speaks of it.
    pub introduced: bool,
    /// Its UUID.
    pub handle: DomainHandle,
    /// How much memory it may have, in KiB.
    pub memory_kib: u64,
}

impl Record for Guest {
    const TYPE: u16 = 1;
    const VERSION: u16 = 1;
}

impl Guest {
    /// A domain that nobody knows of yet.
    pub const fn new(domid: Domid, owner: usize, handle: DomainHandle, memory_kib: u64) -> Self {
        Self { domid, owner: owner as u8, introduced: false, handle, memory_kib }
    }
}

/// All of them, in ordinary memory and in the recovery box.
pub struct Domains {
    records: Records,
    /// In the order of their numbers.
    guests: Vec<Guest, MAX_GUESTS>,
}

/// There is no room for another.
#[derive(Clone, Copy, Debug)]
pub struct Full;

impl Domains {
    /// Those that an earlier life of root has noted.
    ///
    /// # Panics
    /// If the memory is too small, which root's linker script decides.
    pub fn open(words: &'static [AtomicU64]) -> Self {
        let (records, _) = match Records::open(words) {
            Ok(opened) => opened,
            Err(error) => panic!("root's table of guests: {error}"),
        };
        let mut guests: Vec<Guest, MAX_GUESTS> =
            records.iter::<Guest>().filter_map(|entry| entry.value.ok()).collect();
        guests.sort_unstable_by_key(|guest| guest.domid);
        Self { records, guests }
    }

    /// The first whose number is not below this one.
    pub fn first_from(&self, number: u16) -> Option<Guest> {
        self.guests.get(self.guests.partition_point(|guest| guest.domid.0 < number)).copied()
    }

    /// Those of one component.
    pub fn of(&self, owner: usize) -> impl Iterator<Item = &Guest> {
        self.guests.iter().filter(move |guest| usize::from(guest.owner) == owner)
    }

    /// The one with this number.
    pub fn get(&self, domid: Domid) -> Option<&Guest> {
        let index = self.guests.binary_search_by_key(&domid, |guest| guest.domid).ok()?;
        self.guests.get(index)
    }

    /// How much memory those of one component may have together, in KiB.
    pub fn promised_kib(&self, owner: usize) -> u64 {
        self.of(owner).map(|guest| guest.memory_kib).sum()
    }

    /// Notes one, or what has changed about one, before it is so.
    ///
    /// # Errors
    /// [`Full`].
    pub fn put(&mut self, guest: Guest) -> Result<(), Full> {
        self.records.put(guest.domid.0.into(), &guest).map_err(|_| Full)?;
        match self.guests.binary_search_by_key(&guest.domid, |known| known.domid) {
            Ok(index) => self.guests[index] = guest,
            Err(index) => self.guests.insert(index, guest).map_err(|_| Full)?,
        }
        Ok(())
    }

    /// Forgets one, which there is no more.
    pub fn remove(&mut self, domid: Domid) {
        self.records.remove::<Guest>(domid.0.into());
        self.guests.retain(|guest| guest.domid != domid);
    }
}
