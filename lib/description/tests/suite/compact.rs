//! The compact form: what goes in comes out, and what breaks a rule or is rubbish is refused.

use crate::strategy::{any_description, valid_description};
use crate::{breaches, encode};
use description::{
    Amount, Capabilities, CmdLine, Component, ComponentSet, DecodeError, Description, Device, DeviceSelector,
    Guest, Host, Interrupt, Item, Limits, MAX_ARGS, MAX_COMPONENTS, MAX_DEVICES, MAX_GUESTS, MAX_SHARED,
    Name, Path, PciAddress, Problem, Shared, Source,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_description_survives(description in any_description()) {
        let bytes = encode(&description);
        prop_assert_eq!(&postcard::from_bytes::<Description>(&bytes).unwrap(), &description);
        match (Description::decode(&bytes), breaches(&description).first()) {
            (Ok(decoded), None) => prop_assert_eq!(decoded, description),
            (Err(DecodeError::Refused { place, problem }), Some(first)) => prop_assert_eq!(&(place, problem), first),
            (decoded, first) => prop_assert!(false, "{first:?} but {decoded:?}"),
        }
    }

    #[test]
    fn a_valid_description_is_decoded(description in valid_description()) {
        prop_assert_eq!(breaches(&description), []);
        prop_assert_eq!(Description::decode(&encode(&description)), Ok(description));
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_no_description(description in valid_description(), at in any::<prop::sample::Index>()) {
        let mut bytes = encode(&description);
        prop_assert_eq!(Description::decode(&bytes[..at.index(bytes.len())]), Err(DecodeError::Malformed));
        bytes.push(0);
        prop_assert_eq!(Description::decode(&bytes), Err(DecodeError::Malformed));
    }

    #[test]
    fn damage_never_passes_a_rule(
        description in valid_description(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut bytes = encode(&description);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(decoded) = Description::decode(&bytes) {
            prop_assert_eq!(breaches(&decoded), []);
        }
    }

    #[test]
    fn rubbish_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        if let Ok(decoded) = Description::decode(&bytes) {
            prop_assert_eq!(breaches(&decoded), []);
        }
    }
}

/// The largest description there is, with every number at its longest.
fn largest() -> Description {
    let name = Name::new("abcdefghijklmno").unwrap();
    let device = Device {
        select: DeviceSelector::Address(PciAddress { segment: !0, bus: !0, device: !0, function: !0 }),
        optional: true,
        interrupt: Interrupt::Poll,
    };
    let mut component = Component::new(name.clone(), name.clone());
    for pages in [
        &mut component.memory_pages,
        &mut component.stack_pages,
        &mut component.box_pages,
        &mut component.log_pages,
        &mut component.grant_window_pages,
        &mut component.dma_pages,
    ] {
        *pages = u32::MAX;
    }
    for time in [
        &mut component.heartbeat_period_us,
        &mut component.heartbeat_deadline_us,
        &mut component.boot_deadline_us,
        &mut component.stall_deadline_us,
        &mut component.starved_deadline_us,
        &mut component.repair_deadline_us,
        &mut component.enough_cpu_us,
    ] {
        *time = u64::MAX;
    }
    component.weight = u16::MAX;
    component.depends_on = ComponentSet::first(MAX_COMPONENTS);
    component.devices = std::iter::repeat_n(device, MAX_DEVICES).collect();
    component.limits = Limits { attempts: [u8::MAX; 5], window_us: u64::MAX, hold: u8::MAX };
    component.capabilities = Capabilities::from_bits_retain(u32::MAX);
    component.args = "x".repeat(MAX_ARGS).as_str().try_into().unwrap();
    let path = Path::try_from("x".repeat(64).as_str()).unwrap();
    let shared = Shared { name: name.clone(), between: ComponentSet::first(MAX_COMPONENTS), pages: u32::MAX };
    let guest = Guest {
        name,
        source: Source::Kernel {
            kernel: path.clone(),
            ramdisk: Some(path),
            cmdline: CmdLine::try_from("x".repeat(128).as_str()).unwrap(),
            memory_pages: u32::MAX,
            vcpus: u8::MAX,
            weight: u16::MAX,
        },
    };
    Description {
        host: Host {
            memory_pages: u32::MAX,
            weight: u16::MAX,
            check_period_us: u64::MAX,
            slice_us: Some(u32::MAX),
            plane_rebuilds: u8::MAX,
            plane_window_us: u64::MAX,
            watchdog_us: u64::MAX,
            host_watchdog_s: u32::MAX,
            restarts: u8::MAX,
            restart_window_us: u64::MAX,
            ..Host::DEFAULT
        },
        components: std::iter::repeat_n(component, MAX_COMPONENTS).collect(),
        shared: std::iter::repeat_n(shared, MAX_SHARED).collect(),
        guests: std::iter::repeat_n(guest, MAX_GUESTS).collect(),
    }
}

#[test]
fn the_largest_description_fits() {
    let mut buffer = vec![0; description::MAX_ENCODED];
    assert!(largest().encode(&mut buffer).is_some());
    assert!(largest().encode(&mut buffer[..100]).is_none());
}

/// A description that keeps all rules, to break one of them.
fn sound() -> Description {
    let name = |text| Name::new(text).unwrap();
    let components = ["a", "b"].map(|text| Component::new(name(text), name("probe")));
    let description = Description { components: components.into_iter().collect(), ..Description::default() };
    assert_eq!(breaches(&description), []);
    description
}

#[test]
fn guests_are_for_four_components_at_most_and_their_memory_for_no_other() {
    let mut description = sound();
    description.components[0].guest_memory_pages = Some(256);
    let (place, problem) = breaches(&description).remove(0);
    assert_eq!((place.item, place.key()), (Item::Component(0), "guest-memory"));
    assert!(matches!(problem, Problem::Needs { .. }), "{problem:?}");
    description.components[0].capabilities = Capabilities::GUESTS;
    assert_eq!(breaches(&description), []);

    for name in ["c", "d", "e"] {
        let mut another = description.components[0].clone();
        another.name = Name::new(name).unwrap();
        description.components.push(another).unwrap();
    }
    assert_eq!(breaches(&description), []);
    description.components[1].capabilities = Capabilities::GUESTS;
    let (place, problem) = breaches(&description).remove(0);
    assert_eq!((place.item, place.key()), (Item::Component(4), "capabilities"));
    assert!(matches!(problem, Problem::Impossible { .. }), "{problem:?}");
}

/// What the text cannot say, but damaged bytes can.
#[test]
fn rules_hold_for_what_no_text_can_say() {
    let mut description = sound();
    description.components[1].depends_on = ComponentSet::from_bits(1 << 7);
    let (place, problem) = breaches(&description).remove(0);
    assert_eq!((place.item, place.key()), (Item::Component(1), "depends-on"));
    assert_eq!(problem, Problem::NoSuchComponent { index: 7 });

    let mut description = sound();
    let shared = Shared {
        name: Name::new("pool").unwrap(),
        between: ComponentSet::from_bits(1 << 0 | 1 << 9),
        pages: 1,
    };
    description.shared.push(shared).unwrap();
    let (place, problem) = breaches(&description).remove(0);
    assert_eq!((place.item, place.key()), (Item::Shared(0), "between"));
    assert_eq!(problem, Problem::NoSuchComponent { index: 9 });

    let mut description = sound();
    description.components[0].capabilities = Capabilities::from_bits_retain(1 << 31 | 1);
    assert_eq!(breaches(&description)[0].1, Problem::UnknownCapabilities { bits: 1 << 31 });

    let mut description = sound();
    let address = PciAddress { segment: 0, bus: 0, device: 32, function: 0 };
    description.components[0].dma_pages = 1;
    let device =
        Device { select: DeviceSelector::Address(address), optional: false, interrupt: Interrupt::Msix };
    description.components[0].devices.push(device).unwrap();
    assert!(matches!(breaches(&description)[..], [(_, Problem::Impossible { .. })]));
}

#[test]
fn a_refusal_says_what_and_where_without_the_description() {
    let mut description = sound();
    description.components[1].heartbeat_deadline_us = 7_500;
    description.components[1].depends_on = ComponentSet::from_bits(1 << 1);
    let error = Description::decode(&encode(&description)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "component 1, heartbeat-deadline: 7500 us asked for, at least 10 ms needed: two heartbeat periods: one late beat \
         is no hang",
    );
    let cycle = &breaches(&description)[1].1;
    assert_eq!(
        cycle.to_string(),
        "these wait for each other for ever: component 1 -> component 1: remove one of the dependencies",
    );
    assert!(cycle.explain(&description).to_string().contains("b -> b"));
}

#[test]
fn what_root_keeps_is_counted_once_for_the_host_and_for_each_who_uses_it() {
    let mut description = sound();
    description.components[0].capabilities = Capabilities::XENSTORE;
    description.components[1].capabilities = Capabilities::GUESTS;
    let shared = Shared {
        name: Name::new("pool").unwrap(),
        between: ComponentSet::from_bits(1 << 0 | 1 << 1),
        pages: 16,
    };
    description.shared.push(shared).unwrap();
    assert_eq!(breaches(&description), []);
    assert_eq!([0, 1, 2].map(|index| description.kept_pages_of(index)), [4 + 16 + 1, 4 + 16 + 136 + 1, 0]);
    assert_eq!(description.kept_pages(), 4 + 4 + 16 + 136 + 1);
}

#[test]
fn amounts_are_shown_in_the_largest_whole_unit() {
    let shown = [
        (Amount::Pages(0), "0 KiB"),
        (Amount::Pages(3), "12 KiB"),
        (Amount::Pages(256), "1 MiB"),
        (Amount::Pages(256 * 1024), "1 GiB"),
        (Amount::Micros(1), "1 us"),
        (Amount::Micros(2_000), "2 ms"),
        (Amount::Micros(3_000_000), "3 s"),
        (Amount::Micros(120_000_000), "2 min"),
        (Amount::Count(7), "7"),
    ];
    for (amount, text) in shown {
        assert_eq!(amount.to_string(), text);
    }
}
