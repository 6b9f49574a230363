//! The order in which components start.

use description::{Component, ComponentSet, Description, MAX_COMPONENTS, Name};
use proptest::prelude::*;

fn description(depends_on: &[u32]) -> Description {
    let name = Name::new("probe").unwrap();
    let components = depends_on.iter().map(|bits| Component {
        depends_on: (0..depends_on.len()).filter(|i| bits >> i & 1 == 1).collect(),
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
                    prop_assert_eq!(needs(i).intersection(started), needs(i));
                    started.insert(i);
                }
                prop_assert_eq!(started.len(), bits.len());
            }
            Err(cycle) => {
                let members: ComponentSet = cycle.iter().map(|&i| i.into()).collect();
                prop_assert_eq!(members.len(), cycle.len());
                let next = cycle.iter().cycle().skip(1);
                prop_assert!(cycle.iter().zip(next).all(|(&i, &on)| needs(i.into()).contains(on.into())));
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

#[test]
fn a_set_keeps_what_a_component_can_be() {
    let mut set = ComponentSet::from_iter([31, 3, 32, 1000]);
    assert_eq!(set.iter().collect::<Vec<_>>(), [3, 31]);
    assert_eq!((set.len(), set.bits()), (2, 1 << 31 | 1 << 3));
    assert!(set.contains(31) && !set.contains(32) && !set.contains(1000));
    set.remove(31);
    set.remove(3);
    assert!(set.is_empty());
}
