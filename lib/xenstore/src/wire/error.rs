//! The errors that an answer can carry. They go over the wire by name.

use core::fmt;

macro_rules! errnos {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a request failed, as clients are told (`xsd_errors` in `xs_wire.h`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Errno {
            $($(#[$doc])* $variant,)*
        }

        impl Errno {
            /// The name on the wire, without the terminating NUL.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The error with this name.
            pub fn from_name(name: &[u8]) -> Option<Self> {
                $(if name == $name.as_bytes() { return Some(Self::$variant) })*
                None
            }
        }
    };
}

errnos! {
    /// The request makes no sense: a malformed path, a missing or surplus argument.
    Invalid = "EINVAL",
    /// The caller may not.
    Access = "EACCES",
    /// It exists already.
    Exists = "EEXIST",
    /// Not used by this protocol's servers today, but part of it.
    IsDirectory = "EISDIR",
    /// There is no such node, transaction, watch or domain.
    NotFound = "ENOENT",
    /// Out of memory, or the transaction has failed before.
    Memory = "ENOMEM",
    /// A quota is used up.
    Space = "ENOSPC",
    /// The store is damaged here.
    Io = "EIO",
    /// Not used by this protocol's servers today, but part of it.
    NotEmpty = "ENOTEMPTY",
    /// The server does not know this request.
    NotImplemented = "ENOSYS",
    /// Not used by this protocol's servers today, but part of it.
    ReadOnly = "EROFS",
    /// Transactions do not nest.
    Busy = "EBUSY",
    /// Somebody else changed what the transaction has seen: start again.
    Again = "EAGAIN",
    /// Not used by this protocol's servers today, but part of it.
    IsConnected = "EISCONN",
    /// The answer would be too large, or there are too many watches.
    TooBig = "E2BIG",
    /// Only a privileged caller may give a node to another owner.
    NotPermitted = "EPERM",
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
