//! Frames that say who they are, so that each can be told from all others and from damage.

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, EthernetRepr, IpAddress, IpProtocol, Ipv4Address,
    Ipv4Packet, Ipv4Repr, Ipv6Address, Ipv6Packet, Ipv6Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};

/// Bytes of the headers of TCP over IPv4 and over IPv6.
pub const HEADERS_V4: usize = 14 + 20 + 20;
pub const HEADERS_V6: usize = 14 + 40 + 20;

/// Which frame it is: the sender, a flow of it, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    pub sender: u8,
    pub flow: u8,
    pub number: u32,
}

pub fn mac(number: u8) -> EthernetAddress {
    EthernetAddress([0x00, 0x16, 0x3e, 0, 0, number])
}

/// A frame of no known protocol with a name, and bytes that follow from it.
pub fn named(name: Name, to: EthernetAddress, length: usize) -> Vec<u8> {
    let mut frame = vec![0; length.max(14 + 10)];
    let repr = EthernetRepr {
        src_addr: mac(name.sender),
        dst_addr: to,
        ethertype: EthernetProtocol::Unknown(0x88b5),
    };
    repr.emit(&mut EthernetFrame::new_unchecked(&mut frame));
    frame[14] = name.sender;
    frame[15] = name.flow;
    frame[16..20].copy_from_slice(&name.number.to_le_bytes());
    let length = frame.len() as u32;
    frame[20..24].copy_from_slice(&length.to_le_bytes());
    for (at, byte) in frame.iter_mut().enumerate().skip(24) {
        *byte = filler(name.number, at);
    }
    frame
}

/// The byte at a place of the payload of a frame or a stream.
pub fn filler(seed: u32, at: usize) -> u8 {
    (seed as usize).wrapping_mul(31).wrapping_add(at).wrapping_mul(197) as u8
}

/// The name of a frame that is whole.
pub fn name_of(frame: &[u8]) -> Name {
    let word = |at: usize| u32::from_le_bytes(frame[at..at + 4].try_into().expect("four bytes"));
    let name = Name { sender: frame[14], flow: frame[15], number: word(16) };
    assert_eq!(word(20) as usize, frame.len(), "{name:?} has not its length");
    let is_whole = frame.iter().enumerate().skip(24).all(|(at, byte)| *byte == filler(name.number, at));
    assert!(is_whole, "{name:?} is damaged");
    name
}

/// A frame of TCP; its checksum is right, or only the sum of the pseudo header if it is `blank`.
pub fn tcp(is_v6: bool, payload: &[u8], blank: bool) -> Vec<u8> {
    let (from, to): (IpAddress, IpAddress) = if is_v6 {
        let address = |last| Ipv6Address::new(0xfd00, 0, 0, 0, 0, 0, 0, last);
        (address(1).into(), address(2).into())
    } else {
        (Ipv4Address::new(10, 0, 0, 1).into(), Ipv4Address::new(10, 0, 0, 2).into())
    };
    let tcp = TcpRepr {
        src_port: 4000,
        dst_port: 80,
        control: TcpControl::Psh,
        seq_number: TcpSeqNumber(1000),
        ack_number: Some(TcpSeqNumber(1)),
        window_len: 1000,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload,
    };
    let headers = if is_v6 { HEADERS_V6 } else { HEADERS_V4 };
    let mut frame = vec![0; headers + payload.len()];
    let ethertype = if is_v6 { EthernetProtocol::Ipv6 } else { EthernetProtocol::Ipv4 };
    let repr = EthernetRepr { src_addr: mac(1), dst_addr: mac(2), ethertype };
    repr.emit(&mut EthernetFrame::new_unchecked(&mut frame));
    match (from, to) {
        (IpAddress::Ipv4(src_addr), IpAddress::Ipv4(dst_addr)) => {
            let next_header = IpProtocol::Tcp;
            let repr =
                Ipv4Repr { src_addr, dst_addr, next_header, payload_len: tcp.buffer_len(), hop_limit: 64 };
            let mut packet = Ipv4Packet::new_unchecked(&mut frame[14..]);
            repr.emit(&mut packet, &ChecksumCapabilities::default());
        }
        (IpAddress::Ipv6(src_addr), IpAddress::Ipv6(dst_addr)) => {
            let next_header = IpProtocol::Tcp;
            let repr =
                Ipv6Repr { src_addr, dst_addr, next_header, payload_len: tcp.buffer_len(), hop_limit: 64 };
            repr.emit(&mut Ipv6Packet::new_unchecked(&mut frame[14..]));
        }
        _ => unreachable!("both are of one family"),
    }
    let start = headers - 20;
    let mut packet = TcpPacket::new_unchecked(&mut frame[start..]);
    tcp.emit(&mut packet, &from, &to, &ChecksumCapabilities::default());
    if blank {
        packet.set_checksum(0xdead);
    }
    frame
}

/// Checks that a frame of TCP is right in every sum and length, and gives its place in the stream and its payload.
pub fn check_tcp(frame: &[u8]) -> (usize, Vec<u8>, TcpPacket<&[u8]>) {
    let ethernet = EthernetFrame::new_checked(frame).expect("Ethernet");
    let (from, to, start): (IpAddress, IpAddress, usize) = match ethernet.ethertype() {
        EthernetProtocol::Ipv4 => {
            let ip = Ipv4Packet::new_checked(&frame[14..]).expect("IPv4");
            assert!(ip.verify_checksum(), "the header's sum");
            assert_eq!(usize::from(ip.total_len()), frame.len() - 14);
            (ip.src_addr().into(), ip.dst_addr().into(), 34)
        }
        EthernetProtocol::Ipv6 => {
            let ip = Ipv6Packet::new_checked(&frame[14..]).expect("IPv6");
            assert_eq!(usize::from(ip.payload_len()), frame.len() - 54);
            (ip.src_addr().into(), ip.dst_addr().into(), 54)
        }
        other => panic!("{other} is neither"),
    };
    let tcp = TcpPacket::new_checked(&frame[start..]).expect("TCP");
    assert!(tcp.verify_checksum(&from, &to), "the sum of TCP");
    let place = tcp.seq_number() - TcpSeqNumber(1000);
    (place, tcp.payload().to_vec(), tcp)
}
