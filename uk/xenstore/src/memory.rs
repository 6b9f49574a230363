//! How the memory that root keeps for this unikernel is divided.
//!
//! ```text
//! recovery box of the master       sessions           | vault
//! recovery box of a replica        vault
//! shared memory "xenstore"         seed, four times   | inbox, outbox of the first replica | of the second | ...
//! ```
//!
//! A master without replicas shares nothing: its seed comes first in its recovery box.

use crate::{arguments, random};
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::AtomicU64;
use libos::Uk;
use libos::uk_abi::kept::domains;
use libos::uk_abi::register;
use libos::xen_abi::Domid;
use replica::master::{Channels, XenStoreFraming};
use replica::seed::{self, Agreed};
use replica::session::Sessions;

/// Memory that outlives this life.
pub type Kept = &'static [AtomicU64];

/// What all instances share is called so in the system description.
pub const SHARED: &str = "xenstore";

/// What root keeps for this unikernel.
pub struct Memory {
    /// Which instance this is; the master is 0.
    pub index: usize,
    /// The domains of the other instances, in order.
    pub others: Vec<Domid>,
    /// The log of the state.
    pub vault: Kept,
    /// Where clients' sessions are; empty for a replica.
    pub sessions: Kept,
    /// What all hashes and digests are seeded with, in every instance and in every life.
    pub seed: u64,
    /// The channels of each replica, with the master.
    pub channels: Vec<Channels<Kept>>,
}

/// The most clients that there can be: one a domain that root keeps in its register.
const SESSIONS: usize = register::DOMAINS as usize;
/// What they take: a slot for each, and what the master knows of its domain.
const SESSION_WORDS: usize = SESSIONS * (1 + Sessions::<Kept, XenStoreFraming>::SLOT_WORDS);

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kib = |words: Kept| words.len() / 128;
        match self.index {
            0 => write!(f, "master of {} replicas, ", self.others.len())?,
            index => write!(f, "replica {index}, ")?,
        }
        write!(f, "vault of {} KiB, sessions of {} KiB", kib(self.vault), kib(self.sessions))
    }
}

impl Memory {
    /// Finds what there is and divides it.
    pub fn divide(uk: &Uk) -> Self {
        let shared = uk.shared(SHARED);
        let others: Vec<Domid> = shared.iter().flat_map(|shared| shared.others()).collect();
        let index = others.iter().filter(|other| **other < uk.domid()).count();
        let kept = uk.recovery_words();
        let (seeds, rest, kept) = match shared {
            Some(shared) => {
                let (seeds, rest) = shared.words().split_at(seed::WORDS);
                (seeds, rest, kept)
            }
            None => {
                let (seeds, kept) = kept.split_at(seed::WORDS.min(kept.len()));
                (seeds, &[][..], kept)
            }
        };
        let length = rest.len() / (2 * others.len().max(1));
        let channels = rest.chunks_exact((2 * length).max(1)).take(others.len()).map(|words| {
            let (inbox, outbox) = words.split_at(length);
            Channels { inbox, outbox }
        });
        let for_sessions = if index == 0 { SESSION_WORDS.min(kept.len() / 2) } else { 0 };
        let (sessions, vault) = kept.split_at(for_sessions);
        Self { index, vault, sessions, seed: agreed_seed(seeds), channels: channels.collect(), others }
    }
}

impl Memory {
    /// The settings of the store, which are the same in every instance.
    pub fn store_config(&self, uk: &Uk) -> xenstore::Config {
        let mut privileged = arguments::privileged(uk.info().args());
        privileged.extend(domains(uk.info().toolstacks).map(Domid));
        xenstore::Config { seed: self.seed, privileged, ..Default::default() }
    }
}

/// The seed that all instances go by.
fn agreed_seed(words: Kept) -> u64 {
    let Agreed { seed, mended } = seed::agree(words, random::number);
    if mended > 0 {
        log::warn!("{mended} of {} copies of the seed were damaged, and are mended", seed::COPIES);
    }
    seed
}
