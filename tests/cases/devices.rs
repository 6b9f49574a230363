//! Unikernels with devices: they answer, they keep what is written, and a fault takes neither away for long.

use emulator::artifacts::XenVersion::V4_20;
use emulator::command::Command;
use emulator::condition::component;
use emulator::device::NicModel;
use emulator::event::Rung;
use emulator::fault::Fault;
use rvmm_tests::system::DEVICES;
use rvmm_tests::traffic::NET_ADDRESS;
use rvmm_tests::trial::{FOREIGN_ADDRESS, Program, trials};
use rvmm_tests::{Host, Setup};

fn boot(test: &str, setup: Setup) -> Host {
    Host::boot(test, Setup { system: DEVICES, devices: true, ..setup })
}

/// A unikernel with a device fails in every way that it can, one after the other. Each time the network answers again, and the disk has
/// lost nothing: its unikernel checks what its earlier lives have written, and logs what is wrong.
fn faults_are_repaired(setup: Setup) {
    let mut host = boot(&format!("device-faults-on-{setup}"), setup);
    host.expect_answer_from(NET_ADDRESS);
    let mut failures = Vec::new();
    for (name, program) in [("net", Program::Net), ("disk", Program::Disk)] {
        for trial in trials(program).filter(|trial| setup.iommu || trial.fault != Fault::RogueDma) {
            if let Err(error) = host.try_fault(&trial, name) {
                failures.push(format!("{} of {name}: {error}", trial.fault));
            }
            host.expect_answer_from(NET_ADDRESS);
            if trial.fault != Fault::RogueDma {
                host.has_not_seen(component("disk").logs("of an earlier life is lost"));
            }
            host.is_beating("probe");
        }
    }
    if !failures.is_empty() {
        host.fail(failures.join("\n"));
    }
    host.disk_has_been_written();
}

#[test]
fn faults_are_repaired_on_xen_4_17() {
    faults_are_repaired(Setup::default());
}

#[test]
fn faults_are_repaired_on_xen_4_20() {
    faults_are_repaired(Setup { xen: V4_20, ..Setup::default() });
}

#[test]
fn faults_are_repaired_on_two_processors() {
    faults_are_repaired(Setup { processors: 2, ..Setup::default() });
}

#[test]
fn faults_are_repaired_without_an_iommu() {
    faults_are_repaired(Setup { iommu: false, ..Setup::default() });
}

#[test]
fn faults_are_repaired_without_an_iommu_on_xen_4_20() {
    faults_are_repaired(Setup { xen: V4_20, iommu: false, ..Setup::default() });
}

/// Devices that may not interrupt, or by their lines alone, are driven all the same.
#[test]
fn devices_are_served_without_messages() {
    for (way, kind) in [("line", "Intx"), ("poll", "Poll")] {
        let system = DEVICES.replacing(" }]", &format!(", interrupt = \"{way}\" }}]"));
        let setup = Setup { system, devices: true, ..Setup::default() };
        let mut host = Host::boot(&format!("devices-by-{way}"), setup);
        for (name, program) in [("net", Program::Net), ("disk", Program::Disk)] {
            for trial in trials(program).filter(|trial| matches!(trial.fault, Fault::Ud2 | Fault::TightLoop))
            {
                if let Err(error) = host.try_fault(&trial, name) {
                    host.fail(format_args!("{} of {name}: {error}", trial.fault));
                }
                host.wait_for(component(name).logs(&format!("interrupts by {kind}")));
            }
        }
        host.expect_answer_from(NET_ADDRESS);
        host.disk_has_been_written();
        host.power_off();
    }
}

#[test]
fn a_device_that_writes_where_it_must_not_is_stopped_by_the_iommu() {
    let mut host = boot("rogue-device", Setup::default());
    host.inject_with("disk", Fault::RogueDma, FOREIGN_ADDRESS);
    host.wait_for_xen_to_say("[VT-D]DMAR:[DMA Write] Request device [0000:02:00.0] fault addr 200000");
    host.wait_for(component("disk").is_repaired_by(Rung::MicroReboot));
    host.has_not_seen(component("net").fails());
    host.is_beating("disk");
}

#[test]
fn without_an_iommu_no_device_is_told_to_write_where_it_must_not() {
    let mut host = boot("no-rogue-device", Setup { iommu: false, ..Setup::default() });
    for name in ["net", "disk"] {
        host.is_refused(Command::Inject {
            component: name.into(),
            fault: Fault::RogueDma,
            argument: Some(FOREIGN_ADDRESS),
        });
        host.is_beating(name);
    }
}

/// The network's unikernel drives Intel's card, whatever happens to it.
#[test]
fn an_82574l_is_driven_as_well() {
    let system = DEVICES.replacing("virtio-net", "e1000e");
    let setup = Setup { system, devices: true, nic: NicModel::E1000e, ..Setup::default() };
    let mut host = Host::boot("devices-82574l", setup);
    host.expect_answer_from(NET_ADDRESS);
    for fault in [Fault::DriverCrash, Fault::DriverHang, Fault::WildData, Fault::TightLoop] {
        host.begin_chapter();
        host.inject("net", fault);
        host.wait_for(component("net").is_repaired());
        host.expect_answer_from(NET_ADDRESS);
    }
    host.begin_chapter();
    host.restart("net", Rung::Rebuild);
    host.wait_for(component("net").is_repaired_by(Rung::Rebuild));
    host.expect_answer_from(NET_ADDRESS);
}
