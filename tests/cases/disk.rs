//! Guests' disks: a stock kernel's file system and blocks stay right, and it sees no error, while drivers, backend and unikernel die
//! under it.
//!
//! `RVMM_DISK_KILLS` says how often they do while blocks are verified (16 times if it is not set, and 2 while fio does it),
//! `RVMM_DISK_POWER_CUTS` how often the power is cut (once), `RVMM_DISK_COMPILATIONS` how often something is compiled (once).

use std::fs;
use std::thread;
use std::time::Duration;

use emulator::condition::{component, everything_is_up};
use emulator::device::DiskModel;
use emulator::fault::Fault;
use guest_io::blocks::{BLOCK, difference};
use rvmm_tests::disk::{GUESTS, guest_that, guest_with};
use rvmm_tests::part::{DEATHS, harm_and_wait};
use rvmm_tests::setup::disk_path;
use rvmm_tests::system;
use rvmm_tests::toolstack::TOOLSTACK;
use rvmm_tests::{Host, Setup, setting};

const DISK: &str = "disk";

/// The domains of the guests.
const GUEST: u16 = GUESTS[0];
const FIRST: u16 = GUESTS[0];
const SECOND: u16 = GUESTS[1];

/// The partitions of the disk that two guests share.
const PARTITIONS: [(u64, u64, &str); 3] =
    [(2048, 32768, "first"), (34816, 32768, "both"), (67584, 32768, "none")];

/// A block of the partition that both read, which cannot be read.
const BAD_BLOCK: u64 = 2500;

/// A host whose guest has its disk.
fn boot(test: &str, setup: Setup) -> Host {
    let host = Host::switch_on(test, Setup { devices: true, ..setup });
    host.wait_for(everything_is_up());
    host.wait_for_guest_to_say(GUEST, "guest: up ");
    host.wait_for_guest_to_say(GUEST, "guest: disk xvda sectors=");
    host
}

/// How the disk's unikernel, or a part of it, is harmed in this round: each time in another way; none if the unikernel is built anew.
fn way(round: usize) -> Option<Fault> {
    DEATHS.into_iter().chain([Fault::WildData]).nth(round % (DEATHS.len() + 2))
}

/// Harms the disk's unikernel in the [`way`] of this round, and waits until that is repaired.
fn harm(host: &mut Host, round: usize) {
    let way = way(round);
    harm_and_wait(host, DISK, way);
    if matches!(way, Some(Fault::DriverCrash | Fault::BackendCrash)) {
        // A part that was repaired alone has not cost the others anything.
        host.has_not_seen(component(DISK).fails());
    }
}

#[test]
fn a_file_system_stays_right() {
    let mut host =
        boot("disk-files", Setup { system: guest_that("task=files rounds=10"), ..Setup::default() });
    host.wait_for_guest_to_say(GUEST, "guest: files round=1");
    for round in 0..8 {
        harm(&mut host, round);
        host.wait_for_guest_to_say(GUEST, "guest: files round=");
        host.guest_has_not_said(GUEST, "error");
    }
    host.wait_for_guest_to_say(GUEST, "guest: files clean");
    host.power_off();
}

/// A guest unpacks and compiles a library on its root file system, again and again, and then has Debian's fio write blocks there and
/// verify them, while its disk's unikernel dies.
#[test]
fn a_root_file_system_stays_right() {
    let rounds = setting("RVMM_DISK_COMPILATIONS", 1);
    let guest = guest_with("guest", &["disk0,,xvda,rw"]).does(format!("quiet task=root rounds={rounds}"));
    // What fio is linked with takes some room.
    let system = system::DISK.starting(&[guest.memory_mib(256)]);
    let setup = Setup { system, disk_content: Some("bookworm-root/disk"), ..Setup::default() };
    let mut host = boot("disk-root", setup);
    for round in 0..rounds * 3 {
        harm(&mut host, round);
        host.guest_has_not_said(GUEST, "error");
    }
    for round in 0..setting("RVMM_DISK_KILLS", 2) {
        harm(&mut host, round);
        if round % 2 == 0 {
            host.wait_for_guest_to_say(GUEST, "guest: fio depth=1 ");
            host.wait_for_guest_to_say(GUEST, "guest: fio depth=32 ");
        }
        host.guest_has_not_said(GUEST, "error");
        host.guest_has_not_said(GUEST, "guest: root damaged");
    }
    host.tell(TOOLSTACK, "console guest enough");
    host.wait_for_guest_to_say(GUEST, "guest: root clean");
    host.power_off();
}

/// A guest writes blocks at random places, reads them again and compares, while its disk's unikernel dies.
fn blocks_stay_right(test: &str, setup: Setup, rings: &str, kills: usize) -> Host {
    let mut host = boot(test, setup);
    host.wait_for_guest_to_say(GUEST, &format!("guest: rings {rings}"));
    host.wait_for_guest_to_say(GUEST, "guest: verified");
    for round in 0..kills {
        harm(&mut host, round);
        host.wait_for_guest_to_say(GUEST, "guest: verified");
        host.guest_has_not_said(GUEST, "error");
        host.guest_has_not_said(GUEST, "guest: io failed");
    }
    host
}

#[test]
fn blocks_stay_right_at_depth_32() {
    let guest = guest_with("guest", &["disk0,,xvda,rw"]).does("quiet task=verify depth=32 rings=2");
    let setup = Setup { system: system::DISK.starting(&[guest.with("vcpus = 2")]), ..Setup::default() };
    let rings = "queues=2 order=2";
    let mut host = blocks_stay_right("disk-verify", setup, rings, setting("RVMM_DISK_KILLS", 16));
    // The disk becomes larger, once while all is well and once while the unikernel dies: the guest is told.
    host.resize_disk(80 << 20);
    host.wait_for_guest_to_say(GUEST, "guest: disk xvda sectors=163840");
    host.resize_disk(96 << 20);
    harm_and_wait(&mut host, DISK, Some(Fault::Ud2));
    host.wait_for_guest_to_say(GUEST, "guest: disk xvda sectors=196608");
    host.wait_for_guest_to_say(GUEST, "guest: verified");
    host.power_off();
}

#[test]
fn blocks_stay_right_one_at_a_time_on_nvme() {
    let setup =
        Setup { system: guest_that("task=verify depth=1"), disk: DiskModel::Nvme, ..Setup::default() };
    // With sectors of 4 KiB.
    let kills = setting("RVMM_DISK_KILLS", 16) / 2;
    blocks_stay_right("disk-verify-nvme", setup, "queues=1 order=0", kills).power_off();
}

/// Two guests have a volume each, and one that both may read. One of them lies to the backend and asks for what the other has: the
/// other notices nothing.
#[test]
fn a_rude_guest_harms_only_itself() {
    let first = guest_with("first", &["disk0/p1,,xvda,rw", "disk0/p2,,xvdb,ro"]);
    let second = guest_with("second", &["disk0/p2,,xvda,ro", "disk0/p1,,xvdb,rw", "disk0/p3,,xvdc,rw"]);
    let rude = second.does(format!("quiet task=rude bad={BAD_BLOCK}"));
    let guests = [first.does("quiet task=verify depth=8 share=xvdb"), rude];
    let setup = Setup {
        system: system::DISK.starting(&guests.map(|guest| guest.memory_mib(96))),
        devices: true,
        partitions: &PARTITIONS,
        bad_sector: Some(PARTITIONS[1].0 + BAD_BLOCK * 8),
        ..Setup::default()
    };
    let mut host = Host::switch_on("disk-guests", setup);
    host.wait_for(everything_is_up());
    host.wait_for_guest_to_say(FIRST, "guest: up ");
    host.wait_for_guest_to_say(FIRST, "guest: disk xvda sectors=32768 read_only=0");
    host.wait_for_guest_to_say(SECOND, "guest: up ");
    host.wait_for_guest_to_say(SECOND, "guest: lie grant 300 of domain d7: ");
    let refused = host.wait_for_guest_to_say(SECOND, "guest: refused ");
    assert!(refused.contains("disk 51712 of domain 6 has it"), "{refused}");
    host.wait_for_guest_to_say(SECOND, "guest: disk xvda sectors=32768 read_only=1");
    // The medium is to blame, and not the driver.
    host.wait_for_guest_to_say(SECOND, &format!("guest: block {BAD_BLOCK} is bad"));
    host.wait_for(
        component(DISK).logs(&format!("disk 51712 of domain 7: operation 0 at sector {}", BAD_BLOCK * 8)),
    );
    host.has_not_seen(component(DISK).logs("repaired part=driver kind=crash"));
    for round in 0..3 {
        harm(&mut host, round);
        host.wait_for_guest_to_say(FIRST, "guest: verified");
        host.wait_for_guest_to_say(FIRST, "guest: shares both");
        host.wait_for_guest_to_say(SECOND, "guest: shares both");
    }
    host.guest_has_not_said(FIRST, "error");
    host.guest_has_not_said(FIRST, "guest: io failed");
    host.guest_has_not_said(SECOND, "guest: io failed");
    host.power_off();
}

/// The machine stops at a random moment, while drivers, backend and unikernel die: what the guest was told to be safe is on the disk.
#[test]
fn what_is_flushed_survives_the_power() {
    for cut in 0..setting("RVMM_DISK_POWER_CUTS", 1) {
        let mut random = fastrand::Rng::with_seed(cut as u64);
        let mut host = boot("disk-power", Setup { system: guest_that("task=safe"), ..Setup::default() });
        for _ in 0..3 {
            harm(&mut host, random.usize(0..8));
            host.wait_for_guest_to_say(GUEST, "guest: safe ");
        }
        host.begin_chapter();
        thread::sleep(Duration::from_millis(random.u64(0..500)));
        let told = host.wait_for_guest_to_say(GUEST, "guest: safe ");
        let directory = host.directory().to_path_buf();
        let lines = host.guest_lines(GUEST);
        drop(host);
        let number = |line: &str| line.strip_prefix("guest: safe ")?.trim().parse::<usize>().ok();
        let safe = lines.iter().filter_map(|line| number(line)).max().or(number(&told)).unwrap_or(0);
        let disk = fs::read(disk_path(&directory)).unwrap();
        for (block, bytes) in disk.chunks_exact(BLOCK).take(safe).enumerate() {
            let wrong = difference(bytes, block as u64, 1);
            assert_eq!(wrong, None, "block {block} of {safe} that are safe, by word");
        }
    }
}
