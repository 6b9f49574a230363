//! The management API of a booted host, as the operator's command speaks to it.
//!
//! `RVMM_CONNECTIONS` says how many connections are opened and dropped (1000 if it is not set).

use ::api::types::{Components, Devices, Done, Events, Host as HostInfo, Notification, Vm, Vms};
use ::api::{Checksum, Role};
use emulator::condition::{component, everything_is_up};
use emulator::device::Forward;
use rvmm::cli::Cli;
use rvmm::client::{Client, ClientError};
use rvmm::upload::{Uploaded, upload};
use rvmm::verbs::{NoVerb, Operator};
use rvmm_tests::api::{SECRET, access, client, forward};
use rvmm_tests::guest::Guest;
use rvmm_tests::receiver::{Mood, Receiver};
use rvmm_tests::setup::disk_path;
use rvmm_tests::system::WHOLE;
use rvmm_tests::{Host, Setup, setting};
use secure::Secret;
use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::{Duration, Instant};
use volume::SECTOR;

/// The first guest's domain, behind those of the components.
const GUEST: u16 = 8;

/// A component that is given up when a repair of it has failed.
const DOOMED: &str = r#"
[[component]]
name = "doomed"
image = "probe"
limits = { micro-reboot = 1, rebuild = 0, cascade = 0, control-plane = 0, hold = 1 }
"#;

/// The words of the toolstack's arguments that others follow.
const ARGUMENTS: &str = "gw=10.0.2.2";

/// How many connections are held by somebody who says nothing: more than there are.
const HELD: usize = 12;

/// How many are opened and dropped unless told otherwise.
const DROPPED: usize = 1000;

/// Between two of those. QEMU has room for one that it has not taken yet, and the next one after that waits for a second.
const BREATH: Duration = Duration::from_millis(3);

/// How long anything may take: a guard against a hang, and no aim.
const PATIENCE: Duration = Duration::from_secs(180);

/// The partitions of its disk: first sectors, counts and names.
const SPARE: (u64, u64, &str) = (2048, 16384, "spare");
const SMALL: (u64, u64, &str) = (20480, 128, "small");

/// Bytes that the toolstack may use more at one time than at another: less than one connection does.
const SLACK: usize = 16 << 10;

/// Somebody with a role, at a terminal.
#[derive(Clone, Copy)]
struct Terminal {
    forward: Forward,
    role: Role,
}

impl Terminal {
    /// What `rvmm WORDS` prints.
    fn says(self, words: &str) -> anyhow::Result<String> {
        let cli = <Cli as clap::Parser>::try_parse_from(["rvmm"].into_iter().chain(words.split(' ')))?;
        let mut out = Vec::new();
        let client = client(self.forward, self.role);
        Operator { client, json: cli.json, out: &mut out }.carry_out(&cli.verb)?;
        Ok(String::from_utf8(out)?)
    }

    /// The same, where nothing goes wrong.
    fn shows(self, words: &str) -> String {
        self.says(words).unwrap_or_else(|error| panic!("rvmm {words}: {error:#}"))
    }

    /// Why it is refused.
    fn is_refused(self, words: &str) -> String {
        self.says(words).expect_err(words).to_string()
    }
}

/// Asks until it is so.
fn wait_until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "it has not come to be so");
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn an_operator_does_what_xl_does_and_nobody_else() {
    let forward = forward().unwrap();
    let guest = Guest::new("guest").memory_mib(96).does("task=shell").with("vif = ['bridge=xenbr0']");
    let receiver = Receiver::new().unwrap();
    let arguments = format!("{ARGUMENTS} name=rack-7 hook={}", receiver.address());
    let system = WHOLE.with(DOOMED).replacing(ARGUMENTS, &arguments).starting(&[guest]);
    let setup =
        Setup { system, devices: true, api: Some(forward), partitions: &[SPARE, SMALL], ..Setup::default() };
    let mut host = Host::boot("api", setup);
    host.wait_for(component("tool").logs("the toolstack is up"));
    let operator = Terminal { forward, role: Role::Operator };

    who_may_not_is_refused(forward);
    strangers_keep_nobody_out(forward);
    host.has_not_seen(component("tool").fails());

    host.wait_for_guest_to_say(GUEST, "guest: up ");
    the_guest_is_shown_and_told(&host, operator);
    devices_come_and_go(operator);
    volumes_are_shown_and_in_use(&host, forward);
    an_upload_goes_on_whoever_dies(&mut host, forward);
    operator.shows("destroy guest");
    wait_until(|| operator.shows("list").lines().count() == 1);

    who_is_to_be_told_is_told(&mut host, Terminal { forward, role: Role::Admin }, &receiver);

    // While another comes up, whatever the API stands on dies.
    let new = one_is_made(&host, operator);
    it_is_back_whoever_dies(&mut host, Terminal { forward, role: Role::Admin });
    host.wait_for_guest_to_say(new, "guest: up ");
    operator.shows("shutdown -w web --seconds 600");
    assert_eq!(operator.is_refused("domid web"), "web is an invalid domain identifier");
    host.power_off();
}

fn who_may_not_is_refused(forward: Forward) {
    let viewer = Terminal { forward, role: Role::Viewer };
    assert!(viewer.is_refused("pause guest").contains("for the role operator"));
    let operator = Terminal { forward, role: Role::Operator };
    assert!(operator.is_refused("component crash net").contains("for the role admin"));
    let mut stranger = access(forward, Role::Admin);
    stranger.key = Secret::new([0; 32]).public_key();
    let stranger = Client::new(stranger).get::<HostInfo>("/v1/host").unwrap_err();
    assert!(matches!(stranger, ClientError::Connection { .. } | ClientError::Stranger(_)), "{stranger}");
    let mut nobody = access(forward, Role::Admin);
    nobody.token = Secret::new(SECRET).token("nobody");
    let nobody = Client::new(nobody).get::<HostInfo>("/v1/host").unwrap_err();
    assert!(matches!(&nobody, ClientError::Refused(problem) if problem.status == 401), "{nobody}");
}

/// Nor do they cost the host anything.
fn strangers_keep_nobody_out(forward: Forward) {
    let viewer = Terminal { forward, role: Role::Viewer };
    let used = || {
        let metrics = viewer.shows("metrics");
        let value = metrics.lines().find_map(|line| line.strip_prefix("rvmm_toolstack_heap_bytes "));
        value.unwrap_or_else(|| panic!("{metrics}")).parse::<usize>().unwrap()
    };
    // What is made when it is needed first is there then.
    used();
    let before = used();
    let dropped = setting("RVMM_CONNECTIONS", DROPPED);
    let open = || TcpStream::connect(("127.0.0.1", forward.here)).unwrap();
    let held: Vec<TcpStream> = (0..HELD).map(|_| open()).collect();
    for number in 0..dropped {
        // The other end may have closed it already.
        let _ = open().write_all(&vec![number as u8; number % 128]);
        sleep(BREATH);
    }
    // Somebody who comes while all others stay.
    assert_eq!(client(forward, Role::Viewer).get::<Vms>("/v1/vms").unwrap().vms.len(), 1);
    drop(held);
    // A guest that comes up has its share in what the toolstack keeps.
    let mut now = before;
    wait_until(|| {
        now = used();
        now <= before + SLACK
    });
    println!("{dropped} connections: {before} bytes before, {now} behind");
}

fn the_guest_is_shown_and_told(host: &Host, operator: Terminal) {
    let list = operator.shows("list");
    let expected = "Name                                        ID   Mem VCPUs\tState\tTime(s)\n\
                    guest                                        8    96     1     r-----";
    assert!(list.starts_with(expected), "{list}");
    assert_eq!(
        (operator.shows("domid guest").as_str(), operator.shows("domname 8").as_str()),
        ("8\n", "guest\n")
    );
    assert!(operator.shows("info").contains("xen_major              : 4\n"));
    let vcpus = operator.shows("vcpu-list guest");
    let expected = "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n\
                    guest                                8     0     0   ";
    assert!(vcpus.starts_with(expected) && vcpus.ends_with("  all / all\n"), "{vcpus}");
    assert_eq!(operator.shows("vcpu-list").lines().count(), 2);
    assert!(operator.shows("console --once guest").contains("guest: up "));
    // The shell has no space in what it reads, as these words have none.
    operator.shows("console --once --type echo${IFS}guest:${IFS}typed guest");
    host.wait_for_guest_to_say(GUEST, "guest: typed");
    operator.shows("sysrq guest h");
    wait_until(|| operator.shows("console --once guest").contains("sysrq: HELP"));
    operator.shows("pause guest");
    assert!(operator.shows("list 8").contains("--p---"));
    operator.shows("unpause guest");
    let vm: Vm = serde_json::from_str(&operator.shows("--json domid guest")).unwrap();
    assert_eq!((vm.domid, vm.phase.as_str()), (Some(GUEST), "running"));
    let events = operator.shows("dmesg");
    assert!(
        events.lines().all(|line| line.starts_with("[SD] ")) && events.contains(" boot xen="),
        "{events}"
    );
    let metrics = operator.shows("metrics");
    assert!(metrics.contains("rvmm_component_healthy{component=\"net\"} 1\n"), "{metrics}");
    let not_yet = operator.says("migrate guest elsewhere").unwrap_err();
    assert!(matches!(not_yet.downcast_ref(), Some(NoVerb::NotYet(verb)) if verb == "migrate"), "{not_yet}");
}

fn devices_come_and_go(operator: Terminal) {
    let devices = |verb: &str| -> Devices {
        serde_json::from_str(&operator.shows(&format!("--json {verb} guest"))).unwrap()
    };
    let connected = |state: Option<u32>| state == Some(4);
    wait_until(|| devices("network-list").vifs.iter().any(|vif| connected(vif.state)));
    operator.shows("network-attach guest bridge=xenbr0 mac=00:16:3e:00:00:07");
    wait_until(|| devices("network-list").vifs.iter().filter(|vif| connected(vif.state)).count() == 2);
    let list = operator.shows("network-list guest");
    let expected = "Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path                       \n0   4  ";
    assert!(list.starts_with(expected), "{list}");
    assert!(list.contains("\n1   4  00:16:3e:00:00:07     1     4 "), "{list}");
    operator.shows("network-detach guest 00:16:3e:00:00:07");
    wait_until(|| devices("network-list").vifs.len() == 1);
    assert_eq!(operator.is_refused("network-detach guest 1"), "guest has no network interface 1");

    operator.shows("block-attach guest disk0,,xvdb,rw");
    wait_until(|| devices("block-list").disks.iter().any(|disk| connected(disk.state)));
    let list = operator.shows("block-list guest");
    let expected =
        "Vdev  BE  handle state evt-ch ring-ref BE-path                       \n51728 5   8      4     ";
    assert!(list.starts_with(expected), "{list}");
    operator.shows("block-detach guest xvdb");
    wait_until(|| devices("block-list").disks.is_empty());
    assert!(operator.is_refused("block-attach guest disk0,,nonsense,rw").contains("nonsense"));
}

/// Whatever becomes of the receiver and of the toolstack meanwhile, a receiver hears of each event, and in order.
fn who_is_to_be_told_is_told(host: &mut Host, admin: Terminal, receiver: &Receiver) {
    let heard = |kind: &str| {
        let is_it = |told: &Notification| told.event.as_ref().is_some_and(|event| event.text.contains(kind));
        receiver.heard().into_iter().rfind(is_it)
    };
    wait_until(|| heard("root boot xen=").is_some());
    let boot = heard("root boot xen=").unwrap();
    assert_eq!((boot.host.as_str(), boot.after), ("rack-7", 0));

    host.begin_chapter();
    receiver.set(Mood::Cross);
    admin.shows("component crash doomed crash-at-boot 1");
    host.wait_for(component("doomed").is_held());
    // Each in its turn costs the toolstack a connection, and nobody else anything.
    for mood in [Mood::Stalling, Mood::Rubbish(1 << 20)] {
        receiver.set(mood);
        let before = receiver.called();
        admin.shows("component restart tool");
        wait_until(|| receiver.called() > before);
        assert!(admin.shows("component list").contains("held"));
    }
    receiver.set(Mood::Stalling);
    admin.shows("component crash tool null-store");
    host.wait_for(component("tool").is_repaired());
    receiver.set(Mood::Up);
    wait_until(|| heard("doomed hold reason=").is_some());
    admin.shows("component release doomed");
    wait_until(|| heard("doomed release").is_some());
    host.wait_for(everything_is_up());

    let all = receiver.heard();
    assert!(all.iter().all(|told| told.log == boot.log && told.lost_from.is_none()), "{all:?}");
    let (mut last, mut kinds) = (0, Vec::new());
    for told in all {
        // The same again, or what follows.
        assert!(told.sequence == last || told.sequence > last && told.after <= last, "{told:?} after {last}");
        if told.sequence > last {
            last = told.sequence;
            kinds.extend(told.event.and_then(|event| event.text.split(' ').nth(1).map(str::to_owned)));
        }
    }
    assert!(kinds.ends_with(&["repair-failed", "hold", "release"].map(str::to_owned)), "{kinds:?}");
    let metrics = admin.shows("metrics");
    let figure = format!("rvmm_hook_last_sequence{{hook=\"{}\"}} {last}\n", receiver.address());
    assert!(metrics.contains(&figure), "{figure} is not among {metrics}");
}

/// An image of so many bytes, in which no sector is like another.
fn image(host: &Host, bytes: usize) -> (PathBuf, Vec<u8>) {
    let word = |word: u64| word.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    let content: Vec<u8> = (1..).flat_map(word).take(bytes).collect();
    let path = host.directory().join("image");
    std::fs::write(&path, &content).unwrap();
    (path, content)
}

fn volumes_are_shown_and_in_use(host: &Host, forward: Forward) {
    let (viewer, operator) =
        (Terminal { forward, role: Role::Viewer }, Terminal { forward, role: Role::Operator });
    let list = viewer.shows("volume list");
    let lines: Vec<_> = list.lines().skip(1).collect();
    let expected = [
        "disk0            -                          65536     512  free       -",
        "disk0/p1         spare                       8192     512  free       -",
        "disk0/p2         small                         64     512  free       -",
    ];
    assert_eq!(lines, expected);
    let (file, content) = image(host, 70_000);
    let upload = |volume: &str| format!("volume upload {} {volume}", file.display());
    assert!(viewer.is_refused(&upload("spare")).contains("for the role operator"));
    assert!(operator.is_refused(&upload("small")).ends_with("has 70000 bytes, and disk0/p2 only 65536"));
    assert!(operator.is_refused(&upload("disk0/p3")).starts_with("there is no volume disk0/p3"));
    assert!(operator.is_refused("volume upload /nowhere disk0/p1").starts_with("/nowhere: "));

    let mut client = client(forward, Role::Operator);
    let mut put = |from: u64, sha256: &str, content: &[u8]| {
        let path = format!("/v1/volumes/disk0%2Fp2/content?from={from}&sha256={sha256}");
        let refused = client.put::<Done>(&path, content).unwrap_err();
        let ClientError::Refused(problem) = refused else { panic!("{refused}") };
        problem
    };
    let sector = &content[..512];
    let sum = Checksum::of(sector);
    let other = put(0, &Checksum::of(b"another"), sector);
    assert!(other.status == 400 && other.message.ends_with("it is not written"), "{other}");
    for (from, content) in
        [(1, sector), (0, &sector[..100]), (65536, sector), (u64::MAX - 511, sector), (0, &[])]
    {
        assert_eq!(put(from, &Checksum::of(content), content).status, 400, "from {from}");
    }

    // A guest that has the disk has all that is on it.
    operator.shows("block-attach guest disk0/p2,,xvdc,rw");
    wait_until(|| operator.shows("block-list guest").contains(" 4     "));
    wait_until(|| {
        viewer.shows("volume list").contains("small                         64     512  exclusive  guest")
    });
    assert!(
        viewer
            .shows("volume ls")
            .contains("disk0            -                          65536     512  exclusive  guest")
    );
    let taken = put(0, &sum, sector);
    assert!(taken.status == 409 && taken.message.ends_with("shares it with nobody"), "{taken}");
    operator.shows("block-detach guest xvdc");
    wait_until(|| viewer.shows("volume list").lines().skip(1).all(|line| line.ends_with("free       -")));
    let part = read_disk(host, SMALL.0, 512);
    assert!(part.starts_with(b"small") && part[5..].iter().all(|byte| *byte == 0));
}

fn read_disk(host: &Host, sector: u64, bytes: usize) -> Vec<u8> {
    let mut content = vec![0; bytes];
    let disk = File::open(disk_path(host.directory())).unwrap();
    disk.read_exact_at(&mut content, sector * u64::from(SECTOR)).unwrap();
    content
}

/// The toolstack crashes in the middle of it, then the disk's driver, the disks' unikernel, and the toolstack once more.
fn an_upload_goes_on_whoever_dies(host: &mut Host, forward: Forward) {
    let admin = Terminal { forward, role: Role::Admin };
    // Neither whole sectors nor whole ranges.
    let (file, mut content) = image(host, (4 << 20) + 100);
    let mut faults = vec![
        "component restart tool rebuild",
        "component crash disk ud2",
        "component crash disk driver-crash",
        "component crash tool null-store",
    ];
    host.begin_chapter();
    let mut client = client(forward, Role::Operator);
    let uploaded = upload(&mut client, &file, "spare", |done, all| {
        if done * 5 > all * (5 - faults.len() as u64)
            && let Some(fault) = faults.pop()
        {
            admin.shows(fault);
        }
    });
    let uploaded = uploaded.unwrap_or_else(|error| panic!("{error}"));
    let padded = content.len().next_multiple_of(512);
    assert_eq!((uploaded.volume.as_str(), uploaded.bytes), ("disk0/p1", padded as u64));
    assert!(faults.is_empty() && uploaded.sent >= uploaded.bytes, "{faults:?} {uploaded:?}");
    for name in ["tool", "disk"] {
        host.wait_for(component(name).is_repaired());
    }
    let on_disk = read_disk(host, SPARE.0, padded + 512);
    assert!(on_disk[..content.len()] == content && on_disk[content.len()..].iter().all(|byte| *byte == 0));
    // What is there is not sent again.
    let again = upload(&mut client, &file, "disk0/p1", |_, _| ()).unwrap();
    assert_eq!(again, Uploaded { sent: 0, ..uploaded.clone() });
    content[3 << 20] ^= 1;
    std::fs::write(&file, &content).unwrap();
    let shown = admin.shows(&format!("--json volume upload {} partlabel=spare", file.display()));
    assert_eq!(shown, format!("{{\"volume\":\"disk0/p1\",\"bytes\":{padded},\"sent\":{}}}\n", 1 << 20));
    assert!(read_disk(host, SPARE.0, content.len()) == content);
    // It is let go at once.
    admin.shows("block-attach guest disk0/p1,,xvdc,rw");
    wait_until(|| admin.shows("block-list guest").contains(" 4     "));
    admin.shows("block-detach guest xvdc");
}

/// Its name, its memory and its kernel are the file's, but for what is said behind it. Answers its domain.
fn one_is_made(host: &Host, operator: Terminal) -> u16 {
    let config = host.directory().join("new.cfg");
    let text = "name = 'web'\nkernel = 'guest'\nmemory = 64\ncmdline = 'console=hvc0 task=tick'\n";
    std::fs::write(&config, text).unwrap();
    let create = format!("create {} memory=96", config.display());
    operator.shows(&create);
    wait_until(|| operator.shows("list web").contains("r-----"));
    assert!(operator.shows("list web").contains("   96     1 "));
    assert_eq!(operator.is_refused(&create), "there is a VM web already");
    operator.shows("domid web").trim().parse().unwrap()
}

fn it_is_back_whoever_dies(host: &mut Host, admin: Terminal) {
    let mut watching = client(admin.forward, Role::Admin);
    let find = |client: &mut Client, name: &str| {
        let components = client.get::<Components>("/v1/components").unwrap().components;
        components.into_iter().find(|component| component.name == name).unwrap()
    };
    for (name, words) in [
        ("net", "component crash net ud2"),
        ("net", "component restart net rebuild"),
        ("tool", "component crash tool null-store"),
        ("tool", "component restart tool rebuild"),
        ("xenstore.0", "component restart xenstore.0"),
    ] {
        host.begin_chapter();
        let before = find(&mut watching, name).incarnation;
        admin.shows(words);
        host.wait_for(component(name).is_repaired());
        wait_until(|| find(&mut watching, name).incarnation > before);
    }
    let fault = find(&mut watching, "net").last_fault.unwrap();
    assert_eq!(fault.kind, "crash");
    host.wait_for(everything_is_up());
    // The whole of the log, in its order, with nothing left out.
    let (mut from, mut last) = (1, None);
    loop {
        let Events { events, next } = watching.news("/v1/events", from, 0).unwrap();
        for event in &events {
            assert!(last.is_none_or(|last| event.sequence == last + 1), "{last:?}, then {}", event.sequence);
            last = Some(event.sequence);
        }
        if events.is_empty() {
            break;
        }
        from = next;
    }
}
