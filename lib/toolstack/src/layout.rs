//! Where everything of a VM stands in XenStore, and who may read and write it: as Xen's own toolstack (libxl) has it, so that
//! stock guests, backends and programs find what they expect.
//!
//! ```text
//! /local/domain/N                      the guest's home, which it may read
//!   name vm domid  memory/ cpu/ store/ console/
//!   control/shutdown data drivers ...  what the guest may write
//!   device/vif/I  device/vbd/V         frontends: the guest's, read by the backend
//! /vm/UUID                             what the VM is made of
//! /local/domain/B/backend/vif/N/I      backends: of the unikernel in domain B, read by the guest
//! /local/domain/B/backend/vbd/N/V
//! ```

use crate::changes::Changes;
use crate::uuid::Uuid;
use alloc::format;
use alloc::string::String;
use core::fmt;
use xen_abi::xenbus::XenbusState;
use xen_abi::{Domid, Mfn, Port};
use xenstore_session::Permission;
use xlcfg::{Disk, Vif};

/// Whom libxl names as the owner of what belongs to no guest and no backend.
const TOOLSTACK: Domid = Domid::DOM0;

/// The most bytes that a program may keep of a console's output.
const CONSOLE_LIMIT: u32 = 1 << 20;

/// The interval over which an interface's rate is kept, in microseconds.
const RATE_INTERVAL_US: u64 = 50_000;

/// The most bytes of a frame's payload.
const MTU: u32 = 1500;

/// One end of what the guest shares with somebody: a page, and a port of the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The page's machine frame.
    pub frame: Mfn,
    /// The guest's port.
    pub port: Port,
}

/// What a domain's nodes say.
#[derive(Clone, Copy, Debug)]
pub struct Domain<'a> {
    /// Its number.
    pub domid: Domid,
    /// The VM's UUID.
    pub uuid: Uuid,
    /// The VM's name.
    pub name: &'a str,
    /// Its memory, in KiB: what it is to have, which a balloon driver obeys.
    pub target_kib: u64,
    /// The most that it may have, in KiB.
    pub most_kib: u64,
    /// How many vCPUs are to be up.
    pub vcpus: u32,
    /// How many there are.
    pub most_vcpus: u32,
    /// Its ring to XenStore.
    pub store: End,
    /// Its console.
    pub console: End,
    /// Who shows its console.
    pub console_server: Domid,
    /// The names of its kernel and ramdisk, for people.
    pub kernel: &'a str,
    /// See `kernel`.
    pub ramdisk: Option<&'a str>,
    /// Its command line.
    pub cmdline: &'a str,
    /// When it was started, in microseconds since Xen has booted.
    pub started_us: u64,
}

/// The kinds of devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Network interfaces.
    Vif,
    /// Disks.
    Vbd,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Vif, Self::Vbd];
}

/// As paths name it.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vif => "vif",
            Self::Vbd => "vbd",
        })
    }
}

/// The two ends of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// What it is.
    pub kind: Kind,
    /// Its number among those of its kind.
    pub id: u32,
    /// The guest.
    pub guest: Domid,
    /// Who serves it.
    pub backend: Domid,
}

impl Device {
    /// The guest's directory.
    pub fn frontend_path(&self) -> String {
        format!("{}/device/{}/{}", home(self.guest), self.kind, self.id)
    }

    /// The backend's directory.
    pub fn backend_path(&self) -> String {
        format!("{}/{}", self.backends_path(), self.id)
    }

    /// The backend's directory for all such devices of the guest.
    fn backends_path(&self) -> String {
        format!("{}/backend/{}/{}", home(self.backend), self.kind, self.guest.0)
    }

    /// Asks the backend to let go of it for good.
    pub fn close(&self, changes: &mut Changes) {
        let path = self.backend_path();
        changes.write(format!("{path}/online"), 0);
        changes.write(format!("{path}/state"), XenbusState::Closing.raw());
    }

    /// Takes away both ends. The directory above the backend's goes with `is_last`.
    pub fn remove(&self, is_last: bool, changes: &mut Changes) {
        changes.remove(self.frontend_path());
        changes.remove(if is_last { self.backends_path() } else { self.backend_path() });
    }

    /// Makes both ends, with what both have in common.
    fn add(&self, changes: &mut Changes) -> (String, String) {
        let (front, back) = (self.frontend_path(), self.backend_path());
        let owned_by_guest = [Permission::owner(self.guest), Permission::reader(self.backend)];
        let owned_by_backend = [Permission::owner(self.backend), Permission::reader(self.guest)];
        changes.remove(front.clone());
        changes.node(front.clone(), "", &owned_by_guest);
        changes.write(format!("{front}/backend"), &back);
        changes.write(format!("{front}/backend-id"), self.backend.0);
        changes.write(format!("{front}/state"), XenbusState::Initialising.raw());
        changes.remove(back.clone());
        changes.node(back.clone(), "", &owned_by_backend);
        changes.write(format!("{back}/frontend"), &front);
        changes.write(format!("{back}/frontend-id"), self.guest.0);
        changes.write(format!("{back}/online"), 1);
        changes.write(format!("{back}/state"), XenbusState::Initialising.raw());
        (front, back)
    }
}

/// The home of a domain, below which its relative paths lie.
pub fn home(domid: Domid) -> String {
    format!("/local/domain/{}", domid.0)
}

/// What is there whatever VMs there are: directories that only empty themselves again.
pub fn host(changes: &mut Changes) {
    changes.write("/vm", "");
}

/// The home of a unikernel that serves devices of a kind. What is there already stays.
pub fn backend_home(domid: Domid, name: &str, kind: Kind, changes: &mut Changes) {
    let home = home(domid);
    let own = [Permission::owner(domid)];
    changes.node(home.clone(), "", &own);
    changes.write(format!("{home}/domid"), domid.0);
    changes.write(format!("{home}/name"), name);
    changes.write(format!("{home}/backend/{kind}"), "");
}

/// All nodes of a domain but its devices.
pub fn domain(domain: &Domain<'_>, changes: &mut Changes) {
    let home = home(domain.domid);
    let vm = vm_path(domain.uuid);
    let read_only = [Permission::owner(TOOLSTACK), Permission::reader(domain.domid)];
    let own = [Permission::owner(domain.domid)];
    changes.remove(home.clone());
    changes.node(home.clone(), "", &read_only);
    changes.remove(vm.clone());
    changes.node(vm.clone(), "", &read_only);
    changes.write(format!("{home}/vm"), &vm);
    changes.write(format!("{home}/name"), domain.name);
    changes.write(format!("{home}/domid"), domain.domid.0);
    for directory in ["cpu", "memory", "device", "control"] {
        changes.node(format!("{home}/{directory}"), "", &read_only);
    }
    for node in [
        "device/suspend/event-channel",
        "control/shutdown",
        "control/feature-poweroff",
        "control/feature-reboot",
        "control/feature-suspend",
        "control/sysrq",
        "data",
        "drivers",
        "feature",
        "attr",
        "error",
    ] {
        changes.node(format!("{home}/{node}"), "", &own);
    }
    changes.write(format!("{home}/control/platform-feature-multiprocessor-suspend"), 1);
    changes.write(format!("{home}/control/platform-feature-xs_reset_watches"), 1);
    changes.write(format!("{home}/memory/static-max"), domain.most_kib);
    changes.write(format!("{home}/memory/target"), domain.target_kib);
    changes.write(format!("{home}/memory/videoram"), 0);
    changes.write(format!("{home}/store/port"), domain.store.port.0);
    changes.write(format!("{home}/store/ring-ref"), domain.store.frame.0);
    vcpus(domain.domid, domain.vcpus, domain.most_vcpus, changes);
    console(domain, changes);
    changes.write(format!("{vm}/uuid"), domain.uuid);
    changes.write(format!("{vm}/name"), domain.name);
    changes.write(format!("{vm}/image/ostype"), "linux");
    changes.write(format!("{vm}/image/kernel"), domain.kernel);
    if let Some(ramdisk) = domain.ramdisk {
        changes.write(format!("{vm}/image/ramdisk"), ramdisk);
    }
    changes.write(format!("{vm}/image/cmdline"), domain.cmdline);
    let hundredths = domain.started_us / 10_000;
    changes.write(format!("{vm}/start_time"), format!("{}.{:02}", hundredths / 100, hundredths % 100));
}

fn console(domain: &Domain<'_>, changes: &mut Changes) {
    let path = format!("{}/console", home(domain.domid));
    let read_only = [Permission::owner(TOOLSTACK), Permission::reader(domain.domid)];
    changes.node(path.clone(), "", &read_only);
    changes.write(format!("{path}/backend-id"), domain.console_server.0);
    changes.write(format!("{path}/limit"), CONSOLE_LIMIT);
    changes.write(format!("{path}/type"), "xenconsoled");
    changes.write(format!("{path}/output"), "pty");
    changes.write(format!("{path}/tty"), "");
    changes.write(format!("{path}/port"), domain.console.port.0);
    changes.write(format!("{path}/ring-ref"), domain.console.frame.0);
}

/// Takes away everything of a domain: its home, and what is said about the VM.
pub fn remove_domain(domid: Domid, uuid: Uuid, changes: &mut Changes) {
    changes.remove(home(domid));
    changes.remove(vm_path(uuid));
}

/// Gives a domain's VM another name.
pub fn rename(domid: Domid, uuid: Uuid, name: &str, changes: &mut Changes) {
    changes.write(format!("{}/name", home(domid)), name);
    changes.write(format!("{}/name", vm_path(uuid)), name);
}

/// Says how many vCPUs are to be up.
pub fn vcpus(domid: Domid, up: u32, all: u32, changes: &mut Changes) {
    for vcpu in 0..all {
        let availability = if vcpu < up { "online" } else { "offline" };
        changes.write(format!("{}/cpu/{vcpu}/availability", home(domid)), availability);
    }
}

/// Says how much memory a domain is to have, in KiB.
pub fn balloon(domid: Domid, target_kib: u64, changes: &mut Changes) {
    changes.write(format!("{}/memory/target", home(domid)), target_kib);
}

/// Asks a guest for something: `poweroff` or `reboot`.
pub fn ask_guest(domid: Domid, what: &str, changes: &mut Changes) {
    changes.write(format!("{}/control/shutdown", home(domid)), what);
}

/// Presses a key of a guest's keyboard together with its key for help in need (SysRq).
pub fn press(domid: Domid, key: char, changes: &mut Changes) {
    changes.write(format!("{}/control/sysrq", home(domid)), key);
}

/// Both ends of a network interface, whose address is `mac` where the configuration says nothing.
pub fn vif(device: &Device, vif: &Vif, mac: [u8; 6], changes: &mut Changes) {
    let (front, back) = device.add(changes);
    let [a, b, c, d, e, f] = vif.mac.unwrap_or(mac);
    let mac = format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}");
    changes.write(format!("{front}/handle"), device.id);
    changes.write(format!("{front}/mac"), &mac);
    changes.write(format!("{front}/trusted"), 1);
    let read_only = [Permission::owner(device.backend), Permission::reader(device.guest)];
    changes.node(format!("{front}/mtu"), MTU, &read_only);
    changes.write(format!("{back}/mac"), &mac);
    if let Some(ip) = &vif.ip {
        changes.write(format!("{back}/ip"), ip);
    }
    if let Some(rate) = vif.rate {
        let bytes = u128::from(rate) * u128::from(RATE_INTERVAL_US) / 1_000_000;
        changes.write(format!("{back}/rate"), format!("{bytes},{RATE_INTERVAL_US}"));
    }
    changes.write(format!("{back}/bridge"), vif.bridge.as_deref().unwrap_or("xenbr0"));
    changes.write(format!("{back}/handle"), device.id);
    changes.write(format!("{back}/type"), "vif");
}

/// Both ends of a disk.
pub fn vbd(device: &Device, disk: &Disk, changes: &mut Changes) {
    let (front, back) = device.add(changes);
    let kind = if disk.cdrom { "cdrom" } else { "disk" };
    changes.write(format!("{front}/virtual-device"), device.id);
    changes.write(format!("{front}/device-type"), kind);
    changes.write(format!("{front}/protocol"), "x86_64-abi");
    changes.write(format!("{back}/params"), disk.target.as_deref().unwrap_or_default());
    changes.write(format!("{back}/removable"), u32::from(disk.cdrom));
    changes.write(format!("{back}/bootable"), 1);
    changes.write(format!("{back}/dev"), &disk.vdev);
    changes.write(format!("{back}/type"), "phy");
    changes.write(format!("{back}/mode"), if disk.read_only { "r" } else { "w" });
    changes.write(format!("{back}/device-type"), kind);
    let discard = disk.discard.unwrap_or(!disk.read_only);
    changes.write(format!("{back}/discard-enable"), u32::from(discard));
}

/// The number of a disk by the name that the guest has for it, as Linux numbers devices: `xvda` is 51712. None for a name that
/// has no number.
pub fn vbd_number(vdev: &str) -> Option<u32> {
    let (kind, rest) = ["xvd", "sd", "hd"].iter().find_map(|kind| Some((*kind, vdev.strip_prefix(kind)?)))?;
    let letters = rest.trim_end_matches(|c: char| c.is_ascii_digit());
    let partition = &rest[letters.len()..];
    let partition = if partition.is_empty() { 0 } else { partition.parse::<u32>().ok()? };
    // a to z, then aa to zz.
    let value = |letter: u8| letter.is_ascii_lowercase().then(|| u32::from(letter - b'a'));
    let disk = match letters.as_bytes() {
        [only] => value(*only)?,
        [first, second] => 26 * (value(*first)? + 1) + value(*second)?,
        _ => return None,
    };
    match kind {
        "xvd" if disk < 16 && partition < 16 => Some(202 << 8 | disk << 4 | partition),
        "xvd" if partition < 256 => Some(1 << 28 | disk << 8 | partition),
        "sd" if disk < 16 && partition < 16 => Some(8 << 8 | disk << 4 | partition),
        "hd" if disk < 4 && partition < 64 => {
            Some(if disk < 2 { 3 } else { 22 } << 8 | (disk & 1) << 6 | partition)
        }
        _ => None,
    }
}

fn vm_path(uuid: Uuid) -> String {
    format!("/vm/{uuid}")
}
