//! Components by number, and sets of them.

use serde::{Deserialize, Serialize};

/// The most components one monitor can watch: a set of them is one word.
pub const MAX_COMPONENTS: usize = 32;

/// A component: its index in the list of policies that [`Monitor::new`](crate::Monitor::new) was given.
///
/// Always below [`MAX_COMPONENTS`], also when it was read from a damaged record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct ComponentId(u8);

impl ComponentId {
    /// The component of this index; `None` from [`MAX_COMPONENTS`] on.
    pub const fn new(index: usize) -> Option<Self> {
        if index < MAX_COMPONENTS { Some(Self(index as u8)) } else { None }
    }

    /// The first `count` components (at most [`MAX_COMPONENTS`]) in ascending order.
    pub fn first(count: usize) -> impl DoubleEndedIterator<Item = Self> + Clone {
        (0..count.min(MAX_COMPONENTS) as u8).map(Self)
    }

    /// Its index.
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A number that is no component's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoSuchComponent {
    /// The number.
    pub found: u8,
}

impl core::fmt::Display for NoSuchComponent {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "component {} of at most {MAX_COMPONENTS}", self.found)
    }
}

impl core::error::Error for NoSuchComponent {}

impl TryFrom<u8> for ComponentId {
    type Error = NoSuchComponent;

    fn try_from(number: u8) -> Result<Self, NoSuchComponent> {
        Self::new(number.into()).ok_or(NoSuchComponent { found: number })
    }
}

impl From<ComponentId> for u8 {
    fn from(component: ComponentId) -> u8 {
        component.0
    }
}

/// A set of components.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ComponentSet(u32);

impl ComponentSet {
    /// The set of nothing.
    pub const EMPTY: Self = Self(0);

    /// The set whose bit mask this is: bit n stands for component n.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The set as a bit mask.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// The first `count` components.
    pub fn first(count: usize) -> Self {
        ComponentId::first(count).collect()
    }

    /// Puts a component in.
    pub fn insert(&mut self, component: ComponentId) {
        self.0 |= 1 << component.0;
    }

    /// Takes a component out.
    pub fn remove(&mut self, component: ComponentId) {
        self.0 &= !(1 << component.0);
    }

    /// Whether a component is in the set.
    pub const fn contains(self, component: ComponentId) -> bool {
        self.0 & (1 << component.0) != 0
    }

    /// What is in this set or in the other.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in this set and not in the other.
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether every component of this set is in the other.
    pub const fn is_subset(self, other: Self) -> bool {
        self.without(other).is_empty()
    }

    /// Whether the set is of nothing.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many components are in the set.
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The components in ascending order.
    pub fn iter(self) -> impl Iterator<Item = ComponentId> {
        ComponentId::first(MAX_COMPONENTS).filter(move |&component| self.contains(component))
    }
}

impl FromIterator<ComponentId> for ComponentSet {
    fn from_iter<I: IntoIterator<Item = ComponentId>>(components: I) -> Self {
        let mut set = Self::EMPTY;
        set.extend(components);
        set
    }
}

impl Extend<ComponentId> for ComponentSet {
    fn extend<I: IntoIterator<Item = ComponentId>>(&mut self, components: I) {
        components.into_iter().for_each(|component| self.insert(component));
    }
}

#[cfg(test)]
mod tests {
    use super::{ComponentId, ComponentSet, MAX_COMPONENTS};

    #[test]
    fn a_set_keeps_what_a_component_can_be() {
        let mut set: ComponentSet =
            [31, 3, MAX_COMPONENTS, 1000].into_iter().filter_map(ComponentId::new).collect();
        assert!(set.iter().map(ComponentId::index).eq([3, 31]));
        assert_eq!((set.len(), set.bits()), (2, 1 << 31 | 1 << 3));
        for component in set.iter() {
            set.remove(component);
        }
        assert!(set.is_empty());
    }
}
