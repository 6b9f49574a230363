//! What stands in XenStore.

use blkback::geometry::{Discard, Geometry};
use blkback::keys::{BadLink, Link, MAX_QUEUES, Offer, offer, properties, resized};
use std::collections::BTreeMap;
use xen_abi::{GrantRef, Port};

const DISK: Geometry = Geometry {
    sectors: 1 << 40,
    sector_size: 512,
    physical_sector_size: 4096,
    read_only: false,
    cdrom: false,
    has_cache: true,
    discard: Some(Discard { granularity: 4096, alignment: 512, secure: false }),
};

fn text(nodes: impl IntoIterator<Item = blkback::keys::Node>) -> Vec<String> {
    nodes.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

#[test]
fn all_of_the_protocol_is_offered() {
    let expected = [
        "multi-queue-max-queues=4",
        "max-ring-page-order=4",
        "feature-persistent=1",
        "feature-flush-cache=1",
        "feature-barrier=1",
        "feature-discard=1",
        "feature-max-indirect-segments=256",
        "discard-granularity=4096",
        "discard-alignment=512",
        "discard-secure=0",
    ];
    assert_eq!(text(offer(&Offer::default(), &DISK)), expected);
    let expected = ["sectors=1099511627776", "info=0", "sector-size=512", "physical-sector-size=4096"];
    assert_eq!(text(properties(&DISK)), expected);
    assert_eq!(text(resized(&Geometry { sectors: 7, ..DISK })), ["sectors=7"]);
}

#[test]
fn what_a_disk_cannot_do_is_not_offered() {
    let least =
        Offer { max_queues: 1, max_ring_page_order: 0, max_indirect_segments: 0, persistent_grants: 0 };
    let expected = [
        "multi-queue-max-queues=1",
        "max-ring-page-order=0",
        "feature-persistent=0",
        "feature-flush-cache=0",
        "feature-barrier=0",
        "feature-discard=0",
    ];
    let cdrom = Geometry { read_only: true, cdrom: true, ..DISK };
    assert_eq!(text(offer(&least, &cdrom)), expected);
    assert_eq!(text(properties(&cdrom))[1], "info=5");
}

fn read(nodes: &[(&str, &str)]) -> Result<Link, BadLink> {
    let nodes: BTreeMap<String, String> =
        nodes.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Link::read(&Offer::default(), |name| nodes.get(name).cloned())
}

fn queues(link: &Link) -> Vec<(Port, Vec<GrantRef>)> {
    link.queues.iter().map(|queue| (queue.port(), queue.ring().collect())).collect()
}

#[test]
fn a_frontend_with_one_queue_is_read() {
    let link = read(&[("ring-ref", "8"), ("event-channel", "5"), ("protocol", "x86_64-abi")]).unwrap();
    assert!(!link.persistent);
    assert_eq!(queues(&link), [(Port(5), vec![GrantRef(8)])]);

    let pages = [
        ("ring-page-order", "1"),
        ("ring-ref0", "8"),
        ("ring-ref1", "9"),
        ("event-channel", "5"),
        ("feature-persistent", "1"),
    ];
    let link = read(&pages).unwrap();
    assert!(link.persistent);
    assert_eq!(queues(&link), [(Port(5), vec![GrantRef(8), GrantRef(9)])]);

    let either = [("ring-page-order", "0"), ("ring-ref0", "8"), ("event-channel", "5")];
    assert_eq!(queues(&read(&either).unwrap()), [(Port(5), vec![GrantRef(8)])]);
}

#[test]
fn a_frontend_with_several_queues_is_read() {
    let nodes = [
        ("multi-queue-num-queues", "2"),
        ("ring-page-order", "1"),
        ("queue-0/ring-ref0", "8"),
        ("queue-0/ring-ref1", "9"),
        ("queue-0/event-channel", "5"),
        ("queue-1/ring-ref0", "10"),
        ("queue-1/ring-ref1", "11"),
        ("queue-1/event-channel", "6"),
    ];
    let expected = [(Port(5), vec![GrantRef(8), GrantRef(9)]), (Port(6), vec![GrantRef(10), GrantRef(11)])];
    let link = read(&nodes).unwrap();
    assert_eq!(queues(&link), expected);
    for left_out in 3..nodes.len() {
        let others = [&nodes[..left_out], &nodes[left_out + 1..]].concat();
        let error = read(&others).unwrap_err();
        assert_eq!(error.to_string(), format!("the frontend's node {} is missing", nodes[left_out].0));
    }
}

#[test]
fn what_makes_no_sense_is_told() {
    let told = |name: &str, value: &str| {
        let mut nodes = vec![("ring-ref", "8"), ("event-channel", "5")];
        nodes.retain(|(other, _)| *other != name);
        nodes.push((name, value));
        read(&nodes).unwrap_err().to_string()
    };
    let number = |name: &str, max: u32, found: &str| {
        format!("the frontend's node {name}: expected a number up to {max}, found {found:?}")
    };
    assert_eq!(told("protocol", "x86_32-abi"), "expected the protocol x86_64-abi, found \"x86_32-abi\"");
    assert_eq!(told("multi-queue-num-queues", "5"), number("multi-queue-num-queues", 4, "5"));
    assert_eq!(told("multi-queue-num-queues", "0"), number("multi-queue-num-queues", 4, "0"));
    assert_eq!(told("ring-page-order", "5"), number("ring-page-order", 4, "5"));
    assert_eq!(told("ring-ref", "-1"), number("ring-ref", u32::MAX, "-1"));
    assert_eq!(told("event-channel", "4294967296"), number("event-channel", u32::MAX, "4294967296"));
    let long = "9".repeat(1000);
    assert_eq!(
        told("ring-ref", &long),
        number("ring-ref", u32::MAX, &long[..32]),
        "no more than fits a log line"
    );
    assert_eq!(told("feature-persistent", "yes"), number("feature-persistent", u32::MAX, "yes"));
    assert!(MAX_QUEUES >= usize::from(Offer::default().max_queues));
}
