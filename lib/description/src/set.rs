//! Sets of components.

use crate::MAX_COMPONENTS;
use serde::{Deserialize, Serialize};

/// A set of components, by their index in [`Description::components`](crate::Description::components).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ComponentSet(u32);

const _: () = assert!(MAX_COMPONENTS <= u32::BITS as usize);

impl ComponentSet {
    /// The set of nothing.
    pub const EMPTY: Self = Self(0);

    /// Puts a component in. An index that no component can have (from [`MAX_COMPONENTS`] on) is left out.
    pub fn insert(&mut self, index: usize) {
        self.0 |= Self::bit(index);
    }

    /// Takes a component out.
    pub fn remove(&mut self, index: usize) {
        self.0 &= !Self::bit(index);
    }

    /// Whether a component is in the set.
    pub fn contains(self, index: usize) -> bool {
        self.0 & Self::bit(index) != 0
    }

    /// The components that are in both sets.
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether the set is of nothing.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many components are in the set.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The set as a bit mask: bit n stands for component n.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// The components in ascending order.
    pub fn iter(self) -> ComponentSetIter {
        ComponentSetIter(self.0)
    }

    fn bit(index: usize) -> u32 {
        if index < MAX_COMPONENTS { 1 << index } else { 0 }
    }
}

/// The components of a [`ComponentSet`], in ascending order.
#[derive(Clone, Debug)]
pub struct ComponentSetIter(u32);

impl Iterator for ComponentSetIter {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let index = self.0.checked_ilog2().map(|_| self.0.trailing_zeros() as usize)?;
        self.0 &= self.0 - 1;
        Some(index)
    }
}

impl IntoIterator for ComponentSet {
    type Item = usize;
    type IntoIter = ComponentSetIter;

    fn into_iter(self) -> ComponentSetIter {
        self.iter()
    }
}

impl FromIterator<usize> for ComponentSet {
    fn from_iter<I: IntoIterator<Item = usize>>(indexes: I) -> Self {
        let mut set = Self::EMPTY;
        indexes.into_iter().for_each(|index| set.insert(index));
        set
    }
}
