//! The way to a host's management API.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use ::api::Role;
use emulator::device::Forward;
use rvmm::access::Access;
use rvmm::client::Client;
use secure::Secret;

/// The secret of every host of a test whose API is served.
pub const SECRET: [u8; 32] = *b"the secret of every host of test";

/// Where the API is on a host's network, as the descriptions say.
const API: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 18), 7800);

/// A port of this machine that nobody has, and that leads to a host's API.
///
/// # Errors
/// The system's.
pub fn forward() -> io::Result<Forward> {
    let here = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
    Ok(Forward { here, there: API })
}

/// What lets somebody of this role in there.
pub fn access(forward: Forward, role: Role) -> Access {
    Access::of(format!("127.0.0.1:{}", forward.here), &Secret::new(SECRET), role)
}

/// A client of this role.
pub fn client(forward: Forward, role: Role) -> Client {
    Client::new(access(forward, role))
}
