//! The host of `rvmm.toml` in service: its guests, load on them from outside, and everything that can be broken beneath them.

pub mod breakage;
pub mod guests;
pub mod load;

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};

use anyhow::{Context, Result};
use emulator::condition::everything_is_up;
use emulator::device::Forward;
use emulator::host::Host;

use crate::Setup;
use crate::system::IN_SERVICE;
use guests::Guests;
use load::Load;

/// Where the web server is on QEMU's own network, as `tests/guests/web.cfg` has it, and the page that it serves.
const WEB: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 16), 80);
const PAGE: &str = "a guest of R-VMM\n";

/// The host, otherwise as whoever does not care has it, on which a port of the loopback address that nobody listens at leads to the web
/// server. The port is the system's choice.
///
/// # Errors
/// When there is none.
pub fn setup() -> Result<Setup> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port of the loopback address is free")?;
    let here = listener.local_addr()?.port();
    let forward = Some(Forward { here, there: WEB });
    Ok(Setup { system: *IN_SERVICE, devices: true, forward, ..Setup::default() })
}

/// Waits until every component is up, and then both guests.
///
/// # Errors
/// When they do not come up.
pub fn wait_until_up(host: &mut Host) -> Result<Guests> {
    host.wait_for(&everything_is_up())?;
    Guests::wait_for(host)
}

/// Asks for the web server's page from now on.
///
/// # Errors
/// When it is not served, or the host's [`Setup`] is not that of [`setup`].
pub fn start_load(setup: &Setup) -> Result<Load> {
    let forward = setup.forward.context("no port leads to the web server")?;
    Load::start(forward.here, PAGE)
}
