//! Giving the host's PCI functions to the components that ask for them.

use crate::{Component, DeviceSelector, PciFunction};

/// One entry of a component's list of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The component's index.
    pub component: usize,
    /// The index into its [`Component::devices`].
    pub device: usize,
}

/// Finds an owner for PCI functions, which stand in the order of their addresses.
///
/// `owners` has a place for each function; the place of a function that somebody asked for gets the claim. Functions
/// without a place are not given away. Each claim that no function answers is told to `missing`, in the order of
/// components within each kind of selector.
pub fn assign_devices(
    components: &[Component],
    functions: &[PciFunction],
    owners: &mut [Option<Claim>],
    mut missing: impl FnMut(Claim),
) {
    owners.fill(None);
    for rank in 0..DeviceSelector::RANKS {
        // Selectors of one rank that the rules let pass never mean the same function, except by `nth`, which counts
        // what the ranks before have left: so all of a rank look at the same owners.
        let claims = components.iter().enumerate().flat_map(|(component, c)| {
            c.devices.iter().enumerate().map(move |(device, d)| (Claim { component, device }, d.select))
        });
        for (claim, select) in claims.filter(|(_, select)| select.rank() == rank) {
            let taken_before = |owner: &Option<Claim>| {
                owner.is_some_and(|o| components[o.component].devices[o.device].select.rank() < rank)
            };
            let found = functions
                .iter()
                .zip(owners.iter_mut())
                .filter(|(function, owner)| select.matches(function) && !taken_before(owner))
                .nth(select.nth().into());
            match found {
                Some((_, owner @ None)) => *owner = Some(claim),
                _ => missing(claim),
            }
        }
    }
}
