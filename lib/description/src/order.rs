//! The order of dependencies, and the cycles that make it impossible.

use crate::{ComponentId, ComponentSet, MAX_COMPONENTS};
use heapless::Vec;

/// Indexes of components that wait for each other in a ring: each for the next, and the last for the first.
pub type Cycle = Vec<u8, MAX_COMPONENTS, u8>;

/// Puts components, of which each depends on a set of others, in an order with each behind what it depends on. Of
/// those that may come next the first comes first. A dependency on what is no component is held to be met.
pub(crate) fn order(depends_on: &[ComponentSet]) -> Result<Vec<usize, MAX_COMPONENTS>, Cycle> {
    let mut order = Vec::new();
    let mut left = ComponentSet::first(depends_on.len());
    while let Some(first_left) = left.iter().next() {
        let Some(next) = left.iter().find(|i| depends_on[i.index()].and(left).is_empty()) else {
            return Err(find_cycle(depends_on, left, first_left));
        };
        left.remove(next);
        // Each component comes once, so there is room.
        let _ = order.push(next.index());
    }
    Ok(order)
}

/// A cycle among components of which each waits for another of them, found on the way from one of them.
fn find_cycle(depends_on: &[ComponentSet], left: ComponentSet, from: ComponentId) -> Cycle {
    let mut path = Cycle::new();
    let mut next = Some(from);
    while let Some(i) = next {
        if let Some(start) = path.iter().position(|&seen| seen == u8::from(i)) {
            return path.iter().skip(start).copied().collect();
        }
        let _ = path.push(i.into());
        next = depends_on[i.index()].and(left).iter().next();
    }
    path
}
