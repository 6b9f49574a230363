//! Where connections leave what only the toolstack can do, and wait for it.
//!
//! The toolstack does one thing after the other, so that its journal is that of one hand. A connection that has asked waits to
//! the end, and has one thing asked at a time.

use ::api::limits::CONNECTIONS;
use alloc::string::String;
use alloc::vec::Vec;
use broker::{Answer, Refusal, Request, VcpuInfo};
use libos::sync::blocking_mutex::raw::NoopRawMutex;
use libos::sync::channel::Channel;
use libos::sync::signal::Signal;
use toolstack::{Command, DeviceInfo, Refused, VmInfo};

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
    asked: Channel<NoopRawMutex, (usize, Ask), CONNECTIONS>,
    replies: [Signal<NoopRawMutex, Reply>; CONNECTIONS],
}

impl Desk {
    /// An empty one.
    pub const fn new() -> Self {
        Self { asked: Channel::new(), replies: [const { Signal::new() }; CONNECTIONS] }
    }

    /// Has something done for the connection of this number, and waits for it.
    pub async fn ask(&self, connection: usize, ask: Ask) -> Reply {
        self.asked.send((connection, ask)).await;
        self.replies[connection].wait().await
    }

    /// The next that is to be done, and for which connection.
    pub async fn next(&self) -> (usize, Ask) {
        self.asked.receive().await
    }

    /// Says what has come of it.
    pub fn reply(&self, connection: usize, reply: Reply) {
        self.replies[connection].signal(reply);
    }
}
