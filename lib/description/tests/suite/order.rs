//! The order in which components start.

use description::{Component, ComponentId, ComponentSet, Description, MAX_COMPONENTS, Name};
use proptest::prelude::*;

fn description(depends_on: &[u32]) -> Description {
    let name = Name::new("probe").unwrap();
    let components = depends_on.iter().map(|bits| Component {
        depends_on: ComponentSet::from_bits(*bits).and(ComponentSet::first(depends_on.len())),
        ..Component::new(name.clone(), name.clone())
    });
    Description { components: components.collect(), ..Description::default() }
}

proptest! {
    /// Either everything stands behind what it needs, or a cycle is shown that is one.
    #[test]
    fn the_order_is_right_or_a_cycle_is_shown(sparse in any::<bool>(), bits in prop::collection::vec(any::<[u32; 3]>(), 1..=MAX_COMPONENTS)) {
        let bits: Vec<u32> = bits.iter().map(|[a, b, c]| if sparse { a & b & c & (b >> 7) } else { a & b }).collect();
        let description = description(&bits);
        let needs = |i: usize| description.components[i].depends_on;
        match description.boot_order() {
            Ok(order) => {
                let mut started = ComponentSet::EMPTY;
                for i in order {
                    prop_assert!(needs(i).is_subset(started));
                    started.extend(ComponentId::new(i));
                }
                prop_assert_eq!(started.len(), bits.len());
            }
            Err(cycle) => {
                let members: ComponentSet = cycle.iter().filter_map(|&i| ComponentId::try_from(i).ok()).collect();
                prop_assert_eq!(members.len(), cycle.len());
                let next = cycle.iter().cycle().skip(1);
                prop_assert!(cycle.iter().zip(next).all(|(&i, &on)| needs(i.into()).contains(ComponentId::try_from(on).unwrap())));
            }
        }
    }

    #[test]
    fn without_a_cycle_there_is_an_order(bits in prop::collection::vec(any::<u32>(), 1..=MAX_COMPONENTS)) {
        let earlier: Vec<u32> = bits.iter().enumerate().map(|(i, bits)| bits & ((1u32 << i) - 1)).collect();
        // Each depends on earlier ones alone, so the order of the text is an order of dependencies.
        let order = description(&earlier).boot_order().unwrap();
        prop_assert!(order.into_iter().eq(0..bits.len()));
    }
}
