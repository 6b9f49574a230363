use super::*;
use proptest::prelude::*;
use std::vec::Vec;
use zerocopy::FromZeros;

/// A device with the capabilities `list`: pairs of offset and id, in order.
fn with_capabilities(list: &[(u8, u8)]) -> DeviceInfo {
    let mut info = DeviceInfo::new_zeroed();
    info.config[0x06] = 1 << 4;
    let mut pointer = 0x34;
    for &(offset, id) in list {
        info.config[pointer] = offset;
        info.config[offset as usize] = id;
        pointer = offset as usize + 1;
    }
    info
}

#[test]
fn capabilities_come_in_the_order_of_the_list() {
    let info = with_capabilities(&[(0x98, 0x11), (0x40, 0x09), (0xfc, 0x05)]);
    let found: Vec<_> = info.capabilities().map(|c| (c.offset, c.id, c.bytes.len())).collect();
    assert_eq!(found, [(0x98, 0x11, 0x68), (0x40, 0x09, 0xc0), (0xfc, 0x05, 4)]);
}

#[test]
fn a_device_without_the_list_has_no_capabilities() {
    let mut info = with_capabilities(&[(0x40, 0x11)]);
    info.config[0x06] = 0;
    assert_eq!(info.capabilities().count(), 0);
}

#[test]
fn a_circular_list_ends() {
    let mut info = with_capabilities(&[(0x40, 1), (0x50, 2)]);
    info.config[0x51] = 0x40;
    assert_eq!(info.capabilities().count(), (256 - 64) / 4);
}

#[test]
fn a_list_that_points_into_the_header_ends() {
    assert_eq!(with_capabilities(&[(0x44, 1), (0x10, 2)]).capabilities().count(), 1);
}

#[test]
fn pirqs_and_irq_kind_are_never_more_than_there_can_be() {
    let mut info = DeviceInfo::new_zeroed();
    assert_eq!((info.irq_kind(), info.pirqs()), (IrqKind::None, &[][..]));
    info.pirqs = [1, 2, 3, 4, 5, 6, 7, 8];
    info.pirq_count = 3;
    info.irq_kind = IrqKind::Msix as u32;
    assert_eq!((info.irq_kind(), info.pirqs()), (IrqKind::Msix, &[1, 2, 3][..]));
    info.pirq_count = u32::MAX;
    info.irq_kind = 99;
    assert_eq!((info.irq_kind(), info.pirqs().len()), (IrqKind::Poll, MAX_PIRQS));
}

proptest! {
    #[test]
    fn any_configuration_space_has_an_end(bytes in prop::collection::vec(any::<u8>(), size_of::<DeviceInfo>())) {
        let info = DeviceInfo::read_from_bytes(&bytes).expect("of that size");
        for capability in info.capabilities() {
            prop_assert!(capability.offset >= 0x40 && capability.bytes.len() >= 4);
        }
        prop_assert!(info.pirqs().len() <= MAX_PIRQS);
    }
}
