//! What one side leaves for a later one to do to a frame: its checksum, and cutting it.

use core::num::NonZeroU16;
use smoltcp::wire::{
    ETHERNET_HEADER_LEN, EthernetFrame, EthernetProtocol, IPV4_HEADER_LEN, IPV6_HEADER_LEN, IpProtocol,
    Ipv4Packet, Ipv6ExtHeader, Ipv6Packet, TcpPacket, checksum,
};
use xen_abi::netif::GsoType;

/// What is known of the checksum of TCP or UDP in a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksum {
    /// Nothing: the receiver checks it.
    #[default]
    Unknown,
    /// It is right.
    Valid,
    /// It has still to be computed: its field has the sum of the pseudo header.
    Blank,
}

/// Which protocol a frame is of that is longer than the wire permits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// TCP over IPv4.
    TcpV4,
    /// TCP over IPv6.
    TcpV6,
}

impl Family {
    /// As the protocol has it.
    pub const fn gso_type(self) -> GsoType {
        match self {
            Self::TcpV4 => GsoType::TcpV4,
            Self::TcpV6 => GsoType::TcpV6,
        }
    }
}

/// A frame that has to be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// Of which protocol.
    pub family: Family,
    /// The most bytes of payload in each.
    pub size: NonZeroU16,
}

impl Segments {
    /// Whether a frame is of the protocol that it is said to be.
    pub const fn is_of(&self, transport: &Transport) -> bool {
        matches!(
            (self.family, transport.is_v6, transport.protocol),
            (Family::TcpV4, false, Protocol::Tcp) | (Family::TcpV6, true, Protocol::Tcp)
        )
    }
}

/// What is still to be done to a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// Its checksum.
    pub checksum: Checksum,
    /// Into what it has to be cut.
    pub segments: Option<Segments>,
}

impl Offload {
    /// Nothing is to be done, and nothing known.
    pub const NONE: Self = Self { checksum: Checksum::Unknown, segments: None };
}

/// What a receiver of frames, a card or a guest, takes off the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// It computes or does not need the checksums of TCP and UDP over IPv4.
    pub checksum_v4: bool,
    /// The same over IPv6.
    pub checksum_v6: bool,
    /// It cuts TCP over IPv4 itself.
    pub segments_v4: bool,
    /// The same over IPv6.
    pub segments_v6: bool,
}

impl Abilities {
    /// It does everything.
    pub const ALL: Self = Self { checksum_v4: true, checksum_v6: true, segments_v4: true, segments_v6: true };

    /// What both do.
    pub const fn and(self, other: Self) -> Self {
        Self {
            checksum_v4: self.checksum_v4 && other.checksum_v4,
            checksum_v6: self.checksum_v6 && other.checksum_v6,
            segments_v4: self.segments_v4 && other.segments_v4,
            segments_v6: self.segments_v6 && other.segments_v6,
        }
    }

    /// Whether a frame has to be cut before it goes there.
    pub const fn must_cut(&self, offload: &Offload) -> bool {
        match offload.segments {
            None => false,
            Some(Segments { family: Family::TcpV4, .. }) => !self.segments_v4,
            Some(Segments { family: Family::TcpV6, .. }) => !self.segments_v6,
        }
    }

    /// Whether the checksum of a frame has to be computed before it goes there.
    pub const fn must_sum(&self, offload: &Offload, transport: &Transport) -> bool {
        let able = if transport.is_v6 { self.checksum_v6 } else { self.checksum_v4 };
        matches!(offload.checksum, Checksum::Blank) && !able
    }
}

/// Where TCP or UDP lies in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transport {
    /// Whether it is over IPv6.
    pub is_v6: bool,
    /// Which of the two it is.
    pub protocol: Protocol,
    /// Where the internet header begins, in bytes.
    pub internet: usize,
    /// Where its own header begins: the checksum is over everything from here on.
    pub start: usize,
    /// Where the checksum's field is.
    pub field: usize,
    /// Where its payload begins.
    pub payload: usize,
    /// The sum of the pseudo header, without the length.
    addresses: u16,
}

/// A protocol with a checksum that can be left blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Bytes of the tag of a VLAN.
const TAG: usize = 4;

/// The EtherType of such a tag.
const VLAN: u16 = 0x8100;

/// The most extension headers of IPv6 that are walked.
const MAX_EXTENSIONS: usize = 8;

/// Bytes of the header of UDP; TCP's has at least 20.
const UDP_HEADER: usize = 8;

impl Transport {
    /// Looks for it in the first bytes of a frame. None if it is not there whole, or in a fragment.
    pub fn locate(head: &[u8]) -> Option<Self> {
        if head.len() < ETHERNET_HEADER_LEN + TAG {
            return None;
        }
        let mut ethertype = EthernetFrame::new_unchecked(head).ethertype();
        let mut internet = ETHERNET_HEADER_LEN;
        if ethertype == EthernetProtocol::Unknown(VLAN) {
            let inner = u16::from_be_bytes([head[internet + 2], head[internet + 3]]);
            (ethertype, internet) = (EthernetProtocol::from(inner), internet + TAG);
        }
        let packet = &head[internet..];
        let (is_v6, addresses, header, next) = match ethertype {
            EthernetProtocol::Ipv4 if packet.len() >= IPV4_HEADER_LEN => {
                let ip = Ipv4Packet::new_unchecked(packet);
                let whole = ip.version() == 4 && ip.frag_offset() == 0 && !ip.more_frags();
                let header = usize::from(ip.header_len());
                if !whole || header < IPV4_HEADER_LEN {
                    return None;
                }
                (false, checksum::data(&packet[12..20]), header, ip.next_header())
            }
            EthernetProtocol::Ipv6 if packet.len() >= IPV6_HEADER_LEN => {
                let ip = Ipv6Packet::new_unchecked(packet);
                let (header, next) = behind_extensions(packet, ip.next_header())?;
                (true, checksum::data(&packet[8..40]), header, next)
            }
            _ => return None,
        };
        let start = internet + header;
        let rest = head.get(start..)?;
        let (protocol, field, payload) = match next {
            IpProtocol::Tcp => {
                let tcp = TcpPacket::new_checked(rest).ok()?;
                (Protocol::Tcp, start + 16, start + usize::from(tcp.header_len()))
            }
            IpProtocol::Udp if rest.len() >= UDP_HEADER => (Protocol::Udp, start + 6, start + UDP_HEADER),
            _ => return None,
        };
        let addresses = checksum::combine(&[addresses, u16::from(u8::from(next))]);
        Some(Self { is_v6, protocol, internet, start, field, payload, addresses })
    }

    /// The sum of the pseudo header of a frame of `length` bytes.
    pub fn pseudo_header(&self, length: usize) -> u16 {
        checksum::combine(&[self.addresses, (length - self.start) as u16])
    }
}

/// Bytes of IPv6's header and the extensions of `packet`, and what follows them. Not a fragment: its checksum is over
/// more than is there.
fn behind_extensions(packet: &[u8], mut next: IpProtocol) -> Option<(usize, IpProtocol)> {
    let mut at = IPV6_HEADER_LEN;
    for _ in 0..MAX_EXTENSIONS {
        match next {
            IpProtocol::HopByHop | IpProtocol::Ipv6Route | IpProtocol::Ipv6Opts => {
                let header = Ipv6ExtHeader::new_checked(packet.get(at..)?).ok()?;
                (next, at) = (header.next_header(), at + (usize::from(header.header_len()) + 1) * 8);
            }
            _ => return Some((at, next)),
        }
    }
    None
}
