//! The special nodes, which have permissions but no place in the tree: who may hear of `@introduceDomain` and
//! `@releaseDomain`.

use alloc::vec::Vec;

use crate::damage::{Damage, Part};
use crate::digest::Key;
use crate::item::Item;
use crate::path;
use crate::permission::{Access, Permission};
use crate::record::Record;

/// One special node.
#[derive(Clone, Debug)]
pub(crate) struct Special {
    name: &'static [u8],
    pub record: Record,
    pub generation: u64,
    own: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct Specials {
    key: Key,
    all: [Special; 2],
}

impl Specials {
    /// Both, for nobody but the privileged.
    pub(crate) fn new(key: Key) -> Self {
        let mut scratch = Vec::new();
        let all = [path::INTRODUCE_DOMAIN, path::RELEASE_DOMAIN].map(|name| {
            let record = Record::new(name, &[Permission::new(0, Access::NONE)], &[], &mut scratch);
            let own = key.node(0, 0, &record);
            Special { name, record, generation: 0, own }
        });
        Self { key, all }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.all.iter().fold(0, |sum, special| sum.wrapping_add(special.own))
    }

    /// The special node of that name, checked.
    pub(crate) fn get(&self, name: &[u8]) -> Result<Option<&Special>, Damage> {
        let Some(special) = self.all.iter().find(|special| special.name == name) else { return Ok(None) };
        let found = self.key.node(0, special.generation, &special.record);
        if found == special.own {
            Ok(Some(special))
        } else {
            Err(Damage::node(name, Part::Record, special.own, found))
        }
    }

    /// Replaces a special node's record.
    pub(crate) fn set(&mut self, name: &[u8], record: Record, generation: u64) {
        if let Some(special) = self.all.iter_mut().find(|special| special.name == name) {
            special.own = self.key.node(0, generation, &record);
            special.record = record;
            special.generation = generation;
        }
    }

    /// The items that tell of them.
    pub(crate) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        self.all.iter().map(Special::item)
    }
}

impl Special {
    pub(crate) fn item(&self) -> Item<'_> {
        Item::Node { path: self.name, birth: 0, generation: self.generation, record: self.record.view() }
    }
}
