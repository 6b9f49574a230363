//! What the description says.

use core::fmt;
use core::str::FromStr;
use smoltcp::wire::Ipv4Cidr;

/// The address, where the description gives none: the one that QEMU's own network leaves to its guest.
const DEFAULT: &str = "10.0.2.15/24";

/// The arguments are not `address=A.B.C.D/N`.
#[derive(Debug)]
pub struct ArgumentError<'a>(&'a str);

impl fmt::Display for ArgumentError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "args must be like \"address={DEFAULT}\", not \"{}\"", self.0)
    }
}

/// The address in `arguments`.
pub fn address(arguments: &str) -> Result<Ipv4Cidr, ArgumentError<'_>> {
    let text = match arguments.trim() {
        "" => DEFAULT,
        text => text.strip_prefix("address=").ok_or(ArgumentError(arguments))?,
    };
    Ipv4Cidr::from_str(text).map_err(|()| ArgumentError(arguments))
}
