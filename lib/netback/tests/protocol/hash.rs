//! Toeplitz's hash against the vectors that Microsoft gives for receive-side scaling ("Verifying the RSS Hash
//! Calculation"), and queues.

use netback::{Hashing, toeplitz};

const KEY: [u8; 40] = [
    0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0,
    0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42,
    0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
];

/// Source and destination, as the vectors have them.
fn tuple(from: [u8; 4], to: [u8; 4], ports: Option<(u16, u16)>) -> Vec<u8> {
    let ports = ports.map(|(from, to)| [from.to_be_bytes(), to.to_be_bytes()].concat()).unwrap_or_default();
    [&from[..], &to, &ports].concat()
}

#[test]
fn toeplitz_is_as_published() {
    let vectors = [
        ([66, 9, 149, 187], 2794, [161, 142, 100, 80], 1766, 0x323e_8fc2, 0x51cc_c178),
        ([199, 92, 111, 2], 14230, [65, 69, 140, 83], 4739, 0xd718_262a, 0xc626_b0ea),
        ([24, 19, 198, 95], 12898, [12, 22, 207, 184], 38024, 0xd2d0_a5de, 0x5c2b_394a),
        ([38, 27, 205, 30], 48228, [209, 142, 163, 6], 2217, 0x8298_9176, 0xafc7_327f),
        ([153, 39, 163, 191], 44251, [202, 188, 127, 2], 1303, 0x5d18_09c5, 0x10e8_28a2),
    ];
    for (from, from_port, to, to_port, addresses, ports) in vectors {
        assert_eq!(toeplitz(&KEY, &tuple(from, to, None)), addresses);
        assert_eq!(toeplitz(&KEY, &tuple(from, to, Some((from_port, to_port)))), ports);
    }
    assert_eq!(toeplitz(&[], &[0xff; 36]), 0, "no key, no hash");
}

/// A frame of UDP over IPv4 between two ports.
fn udp(ports: (u16, u16)) -> Vec<u8> {
    let ip = [0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let (from, to) = (ports.0.to_be_bytes(), ports.1.to_be_bytes());
    [&[0; 12][..], &[8, 0], &ip, &from, &to, &[0, 8, 0, 0]].concat()
}

#[test]
fn a_flow_stays_in_its_queue_and_flows_spread() {
    let hashing = Hashing::new();
    let queue = |port| hashing.sort(&udp((port, 53)), 4);
    let mut used = [0; 4];
    for port in 0..1000 {
        let (hash, queue_of) = queue(port);
        assert_eq!(hash, None);
        assert_eq!(queue(port).1, queue_of);
        used[queue_of] += 1;
    }
    assert!(used.iter().all(|count| *count > 150), "{used:?}");
    assert_eq!(hashing.sort(&[0; 60], 4), (None, 0), "what has no flow goes to the first");
}
