//! What a VM looks like in XenStore, node by node.

use crate::model::{CONFIG, Machine, has_time, is, no_operator};
use toolstack::layout::vbd_number;
use toolstack::phase::Phase;

#[test]
fn a_running_guest_has_the_nodes_that_stock_guests_and_backends_expect() {
    let machine = Machine::with_config(CONFIG).power_on();
    machine.live(None, no_operator, is(Phase::Running));
    let nodes = machine.nodes();
    let found = nodes.iter().filter(|node| !has_time(node) && !node.starts_with("/tool/xenstored"));
    let found: Vec<&str> = found.map(String::as_str).collect();
    let expected: Vec<&str> = include_str!("nodes.txt").lines().collect();
    assert_eq!(found, expected, "{}", found.join("\n"));
}

/// The numbers that Linux has for these names (`vbd-interface` in Xen's documentation).
#[test]
fn disks_have_the_numbers_that_linux_gives_them() {
    let cases = [
        ("xvda", Some(51712)),
        ("xvda1", Some(51713)),
        ("xvdb", Some(51728)),
        ("xvdp15", Some(51967)),
        ("xvdq", Some((1 << 28) | (16 << 8))),
        ("xvda16", Some((1 << 28) | 16)),
        ("xvdaa", Some((1 << 28) | (26 << 8))),
        ("sda", Some(2048)),
        ("sdb3", Some(2067)),
        ("hda", Some(768)),
        ("hdb1", Some(833)),
        ("hdc", Some(5632)),
        ("hde", None),
        ("sdq", None),
        ("xvd", None),
        ("vda", None),
    ];
    for (vdev, number) in cases {
        assert_eq!(vbd_number(vdev), number, "{vdev}");
    }
}
