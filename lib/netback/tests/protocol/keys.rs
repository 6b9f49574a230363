//! What stands in XenStore.

use netback::{DeviceKeys, FrontendKeys, KeyError, MAX_QUEUES, OFFERS, Rate, parse_mac};
use proptest::prelude::*;
use xen_abi::{GrantRef, Port};

const LINUX: [(&str, &str); 9] = [
    ("tx-ring-ref", "768"),
    ("rx-ring-ref", "769"),
    ("event-channel-tx", "15"),
    ("event-channel-rx", "16"),
    ("request-rx-copy", "1"),
    ("feature-rx-notify", "1"),
    ("feature-sg", "1"),
    ("feature-gso-tcpv4", "1"),
    ("feature-ipv6-csum-offload", "1"),
];

/// Reads keys, of which the first of a name counts; one without a value is not there.
fn read(keys: &[(&str, Option<&str>)]) -> Result<FrontendKeys, KeyError> {
    let linux = LINUX.map(|(name, value)| (name, Some(value)));
    let all: Vec<_> = keys.iter().chain(&linux).copied().collect();
    FrontendKeys::read(|key| all.iter().find(|(name, _)| *name == key).and_then(|(_, value)| *value))
}

#[test]
fn what_linux_says_is_understood() {
    let keys = read(&[]).expect("as Linux writes it");
    let [queue] = &keys.queues[..] else { panic!("one queue") };
    assert_eq!((queue.tx_ring(), queue.rx_ring()), (GrantRef(768), GrantRef(769)));
    assert_eq!((queue.tx_port(), queue.rx_port()), (Port(15), Port(16)));
    let abilities = keys.abilities();
    assert!(
        abilities.checksum_v4 && abilities.checksum_v6 && abilities.segments_v4 && !abilities.segments_v6
    );
    assert!(keys.rx_notify && !keys.multicast_control && keys.control().is_none());
    let shared = read(&[("event-channel-tx", None), ("event-channel", Some("9"))]).expect("an old frontend");
    assert_eq!((shared.queues[0].tx_port(), shared.queues[0].rx_port()), (Port(9), Port(9)));
}

#[test]
fn several_queues_have_directories() {
    let names: Vec<String> = (0..2)
        .flat_map(|queue| {
            ["tx-ring-ref", "rx-ring-ref", "event-channel"].map(|key| format!("queue-{queue}/{key}"))
        })
        .collect();
    let mut keys: Vec<_> = names
        .iter()
        .zip(["1", "2", "3", "4", "5", "6"])
        .map(|(name, value)| (&name[..], Some(value)))
        .collect();
    keys.push(("multi-queue-num-queues", Some("2")));
    keys.extend([("ctrl-ring-ref", Some("7")), ("event-channel-ctrl", Some("8"))]);
    let found = read(&keys).expect("two queues");
    let rings: Vec<_> =
        found.queues.iter().map(|queue| (queue.tx_ring().0, queue.rx_ring().0, queue.tx_port().0)).collect();
    assert_eq!(rings, [(1, 2, 3), (4, 5, 6)]);
    assert_eq!(found.control(), Some((GrantRef(7), Port(8))));
    assert!(matches!(read(&keys[1..]), Err(KeyError::Missing { key }) if key == "queue-0/tx-ring-ref"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    for count in ["0", "5", "4294967295"] {
        assert!(matches!(read(&[("multi-queue-num-queues", Some(count))]), Err(KeyError::Queues { .. })));
    }
    assert_eq!(read(&[("request-rx-copy", None)]), Err(KeyError::NoRxCopy));
    assert!(matches!(read(&[("rx-ring-ref", None)]), Err(KeyError::Missing { .. })));
    assert!(matches!(read(&[("tx-ring-ref", Some("-1"))]), Err(KeyError::Unreadable { .. })));
    assert!(matches!(read(&[("ctrl-ring-ref", Some("1"))]), Err(KeyError::Missing { .. })));
}

#[test]
fn the_offers_are_what_the_code_does() {
    let offer = |key| OFFERS.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
    assert_eq!(offer("multi-queue-max-queues").and_then(|value| value.parse().ok()), Some(MAX_QUEUES));
    assert_eq!(offer("feature-rx-copy"), Some("1"));
}

#[test]
fn the_toolstacks_keys() {
    let get = |key: &str| match key {
        "mac" => Some("00:16:3e:12:34:56"),
        "bridge" => Some("xenbr0"),
        "rate" => Some("125000,100000"),
        _ => None,
    };
    let keys = DeviceKeys::read(get).expect("as xl writes them");
    assert_eq!(keys.mac.0, [0x00, 0x16, 0x3e, 0x12, 0x34, 0x56]);
    assert_eq!(keys.bridge.as_deref(), Some("xenbr0"));
    assert_eq!(keys.rate, Some(Rate { bytes: 125_000, period_us: 100_000 }));
    assert!(matches!(DeviceKeys::read(|_| None), Err(KeyError::Missing { .. })));
    for wrong in [
        "",
        "00:16:3e:12:34",
        "00:16:3e:12:34:56:78",
        "01:00:5e:00:00:01",
        "00:16:3e:12:34:5g",
        "001:6:3e:1:2:3",
    ] {
        assert_eq!(parse_mac(wrong), None, "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_text_confuses_it(key in 0..LINUX.len(), text in ".{0,30}") {
        let (name, _) = LINUX[key];
        let _ = read(&[(name, Some(&text))]);
        let _ = parse_mac(&text);
    }
}
