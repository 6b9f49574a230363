//! The network protocol (`io/netif.h`): rings of frames in each direction, and one of control messages.
//!
//! "Transmit" and "receive" are the frontend's.

use crate::GrantRef;

/// The most bytes that a frame can have.
pub const MAX_TX_SIZE: u32 = 0xffff;

flags! {
    /// What is special about a piece of a frame that the frontend sends.
    pub struct TxFlags: u16 {
        /// The protocol's checksum has still to be computed.
        const CSUM_BLANK = 1;
        /// The data are known to be what the checksum says.
        const DATA_VALIDATED = 2;
        /// The frame goes on in the next request.
        const MORE_DATA = 4;
        /// The next slot has an [`ExtraInfo`].
        const EXTRA_INFO = 8;
    }

    /// What is special about a piece of a frame that the frontend receives.
    pub struct RxFlags: u16 {
        /// The data are known to be what the checksum says.
        const DATA_VALIDATED = 1;
        /// The protocol's checksum has still to be computed.
        const CSUM_BLANK = 2;
        /// The frame goes on in the next response.
        const MORE_DATA = 4;
        /// The next slot has an [`ExtraInfo`].
        const EXTRA_INFO = 8;
        /// A way to tell of segmentation that is no longer used.
        const GSO_PREFIX = 16;
    }

    /// What follows an [`ExtraInfo`].
    pub struct ExtraFlags: u8 {
        /// Another one.
        const MORE = 1;
    }

    /// Over what a hash is computed.
    pub struct HashTypes: u32 {
        /// The addresses of IPv4.
        const IPV4 = 1;
        /// The addresses of IPv4 and the ports of TCP.
        const IPV4_TCP = 2;
        /// The addresses of IPv6.
        const IPV6 = 4;
        /// The addresses of IPv6 and the ports of TCP.
        const IPV6_TCP = 8;
    }

    /// How a page is mapped for good.
    pub struct StaticGrantFlags: u16 {
        /// It cannot be written.
        const READONLY = 1;
    }
}

numbers! {
    /// How it went with a frame. A received frame has its size here instead.
    pub enum ResponseStatus: i16 {
        /// It was thrown away.
        Dropped = -2,
        /// It failed.
        Error = -1,
        /// It is sent.
        Okay = 0,
        /// The slot was not a request: an [`ExtraInfo`] stood there.
        Null = 1,
    }

    /// What an [`ExtraInfo`] tells of.
    pub enum ExtraType: u8 {
        /// Nothing: never used.
        None = 0,
        /// How the frame has to be cut: a [`Gso`].
        Gso = 1,
        /// A multicast address that the frontend wants: a [`Mcast`].
        McastAdd = 2,
        /// A multicast address that it wants no more.
        McastDel = 3,
        /// The hash of the frame: a [`Hash`](struct@Hash).
        Hash = 4,
    }

    /// What protocol a frame that has to be cut is of.
    pub enum GsoType: u8 {
        /// It has not to be cut.
        None = 0,
        /// TCP over IPv4.
        TcpV4 = 1,
        /// TCP over IPv6.
        TcpV6 = 2,
    }

    /// How hashes are computed.
    pub enum HashAlgorithm: u32 {
        /// Not at all.
        None = 0,
        /// Toeplitz's.
        Toeplitz = 1,
    }

    /// What a control message asks for.
    pub enum ControlType: u16 {
        /// Nothing: never used.
        Invalid = 0,
        /// Which hashes the backend knows.
        GetHashFlags = 1,
        /// Which hashes it shall compute.
        SetHashFlags = 2,
        /// With which key.
        SetHashKey = 3,
        /// How many entries the table from hashes to queues can have.
        GetHashMappingSize = 4,
        /// How many it shall have.
        SetHashMappingSize = 5,
        /// What stands in it.
        SetHashMapping = 6,
        /// By which algorithm.
        SetHashAlgorithm = 7,
        /// How many pages can be mapped for good.
        GetGrefMappingSize = 8,
        /// Map some.
        AddGrefMapping = 9,
        /// Let go of some.
        DelGrefMapping = 10,
    }

    /// How it went with a control message.
    pub enum ControlStatus: u32 {
        /// It is done.
        Success = 0,
        /// The backend does not do this.
        NotSupported = 1,
        /// It makes no sense.
        InvalidParameter = 2,
        /// It is more than the backend has room for.
        BufferOverflow = 3,
    }
}

structs! {
    /// A piece of a frame that the frontend sends.
    pub struct TxRequest: 12 {
        /// The page.
        pub gref: GrantRef,
        /// Where in the page.
        pub offset: u16,
        /// What is special about it.
        pub flags: TxFlags,
        /// The frontend's name for the request.
        pub id: u16,
        /// Bytes: of the whole frame in its first piece, of the piece in the others.
        pub size: u16,
    }

    /// The answer to it.
    pub struct TxResponse: 4 {
        /// The frontend's name for the request.
        pub id: u16,
        /// A [`ResponseStatus`].
        pub status: i16,
    }

    /// Room for a piece of a frame that the frontend receives.
    pub struct RxRequest: 8 {
        /// The frontend's name for the request.
        pub id: u16,
        /// Unused.
        pub pad: u16,
        /// The page.
        pub gref: GrantRef,
    }

    /// A piece of a frame, in that room. Linux's frontends rely on its slot being that of its request.
    pub struct RxResponse: 8 {
        /// The frontend's name for the request.
        pub id: u16,
        /// Where in the page.
        pub offset: u16,
        /// What is special about it.
        pub flags: RxFlags,
        /// Bytes, or a [`ResponseStatus`].
        pub status: i16,
    }

    /// What else there is to say about a frame: in a slot of either ring, in place of a request or a response.
    pub struct ExtraInfo: 8 {
        /// An [`ExtraType`].
        pub kind: u8,
        /// What follows.
        pub flags: ExtraFlags,
        /// A [`Gso`], a [`Mcast`] or a [`Hash`](struct@Hash).
        pub data: [u8; 6],
    }

    /// How a frame has to be cut.
    pub struct Gso: 6 {
        /// The most bytes of payload in each piece.
        pub size: u16,
        /// A [`GsoType`].
        pub kind: u8,
        /// Unused.
        pub pad: u8,
        /// What else has to be heeded: none is known.
        pub features: u16,
    }

    /// A multicast address.
    pub struct Mcast: 6 {
        /// The address.
        pub addr: [u8; 6],
    }

    /// The hash of a frame.
    pub struct Hash: 6 {
        /// The number of one of the [`HashTypes`]: the place of its bit.
        pub kind: u8,
        /// A [`HashAlgorithm`].
        pub algorithm: u8,
        /// The hash, its lowest byte first.
        pub value: [u8; 4],
    }

    /// A control message.
    pub struct ControlRequest: 16 {
        /// The frontend's name for the request.
        pub id: u16,
        /// A [`ControlType`].
        pub kind: u16,
        /// What it is about.
        pub data: [u32; 3],
    }

    /// The answer to it.
    pub struct ControlResponse: 12 {
        /// The frontend's name for the request.
        pub id: u16,
        /// The request's [`ControlType`].
        pub kind: u16,
        /// A [`ControlStatus`].
        pub status: u32,
        /// What was asked for.
        pub data: u32,
    }

    /// A page to be mapped for good.
    pub struct StaticGrant: 8 {
        /// The page.
        pub gref: GrantRef,
        /// How.
        pub flags: StaticGrantFlags,
        /// A [`ControlStatus`].
        pub status: u16,
    }
}
