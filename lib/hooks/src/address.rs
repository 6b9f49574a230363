//! Where a receiver is: `http://ADDRESS:PORT/PATH`.

use core::fmt;
use core::net::Ipv4Addr;
use thiserror::Error;

/// What an address begins with.
const SCHEME: &str = "http://";

/// The port where none is said.
const PORT: u16 = 80;

/// Where a receiver is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address<'t> {
    /// The whole, as it was written.
    pub text: &'t str,
    /// The machine.
    pub ip: Ipv4Addr,
    /// The TCP port.
    pub port: u16,
    /// The path, with what stands behind it.
    pub path: &'t str,
}

/// Why a text is not the address of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoAddress {
    /// Something else was asked for than HTTP without TLS.
    #[error("it does not begin with {SCHEME}: nothing else can be spoken")]
    Scheme,
    /// A name instead of an address.
    #[error("its host is no IPv4 address such as 10.0.2.2: names are not looked up")]
    Host,
    /// What follows the colon.
    #[error("its port is no number from 1 to 65535")]
    Port,
    /// What can stand in no request.
    #[error("its path has characters that are not visible ASCII, or a #")]
    Path,
}

impl<'t> Address<'t> {
    /// Reads an address.
    ///
    /// # Errors
    /// See [`NoAddress`].
    pub fn read(text: &'t str) -> Result<Self, NoAddress> {
        let rest = text.strip_prefix(SCHEME).ok_or(NoAddress::Scheme)?;
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = match authority.split_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)),
            None => (authority, Some(PORT)),
        };
        let ip = host.parse().map_err(|_| NoAddress::Host)?;
        let port = port.ok_or(NoAddress::Port)?;
        let path = if path.is_empty() { "/" } else { path };
        if !path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#') {
            return Err(NoAddress::Path);
        }
        Ok(Self { text, ip, port, path })
    }
}

impl fmt::Display for Address<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text)
    }
}
