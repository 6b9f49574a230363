//! Which component gets which PCI function.

use description::{
    Claim, Component, Device, DeviceClass, DeviceSelector, Driver, Interrupt, Name, PciAddress, PciFunction,
    assign_devices,
};
use proptest::prelude::*;

const NET: u32 = 0x02_00_00;
const NVME: u32 = 0x01_08_02;
const SCSI: u32 = 0x01_00_00;
const BRIDGE: u32 = 0x06_04_00;

fn function(device: u8, (vendor, id): (u16, u16), class: u32) -> PciFunction {
    PciFunction { address: PciAddress { segment: 0, bus: 0, device, function: 0 }, vendor, device: id, class }
}

fn component(selectors: &[DeviceSelector]) -> Component {
    let name = Name::new("probe").unwrap();
    let devices =
        selectors.iter().map(|&select| Device { select, optional: false, interrupt: Interrupt::Msix });
    Component { devices: devices.collect(), ..Component::new(name.clone(), name) }
}

fn by_class(class: DeviceClass, nth: u8) -> DeviceSelector {
    DeviceSelector::Class { class, nth }
}

/// The device numbers that each component gets, entry by entry.
fn assign(components: &[Component], functions: &[PciFunction]) -> Vec<Vec<Option<u8>>> {
    let mut owners = vec![Some(Claim { component: 9, device: 9 }); functions.len()];
    let mut missing = Vec::new();
    assign_devices(components, functions, &mut owners, |claim| missing.push(claim));
    let of = |claim: Claim| {
        let found = owners.iter().position(|owner| *owner == Some(claim));
        assert_eq!(found.is_none(), missing.contains(&claim), "either found or missing");
        found.map(|i| functions[i].address.device)
    };
    components
        .iter()
        .enumerate()
        .map(|(component, c)| (0..c.devices.len()).map(|device| of(Claim { component, device })).collect())
        .collect()
}

#[test]
fn exact_selectors_come_first_and_others_count_what_is_left() {
    let functions = [
        function(1, (0x8086, 0x29c0), BRIDGE),
        function(2, (0x1af4, 0x1041), NET),
        function(3, (0x8086, 0x10d3), NET),
        function(4, (0x1af4, 0x1000), NET),
        function(5, (0x1af4, 0x1042), SCSI),
        function(6, (0x144d, 0xa808), NVME),
    ];
    let components = [
        component(&[by_class(DeviceClass::Net, 0), by_class(DeviceClass::Net, 1)]),
        component(&[DeviceSelector::Address("0000:00:02.0".parse().unwrap())]),
        component(&[DeviceSelector::Driver { driver: Driver::VirtioNet, nth: 0 }]),
        component(&[
            by_class(DeviceClass::Block, 0),
            DeviceSelector::Id { vendor: 0x1af4, device: 0x1042, nth: 0 },
        ]),
        component(&[DeviceSelector::Driver { driver: Driver::Nvme, nth: 0 }]),
        component(&[DeviceSelector::Driver { driver: Driver::E1000e, nth: 1 }]),
    ];
    // The class net is left with the 82574L alone, and the class block with nothing.
    let expected =
        [vec![Some(3), None], vec![Some(2)], vec![Some(4)], vec![None, Some(5)], vec![Some(6)], vec![None]];
    assert_eq!(assign(&components, &functions), expected);
}

#[test]
fn a_function_without_a_place_for_its_owner_is_not_given_away() {
    let functions = [function(1, (0, 0), NET), function(2, (0, 0), NET)];
    let components = [component(&[by_class(DeviceClass::Net, 0), by_class(DeviceClass::Net, 1)])];
    let mut owners = [None];
    let mut missing = Vec::new();
    assign_devices(&components, &functions, &mut owners, |claim| missing.push(claim.device));
    assert_eq!((owners[0].map(|claim| claim.device), missing), (Some(0), vec![1]));
}

proptest! {
    /// Whatever is asked for, also against the rules: each claim gets one function that it matches, or is missing.
    #[test]
    fn each_claim_gets_what_it_matches_or_is_missing(
        classes in prop::collection::vec(prop::sample::select(vec![NET, NVME, SCSI, BRIDGE]), 0..8),
        asked in prop::collection::vec(prop::collection::vec((0..4u8, 0..3u8), 0..=4), 0..4),
    ) {
        let functions: Vec<_> = (0..).zip(&classes).map(|(i, &class)| function(i, (0x8086, 0x10d3), class)).collect();
        let select = |&(kind, nth): &(u8, u8)| match kind {
            0 => by_class(DeviceClass::Net, nth),
            1 => by_class(DeviceClass::Block, nth),
            2 => DeviceSelector::Driver { driver: Driver::Nvme, nth },
            _ => DeviceSelector::Address(PciAddress { segment: 0, bus: 0, device: nth, function: 0 }),
        };
        let components: Vec<_> =
            asked.iter().map(|asked| component(&asked.iter().map(select).collect::<Vec<_>>())).collect();
        for (component, given) in components.iter().zip(assign(&components, &functions)) {
            for (device, given) in component.devices.iter().zip(given) {
                let matches = |i: u8| device.select.matches(&functions[usize::from(i)]);
                prop_assert!(given.is_none_or(matches));
            }
        }
    }

    #[test]
    fn addresses_are_read_as_they_are_written(segment: u16, bus: u8, device in 0..32u8, function in 0..8u8) {
        let address = PciAddress { segment, bus, device, function };
        prop_assert_eq!(address.to_string().parse(), Ok(address));
    }

    #[test]
    fn what_is_read_as_an_address_is_one(text in "[0-9a-f+:. ]{0,14}|\\PC*") {
        if let Ok(address) = text.parse::<PciAddress>() {
            prop_assert!(address.is_valid());
            prop_assert_eq!(address.to_string(), text.to_lowercase());
        }
    }
}
