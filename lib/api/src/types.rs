//! What is said in bodies.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// Types with documentation, serde and, where it is asked for, a schema.
macro_rules! bodies {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)* })*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
        pub struct $name { $($(#[$field_meta])* pub $field: $type,)* }
    )*};
}

bodies! {
    /// The host as a whole.
    pub struct Host {
        /// The version of Xen, such as `4.17`.
        pub xen: String,
        /// Processors of the machine.
        pub processors: u32,
        /// Memory of the machine, in KiB.
        pub total_kib: u64,
        /// What of it nobody has, in KiB.
        pub free_kib: u64,
        /// Microseconds since Xen has booted.
        pub uptime_us: u64,
    }

    /// A virtual machine.
    pub struct Vm {
        /// Its name.
        pub name: String,
        /// Its UUID.
        pub uuid: String,
        /// The number of its domain; none while it has no domain.
        pub domid: Option<u16>,
        /// Where it is in its life: `building`, `starting`, `running`, `paused`, `stopping`, `preserved`, `destroying`.
        pub phase: String,
        /// Memory that it has, in KiB.
        pub memory_kib: u64,
        /// vCPUs that are up.
        pub vcpus: u32,
        /// CPU time that all of them have used, in microseconds.
        pub cpu_us: u64,
    }

    /// All virtual machines.
    pub struct Vms {
        /// In the order in which they were made.
        pub vms: Vec<Vm>,
    }

    /// A vCPU.
    pub struct Vcpu {
        /// Its number.
        pub vcpu: u32,
        /// Whether it is up.
        pub online: bool,
        /// Whether it waits for an event.
        pub blocked: bool,
        /// Whether it has a CPU.
        pub running: bool,
        /// The CPU that it had last.
        pub cpu: u32,
        /// The CPU time that it has used, in microseconds.
        pub cpu_us: u64,
    }

    /// The vCPUs of a virtual machine.
    pub struct Vcpus {
        /// By their numbers; none while it has no domain.
        pub vcpus: Vec<Vcpu>,
    }

    /// A network interface.
    pub struct Vif {
        /// Its number.
        pub id: u32,
        /// Its address.
        pub mac: String,
        /// The domain that serves it.
        pub backend_id: u16,
        /// The frontend's state: 4 is connected.
        pub state: Option<u32>,
        /// The frontend's event channel, or that for sending.
        pub event_channel: Option<u32>,
        /// The grant of the ring to send.
        pub tx_ring: Option<u32>,
        /// The grant of the ring to receive.
        pub rx_ring: Option<u32>,
        /// The backend's directory in XenStore.
        pub backend: String,
    }

    /// A disk.
    pub struct Disk {
        /// Its number, as Linux numbers devices.
        pub id: u32,
        /// What the guest calls it.
        pub vdev: String,
        /// The domain that serves it.
        pub backend_id: u16,
        /// The guest's domain.
        pub frontend_id: u16,
        /// The frontend's state: 4 is connected.
        pub state: Option<u32>,
        /// The frontend's event channel.
        pub event_channel: Option<u32>,
        /// The grant of its ring.
        pub ring: Option<u32>,
        /// The backend's directory in XenStore.
        pub backend: String,
    }

    /// The devices of a virtual machine.
    pub struct Devices {
        /// Its network interfaces.
        pub vifs: Vec<Vif>,
        /// Its disks.
        pub disks: Vec<Disk>,
    }

    /// Something that is done, or begun.
    pub struct Done {
        /// What comes of it.
        pub message: String,
    }

    /// What a guest has written to its console.
    pub struct Console {
        /// The position of the first byte in all that the guest has written. Later than what was asked from where the earlier
        /// bytes are not kept any more.
        pub from: u64,
        /// The position behind the last byte: where to ask from next.
        pub next: u64,
        /// The bytes, in base64.
        pub data: String,
    }

    /// A guest's disk.
    pub struct VolumeUser {
        /// The guest's domain.
        pub domid: u16,
        /// The disk's number, as Linux numbers devices.
        pub id: u32,
    }

    /// A volume on one of the host's disks.
    pub struct Volume {
        /// Its name, as guests' configurations have it: `disk0`, or `disk0/p2` for a partition.
        pub name: String,
        /// What its partition is called; nothing where it has no such name.
        pub label: String,
        /// Its size in bytes.
        pub bytes: u64,
        /// The unit in which it is read and written, in bytes.
        pub sector_bytes: u32,
        /// Whether it cannot be written at all.
        pub read_only: bool,
        /// What becomes of it: `free`; `shared`, by guests that only read it; `exclusive`, where a guest may write it or something
        /// that lies on it; `written`, over this API.
        pub state: String,
        /// The guests that use it, or what lies on it.
        pub users: Vec<VolumeUser>,
    }

    /// Volumes.
    pub struct Volumes {
        /// By their places in the list of all.
        pub volumes: Vec<Volume>,
        /// The place to ask from next; none if there are no more.
        pub next: Option<u64>,
    }

    /// The checksum of a part of a volume.
    pub struct Digest {
        /// The first byte.
        pub from: u64,
        /// How many.
        pub bytes: u64,
        /// SHA-256 of them, in 64 hexadecimal digits.
        pub sha256: String,
    }

    /// A component: one unikernel that root watches.
    pub struct Component {
        /// Its name.
        pub name: String,
        /// How it is: `healthy`, `starting`, `repairing`, `waiting`, `down`, `held`, `unstarted`.
        pub state: String,
        /// The number of its domain.
        pub domid: u16,
        /// Which of its lives this is, from 1.
        pub incarnation: u64,
        /// Heartbeats of this life.
        pub beats: u64,
        /// How it has failed last; none if it has not since root is there.
        pub last_fault: Option<LastFault>,
    }

    /// How a component has failed.
    pub struct LastFault {
        /// `crash`, `hang`, `starved`, `stall` or `corrupt`.
        pub kind: String,
        /// When that was found, in microseconds since Xen has booted.
        pub at_us: u64,
    }

    /// All components.
    pub struct Components {
        /// In the order of the system description.
        pub components: Vec<Component>,
    }

    /// A line of the event log.
    pub struct Event {
        /// Its number; the first is 1, and none is left out.
        pub sequence: u64,
        /// When it was noted, in microseconds since Xen has booted.
        pub at_us: u64,
        /// Whom it is about, what has happened, and `key=value` pairs.
        pub text: String,
    }

    /// Lines of the event log.
    pub struct Events {
        /// In their order. The first may have a higher number than what was asked from: the log keeps the last 256.
        pub events: Vec<Event>,
        /// The number to ask from next.
        pub next: u64,
    }

    /// What a host tells the receivers that its description names.
    pub struct Notification {
        /// The host's name.
        pub host: String,
        /// Which event log it is about, in 16 hexadecimal digits: numbers begin anew with each boot of the host, in another log.
        pub log: String,
        /// The number of what is told: that of the event, or of the last line that is lost.
        pub sequence: u64,
        /// The number of what this receiver has said last that it has; 0 if there is nothing. If that is more than the receiver
        /// knows of, somebody else has answered in its place.
        pub after: u64,
        /// The event; none if lines are lost.
        pub event: Option<Event>,
        /// If lines of the log were overwritten before they could be told: the first of them.
        pub lost_from: Option<u64>,
    }
}

impl Console {
    /// The bytes from `from` on.
    pub fn new(from: u64, bytes: &[u8]) -> Self {
        use base64::prelude::{BASE64_STANDARD, Engine};
        Self { from, next: from + bytes.len() as u64, data: BASE64_STANDARD.encode(bytes) }
    }

    /// The bytes; none if they are not written as they should be.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        use base64::prelude::{BASE64_STANDARD, Engine};
        BASE64_STANDARD.decode(&self.data).ok()
    }
}
