//! What needs what: the dependency graph, all of it worked out once.

use crate::{ComponentId, ComponentSet};
use core::fmt;

/// Needs that are no order of start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GraphError {
    /// A component needs one that does not exist.
    NoSuchComponent {
        /// Who needs it.
        component: ComponentId,
        /// What it needs.
        needs: ComponentId,
        /// How many components there are.
        count: usize,
    },
    /// Each of these needs, directly or not, one that needs it: none of them could ever be started.
    Cycle {
        /// Those on a cycle, and those that need one of them.
        stuck: ComponentSet,
    },
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchComponent { component, needs, count } => {
                write!(f, "component {} needs {} of {count}", component.index(), needs.index())
            }
            Self::Cycle { stuck } => {
                write!(f, "these components wait for each other:")?;
                stuck.iter().try_for_each(|component| write!(f, " {}", component.index()))
            }
        }
    }
}

impl core::error::Error for GraphError {}

/// The dependency graph of up to `N` components.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Graph<const N: usize> {
    needs: [ComponentSet; N],
    dependents: [ComponentSet; N],
    rank: [u8; N],
}

impl<const N: usize> Graph<N> {
    /// The graph in which component n needs `direct[n]`. Entries beyond `N` are not looked at.
    pub fn new(direct: &[ComponentSet]) -> Result<Self, GraphError> {
        let count = direct.len().min(N);
        let all = ComponentSet::first(count);
        let mut graph =
            Self { needs: [ComponentSet::EMPTY; N], dependents: [ComponentSet::EMPTY; N], rank: [0; N] };
        for (component, needs) in ComponentId::first(count).zip(direct) {
            if let Some(needs) = needs.without(all).iter().next() {
                return Err(GraphError::NoSuchComponent { component, needs, count });
            }
        }
        // Layer by layer: what needs only earlier layers. At most one layer for each component.
        let mut placed = ComponentSet::EMPTY;
        for rank in 0..count as u8 {
            let layer: ComponentSet = all
                .without(placed)
                .iter()
                .filter(|component| direct[component.index()].is_subset(placed))
                .collect();
            for component in layer.iter() {
                let of_needs = direct[component.index()].iter().map(|need| graph.needs[need.index()]);
                let closure = of_needs.fold(direct[component.index()], ComponentSet::union);
                graph.needs[component.index()] = closure;
                graph.rank[component.index()] = rank;
                closure.iter().for_each(|need| graph.dependents[need.index()].insert(component));
            }
            placed = placed.union(layer);
        }
        let stuck = all.without(placed);
        if stuck.is_empty() { Ok(graph) } else { Err(GraphError::Cycle { stuck }) }
    }

    /// All that a component needs: what it names, what those need, and so on.
    pub fn needs(&self, component: ComponentId) -> ComponentSet {
        self.needs[component.index()]
    }

    /// All that need a component, directly or not.
    pub fn dependents(&self, component: ComponentId) -> ComponentSet {
        self.dependents[component.index()]
    }

    /// How long the longest chain of needs below a component is; ascending ranks are an order of start.
    pub fn rank(&self, component: ComponentId) -> u8 {
        self.rank[component.index()]
    }
}
