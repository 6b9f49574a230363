//! The wire format of XenStore: a header of sixteen bytes, and a payload (Xen's `public/io/xs_wire.h`).

/// Bytes of a header.
pub const HEADER: usize = 16;
/// The longest payload, in bytes.
pub const MAX_PAYLOAD: usize = 4096;

/// What a message is, by the numbers of `xs_wire.h`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u32)]
#[expect(
    missing_docs,
    reason = "they are the protocol's own names: docs/misc/xenstore.txt of Xen tells what each does"
)]
pub enum Kind {
    Control = 0,
    Directory = 1,
    Read = 2,
    GetPerms = 3,
    Watch = 4,
    Unwatch = 5,
    TransactionStart = 6,
    TransactionEnd = 7,
    Introduce = 8,
    Release = 9,
    GetDomainPath = 10,
    Write = 11,
    Mkdir = 12,
    Rm = 13,
    SetPerms = 14,
    WatchEvent = 15,
    Error = 16,
    IsDomainIntroduced = 17,
    Resume = 18,
    SetTarget = 19,
    ResetWatches = 21,
    DirectoryPart = 22,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 22] = [
        Kind::Control,
        Kind::Directory,
        Kind::Read,
        Kind::GetPerms,
        Kind::Watch,
        Kind::Unwatch,
        Kind::TransactionStart,
        Kind::TransactionEnd,
        Kind::Introduce,
        Kind::Release,
        Kind::GetDomainPath,
        Kind::Write,
        Kind::Mkdir,
        Kind::Rm,
        Kind::SetPerms,
        Kind::WatchEvent,
        Kind::Error,
        Kind::IsDomainIntroduced,
        Kind::Resume,
        Kind::SetTarget,
        Kind::ResetWatches,
        Kind::DirectoryPart,
    ];
}

/// A header: who asks or answers what, and how many bytes follow. The kind is a number, because it may be one that does not exist.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Header {
    /// The number of a [`Kind`].
    pub kind: u32,
    /// The request's number, chosen by the client and repeated in the answer.
    pub request: u32,
    /// The transaction that the request belongs to, or 0.
    pub transaction: u32,
    /// Bytes of payload.
    pub length: u32,
}

impl Header {
    /// The header as it is sent.
    pub fn to_bytes(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        let fields = [self.kind, self.request, self.transaction, self.length];
        for (place, field) in bytes.chunks_exact_mut(4).zip(fields) {
            place.copy_from_slice(&field.to_le_bytes());
        }
        bytes
    }

    /// Reads a header off the start of `bytes`; `None` if they are too few.
    pub fn from_bytes(bytes: &[u8]) -> Option<Header> {
        let field = |index: usize| {
            let bytes = bytes.get(4 * index..4 * index + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?))
        };
        Some(Header { kind: field(0)?, request: field(1)?, transaction: field(2)?, length: field(3)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_four_little_endian_words() {
        let header = Header { kind: 2, request: 0x0102_0304, transaction: 5, length: 6 };
        let bytes = header.to_bytes();
        assert_eq!(bytes, [2, 0, 0, 0, 4, 3, 2, 1, 5, 0, 0, 0, 6, 0, 0, 0]);
        assert_eq!(Header::from_bytes(&bytes), Some(header));
        assert_eq!(Header::from_bytes(&bytes[1..]), None);
    }

    #[test]
    fn kinds_have_the_numbers_of_the_protocol() {
        assert_eq!(Kind::ALL.map(|kind| kind as u32)[..19], core::array::from_fn::<u32, 19, _>(|n| n as u32));
        assert_eq!((Kind::ResetWatches as u32, Kind::DirectoryPart as u32), (21, 22));
    }
}
