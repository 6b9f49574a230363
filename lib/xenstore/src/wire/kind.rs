//! The kinds of messages: `enum xsd_sockmsg_type`.

/// What a message asks or answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u32)]
pub enum Kind {
    /// A command to the daemon itself: quotas, a check of the store, help.
    Control = 0,
    /// The names of a node's children.
    Directory = 1,
    /// A node's value.
    Read = 2,
    /// A node's permissions.
    GetPerms = 3,
    /// Asks for events on changes at and below a path.
    Watch = 4,
    /// Takes a watch back.
    Unwatch = 5,
    /// Opens a transaction.
    TransactionStart = 6,
    /// Commits or drops a transaction.
    TransactionEnd = 7,
    /// Begins to serve a domain's ring.
    Introduce = 8,
    /// Ceases to serve a domain and removes what it owns.
    Release = 9,
    /// The path under which a domain's relative paths lie.
    GetDomainPath = 10,
    /// Sets a node's value, and creates what is missing on the way to it.
    Write = 11,
    /// Creates a node and what is missing on the way to it.
    Mkdir = 12,
    /// Removes a node and everything below it.
    Rm = 13,
    /// Replaces a node's permissions.
    SetPerms = 14,
    /// Only from the server: something changed under a watch.
    WatchEvent = 15,
    /// Only from the server: the request failed.
    Error = 16,
    /// Whether a domain is being served.
    IsDomainIntroduced = 17,
    /// A domain that had shut down to be suspended runs again.
    Resume = 18,
    /// Lets one domain act with the rights of another (a device model for its guest).
    SetTarget = 19,
    /// Drops all of the caller's watches and transactions.
    ResetWatches = 21,
    /// A part of the names of a node's children.
    DirectoryPart = 22,
}

impl Kind {
    /// The kind with this number; none for numbers that the protocol does not have (20 was XS_RESTRICT).
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::Control,
            1 => Self::Directory,
            2 => Self::Read,
            3 => Self::GetPerms,
            4 => Self::Watch,
            5 => Self::Unwatch,
            6 => Self::TransactionStart,
            7 => Self::TransactionEnd,
            8 => Self::Introduce,
            9 => Self::Release,
            10 => Self::GetDomainPath,
            11 => Self::Write,
            12 => Self::Mkdir,
            13 => Self::Rm,
            14 => Self::SetPerms,
            15 => Self::WatchEvent,
            16 => Self::Error,
            17 => Self::IsDomainIntroduced,
            18 => Self::Resume,
            19 => Self::SetTarget,
            21 => Self::ResetWatches,
            22 => Self::DirectoryPart,
            _ => return None,
        })
    }

    /// The number on the wire.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// Whether only privileged connections may ask for it.
    pub const fn is_privileged(self) -> bool {
        matches!(
            self,
            Self::Control
                | Self::Introduce
                | Self::Release
                | Self::IsDomainIntroduced
                | Self::Resume
                | Self::SetTarget
        )
    }

    /// Whether the transaction in the request's header is ignored.
    pub const fn ignores_transaction(self) -> bool {
        matches!(self, Self::Watch | Self::Unwatch)
    }
}
