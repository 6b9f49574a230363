//! Debian's own programs on the network: ping, iperf3 and ab in a guest, to another guest and to Linux's own network at the other end of the
//! card's cable.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command};
use std::thread;

use emulator::artifacts::XenVersion;
use emulator::fault::Fault;
use emulator::fields::Fields;
use emulator::namespace::Namespace;
use rvmm_tests::Setup;
use rvmm_tests::guest::Guest;
use rvmm_tests::network::{GUESTS, NET, Network};
use rvmm_tests::part::harm_and_wait;
use rvmm_tests::setup::{artifacts, log_directory};

use crate::network::{PAUSE, boot, interface_has_not_changed};

const TEST: &str = "network-programs";

/// What is at the other end of the card's cable: Linux in a namespace, or QEMU's own network, which leads to this machine's programs.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// Bytes that the first guest may send in a second.
const RATE: f64 = 2e6;

/// Bytes that its limit lets through at once, and what rounding makes of what iperf3 tells.
const AHEAD: f64 = 0.3e6;

/// iperf3 at the other end of the card's cable, until this is dropped.
struct Iperf(Child);

impl Iperf {
    fn listen(namespace: Option<&Namespace>, port: u16) -> Self {
        let suite = artifacts().target().join("debian").join(XenVersion::V4_17.suite());
        let packages = suite.join("network-programs/usr");
        let program = packages.join("bin/iperf3");
        let mut command = match namespace {
            Some(namespace) => namespace.command(&program),
            None => Command::new(&program),
        };
        command.env("LD_LIBRARY_PATH", packages.join("lib/x86_64-linux-gnu"));
        command.args(["-s", "-p", &port.to_string()]);
        if namespace.is_none() {
            command.args(["-B", "127.0.0.1"]);
        }
        let log = log_directory(TEST).with_extension("iperf3");
        Self(command.stdout(File::create(log).unwrap()).spawn().unwrap())
    }
}

impl Drop for Iperf {
    fn drop(&mut self) {
        // It fails if it has ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Floods of pings are answered, streams and datagrams arrive both ways, and no request to a web server fails, while parts die; and a guest
/// sends no more than it may. Where this machine gives no tap in a namespace, QEMU's own network stands in, and it is said so.
#[test]
fn debians_programs_are_served() {
    let namespace = Namespace::new(FAR, 24)
        .inspect_err(|error| eprintln!("QEMU's own network stands in for a tap in a namespace: {error}"))
        .ok();
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let server = Iperf::listen(namespace.as_ref(), port);
    let guest = |name, job: &str, limit: &str| {
        let words = format!("task=net port={port} {job}");
        Guest::new(name).of("bookworm-programs").does(words).with(format!("vif = ['bridge=xenbr0{limit}']"))
    };
    let job = format!("address=10.0.2.16/24 job=programs near=10.0.2.17 far={FAR}");
    let guests =
        [guest("guest.0", &job, ", rate=2MB/s"), guest("guest.1", "address=10.0.2.17/24 job=helper", "")];
    let setup = Setup {
        system: Network { address: "10.0.2.15/24", ..Network::PATIENT }.system_of(&guests),
        on_this_machine: true,
        namespace: namespace.as_ref().map(|namespace| &*namespace.name().to_owned().leak()),
        ..Setup::default()
    };
    let mut host = boot(TEST, guests.len(), setup);
    let [guest, _] = GUESTS;
    let sent = host.wait_for_guest_to_say(guest, "guest: sent ");
    let fields: Fields = sent["guest: sent ".len()..].parse().unwrap();
    let [mbytes, seconds] = ["MBytes", "seconds"].map(|key| fields.get_as::<f64>(key).unwrap());
    let bytes = mbytes * f64::from(1 << 20);
    assert!(bytes > 2. * AHEAD && bytes < RATE * seconds + AHEAD, "{sent}");
    for fault in [Fault::DriverCrash, Fault::BackendCrash, Fault::Ud2, Fault::DriverHang] {
        thread::sleep(PAUSE);
        harm_and_wait(&mut host, NET, Some(fault));
    }
    host.wait_for_guest_to_say(guest, "guest: programs done requests=100,0");
    interface_has_not_changed(&mut host, guest);
    host.power_off();
    drop(server);
}
