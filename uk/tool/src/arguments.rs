//! What the system description tells the toolstack, by its `args`.

use crate::api::Receivers;
use ::hooks::{Address, MAX_HOOKS};
use alloc::string::{String, ToString};
use core::net::Ipv4Addr;

/// The port of the API, where nothing is said.
const PORT: u16 = 7800;

/// The memory of the cable to the network, where nothing is said.
const CABLE: &str = "cable";

/// The memory over which volumes are listed, read and written, where nothing is said.
const VOLUMES: &str = "volumes";

/// Where the API is served.
#[derive(Clone, Copy, Debug)]
pub struct Listen {
    /// The memory of the cable to the network.
    pub cable: &'static str,
    /// The memory over which the disks' unikernel has volumes listed, read and written.
    pub volumes: &'static str,
    /// This program's address.
    pub address: Ipv4Addr,
    /// How many bits of it are the network's.
    pub prefix: u8,
    /// Who leads to other networks.
    pub gateway: Option<Ipv4Addr>,
    /// The TCP port.
    pub port: u16,
}

/// The arguments.
#[derive(Debug)]
pub struct Arguments {
    /// The memory of the ring to XenStore.
    pub store: &'static str,
    /// The component that serves network interfaces.
    pub net: Option<&'static str>,
    /// The component that serves disks.
    pub disk: Option<&'static str>,
    /// Where the API is served, if it is to be.
    pub listen: Option<Listen>,
    /// Who is told when local repair is not enough.
    pub receivers: Receivers,
}

impl Arguments {
    /// Reads the words of `text`; one that is not known is reported and passed over.
    pub fn parse(text: &'static str) -> Self {
        let receivers = Receivers { host: String::new(), addresses: heapless::Vec::new() };
        let mut arguments = Self { store: "store.tool", net: None, disk: None, listen: None, receivers };
        let (mut address, mut gateway, mut port, mut cable, mut volumes) = (None, None, PORT, CABLE, VOLUMES);
        for word in text.split_ascii_whitespace() {
            let is_known = match word.split_once('=').filter(|(_, value)| !value.is_empty()) {
                Some(("store", name)) => set(&mut arguments.store, Some(name)),
                Some(("net", name)) => set(&mut arguments.net, Some(Some(name))),
                Some(("disk", name)) => set(&mut arguments.disk, Some(Some(name))),
                Some(("volumes", name)) => set(&mut volumes, Some(name)),
                Some(("ip", text)) => set(&mut address, network(text).map(Some)),
                Some(("gw", text)) => set(&mut gateway, text.parse().ok().map(Some)),
                Some(("port", text)) => set(&mut port, text.parse().ok()),
                Some(("cable", name)) => set(&mut cable, Some(name)),
                Some(("name", name)) => set(&mut arguments.receivers.host, Some(name.into())),
                Some(("hook", text)) => {
                    add(&mut arguments.receivers, text);
                    true
                }
                _ => false,
            };
            if !is_known {
                log::warn!("`{word}` among the arguments means nothing to the toolstack");
            }
        }
        if let Some((address, _)) = address.filter(|_| arguments.receivers.host.is_empty()) {
            arguments.receivers.host = address.to_string();
        }
        if address.is_none() && !arguments.receivers.addresses.is_empty() {
            log::error!("nobody is told of anything: without `ip=` among the arguments there is no network");
        }
        arguments.listen =
            address.map(|(address, prefix)| Listen { cable, volumes, address, prefix, gateway, port });
        arguments
    }
}

/// Adds a receiver; one that cannot be called is reported and passed over.
fn add(receivers: &mut Receivers, text: &'static str) {
    match Address::read(text) {
        Err(error) => log::error!("nobody is told at {text}: {error}"),
        Ok(address) if receivers.addresses.push(address).is_err() => {
            log::error!("nobody is told at {text}: there can be {MAX_HOOKS} receivers and no more");
        }
        Ok(_) => {}
    }
}

/// Sets what could be read. Answers whether it could.
fn set<T>(place: &mut T, value: Option<T>) -> bool {
    let is_known = value.is_some();
    if let Some(value) = value {
        *place = value;
    }
    is_known
}

/// An address with its prefix, such as `10.0.2.16/24`.
fn network(text: &str) -> Option<(Ipv4Addr, u8)> {
    let (address, prefix) = text.split_once('/')?;
    Some((address.parse().ok()?, prefix.parse().ok().filter(|prefix| *prefix <= 32)?))
}
