//! Where connections leave what only the toolstack can do, and wait for it.
//!
//! The toolstack does one thing after the other, so that its journal is that of one hand. A connection that has asked waits to
//! the end, and has one thing asked at a time. So does each of those who tell others of events: their numbers follow.

use ::api::limits::CONNECTIONS;
use ::hooks::MAX_HOOKS;
use alloc::string::String;
use alloc::vec::Vec;
use broker::{Answer, Refusal, Request, VcpuInfo};
use libos::sync::blocking_mutex::raw::NoopRawMutex;
use libos::sync::channel::Channel;
use libos::sync::signal::Signal;
use toolstack::{Command, DeviceInfo, Refused, VmInfo};

/// Who may ask at the same time: each connection, and whoever tells a receiver.
const SEATS: usize = CONNECTIONS + MAX_HOOKS;

/// What is asked for.
#[derive(Debug)]
pub enum Ask {
    /// About all VMs.
    List,
    /// About one.
    Vm(String),
    /// About the vCPUs of one.
    Vcpus(String),
    /// About the devices of one.
    Devices(String),
    /// A VM from a configuration.
    Create(String),
    /// What an operator can have done.
    Do(Command),
    /// Something that root knows or does.
    Root(Request),
    /// Something that root does and that may end this program's life: it is answered before it is asked for.
    After(Request),
}

/// What comes of it.
#[derive(Debug)]
pub enum Reply {
    /// The VMs that were asked for.
    Vms(Vec<VmInfo>),
    /// The vCPUs.
    Vcpus(Vec<(u32, VcpuInfo)>),
    /// The devices.
    Devices(Vec<DeviceInfo>),
    /// It is done, or begun.
    Done,
    /// Root's answer.
    Root(Result<Answer, Refusal>),
    /// It is refused.
    Refused(Refused),
}

/// The desk.
pub struct Desk {
    asked: Channel<NoopRawMutex, (usize, Ask), SEATS>,
    replies: [Signal<NoopRawMutex, Reply>; SEATS],
}

impl Desk {
    /// An empty one.
    pub const fn new() -> Self {
        Self { asked: Channel::new(), replies: [const { Signal::new() }; SEATS] }
    }

    /// Has something done for whoever has this seat, and waits for it.
    pub async fn ask(&self, seat: usize, ask: Ask) -> Reply {
        self.asked.send((seat, ask)).await;
        self.replies[seat].wait().await
    }

    /// The next that is to be done, and for which seat.
    pub async fn next(&self) -> (usize, Ask) {
        self.asked.receive().await
    }

    /// Says what has come of it.
    pub fn reply(&self, seat: usize, reply: Reply) {
        self.replies[seat].signal(reply);
    }
}
