//! The management API of a booted host, as the operator's command speaks to it.

use ::api::Role;
use ::api::types::{Components, Events, Host as HostInfo, Vms};
use emulator::condition::{component, everything_is_up};
use emulator::device::Forward;
use emulator::event::Rung;
use rvmm::cli::Cli;
use rvmm::client::{Client, ClientError};
use rvmm::verbs::{NotYet, Operator};
use rvmm_tests::api::{SECRET, access, client, forward};
use rvmm_tests::guest::Guest;
use rvmm_tests::system::API;
use rvmm_tests::{Host, Setup};
use secure::Secret;
use std::io::Write;
use std::net::TcpStream;

/// The first guest's domain, behind those of the components.
const GUEST: u16 = 4;

/// The most connections that are opened and dropped, and what is held.
const DROPPED: usize = 100;
const HELD: usize = 4;

fn boot(test: &str) -> (Host, Forward) {
    let forward = forward().unwrap();
    let system = API.starting(&[Guest::new("guest").does("task=shell")]);
    let host = Host::boot(test, Setup { system, devices: true, forward: Some(forward), ..Setup::default() });
    host.wait_for(component("tool").logs("the toolstack is up"));
    (host, forward)
}

/// What `rvmm WORDS` prints for somebody of this role.
fn rvmm(forward: Forward, role: Role, words: &str) -> anyhow::Result<String> {
    let cli = <Cli as clap::Parser>::try_parse_from(["rvmm"].into_iter().chain(words.split(' ')))?;
    let mut out = Vec::new();
    let client = client(forward, role);
    Operator { client, json: cli.json, out: &mut out }.carry_out(&cli.verb)?;
    Ok(String::from_utf8(out)?)
}

/// Why it is refused.
fn refused(forward: Forward, role: Role, words: &str) -> String {
    rvmm(forward, role, words).unwrap_err().to_string()
}

/// Asks until it is so.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
}

#[test]
fn an_operator_does_what_xl_does() {
    let (host, forward) = boot("api-verbs");
    host.wait_for_guest_to_say(GUEST, "guest: up ");
    let operator = |words: &str| rvmm(forward, Role::Operator, words).unwrap();
    let list = operator("list");
    let expected = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n\
                    guest                                        4   128     1     r-----";
    assert!(list.starts_with(expected), "{list}");
    assert_eq!((operator("domid guest").as_str(), operator("domname 4").as_str()), ("4\n", "guest\n"));
    assert!(operator("info").contains("xen_major              : 4\n"));
    assert!(operator("console --once guest").contains("guest: up "));
    // The shell has no space in what it reads, as these words have none.
    operator("console --once --type echo${IFS}guest:${IFS}typed guest");
    host.wait_for_guest_to_say(GUEST, "guest: typed");
    operator("pause guest");
    assert!(operator("list 4").contains("--p---"));
    operator("unpause guest");
    operator("destroy guest");
    wait_until(|| operator("list").lines().count() == 1);

    // Its name, its memory and its kernel are the file's, but for what is said behind it.
    let config = host.directory().join("new.cfg");
    std::fs::write(
        &config,
        "name = 'web'\nkernel = 'guest'\nmemory = 64\ncmdline = 'console=hvc0 task=tick'\n",
    )
    .unwrap();
    operator(&format!("create {} memory=96", config.display()));
    wait_until(|| operator("list web").contains("r-----"));
    assert!(operator("list web").contains("   96     1 "));
    assert_eq!(
        refused(forward, Role::Operator, &format!("create {}", config.display())),
        "there is a VM web already"
    );
    host.wait_for_guest_to_say(GUEST, "guest: up ");
    operator("shutdown -w web --seconds 600");
    assert_eq!(refused(forward, Role::Operator, "domid web"), "web is an invalid domain identifier");

    let events = operator("dmesg");
    assert!(
        events.lines().all(|line| line.starts_with("[SD] ")) && events.contains(" boot xen="),
        "{events}"
    );
    let metrics = operator("metrics");
    assert!(metrics.contains("rvmm_component_healthy{component=\"net\"} 1\n"), "{metrics}");
    let not_yet = rvmm(forward, Role::Admin, "vcpu-list").unwrap_err();
    assert!(not_yet.is::<NotYet>());
    host.power_off();
}

#[test]
fn who_may_not_is_refused_and_rubbish_costs_its_own_connection() {
    let (host, forward) = boot("api-doors");
    assert!(refused(forward, Role::Viewer, "pause guest").contains("for the role operator"));
    assert!(refused(forward, Role::Operator, "component crash net").contains("for the role admin"));
    let mut stranger = access(forward, Role::Admin);
    stranger.key = Secret::new([0; 32]).public_key();
    let stranger = Client::new(stranger).get::<HostInfo>("/v1/host").unwrap_err();
    assert!(matches!(stranger, ClientError::Connection { .. } | ClientError::Stranger(_)), "{stranger}");
    let mut nobody = access(forward, Role::Admin);
    nobody.token = Secret::new(SECRET).token("nobody");
    let nobody = Client::new(nobody).get::<HostInfo>("/v1/host").unwrap_err();
    assert!(matches!(&nobody, ClientError::Refused(problem) if problem.status == 401), "{nobody}");

    let free = |client: &mut Client| client.get::<HostInfo>("/v1/host").unwrap().free_kib;
    let mut viewer = client(forward, Role::Viewer);
    let before = free(&mut viewer);
    let open = || TcpStream::connect(("127.0.0.1", forward.here)).unwrap();
    let held: Vec<TcpStream> = (0..HELD).map(|_| open()).collect();
    for number in 0..DROPPED {
        // The other end may have closed it already.
        let _ = open().write_all(&vec![number as u8; number]);
    }
    assert_eq!(viewer.get::<Vms>("/v1/vms").unwrap().vms.len(), 1);
    assert_eq!(free(&mut viewer), before);
    drop(held);
    host.has_not_seen(component("tool").fails());
    host.power_off();
}

#[test]
fn the_api_is_back_whoever_dies() {
    let (mut host, forward) = boot("api-deaths");
    let mut admin = client(forward, Role::Admin);
    let lives = |client: &mut Client, name: &str| {
        let components = client.get::<Components>("/v1/components").unwrap().components;
        components.into_iter().find(|component| component.name == name).unwrap().incarnation
    };
    for (name, words) in [
        ("net", "component crash net ud2"),
        ("net", "component restart net rebuild"),
        ("tool", "component crash tool null-store"),
        ("tool", "component restart tool rebuild"),
        ("xenstore", "component restart xenstore"),
    ] {
        host.begin_chapter();
        let before = lives(&mut admin, name);
        // Who dies may take the answer with it.
        let _ = rvmm(forward, Role::Admin, words);
        host.wait_for(component(name).is_repaired());
        wait_until(|| lives(&mut admin, name) > before);
    }
    host.restart("net", Rung::MicroReboot);
    host.wait_for(everything_is_up());
    let events = admin.get::<Events>("/v1/events?from=1").unwrap();
    assert!(!events.events.is_empty() && events.next > events.events[0].sequence);
    host.power_off();
}
