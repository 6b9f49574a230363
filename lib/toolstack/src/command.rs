//! What the operator can ask for, in words.
//!
//! | words | meaning |
//! |---|---|
//! | `create GUEST [NAME]` | a VM from a guest of the system description, under its own or another name |
//! | `shutdown NAME [SECONDS]` | asks the guest to shut down; destroys it when the time is over |
//! | `reboot NAME [SECONDS]` | asks it to reboot; destroys and builds it when the time is over |
//! | `destroy NAME` | takes it away at once |
//! | `pause NAME`, `unpause NAME` | stops its vCPUs, and lets them go on |
//! | `balloon NAME MIB` | how much memory it is to have |
//! | `vcpus NAME COUNT` | how many of its vCPUs are to be up |
//! | `attach NAME vif VALUE`, `attach NAME disk VALUE` | another device, as `xl.cfg` says it |
//! | `detach NAME vif NUMBER`, `detach NAME disk VDEV` | takes a device away |
//! | `sysrq NAME KEY` | presses a key of the guest's keyboard together with SysRq |
//! | `console NAME TEXT` | types a line on the guest's console |
//! | `log NAME` | shows again what is kept of the guest's console |
//! | `list` | says where each VM is |
//! | `nodes` | says how many nodes XenStore has |

use crate::layout::{Kind, vbd_number};
use crate::phase::Wish;
use alloc::string::String;
use core::str::FromStr;
use thiserror::Error;
use xlcfg::{Disk, Mistake, Vif};

/// Seconds that a guest has to shut down or reboot, where the operator says nothing: services of a large guest may take as
/// long to stop.
const PATIENCE_S: u64 = 60;

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Make a VM.
    Create {
        /// From which guest of the description.
        guest: String,
        /// What it is called; what its configuration says if nothing is said.
        name: Option<String>,
    },
    /// Do something with a VM.
    On {
        /// Which.
        name: String,
        /// What.
        order: Order,
    },
    /// Say where each VM is.
    List,
    /// Say how many nodes XenStore has.
    Nodes,
}

/// What is to be done with a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Ask its guest to stop.
    Stop {
        /// How.
        wish: Wish,
        /// How long it has, in microseconds.
        patience_us: u64,
    },
    /// Take it away.
    Destroy,
    /// Stop its vCPUs.
    Pause,
    /// Let them go on.
    Unpause,
    /// It is to have so much memory, in MiB.
    Balloon(u64),
    /// So many of its vCPUs are to be up.
    Vcpus(u32),
    /// It gets a network interface.
    AttachVif(Vif),
    /// It gets a disk.
    AttachDisk(Disk),
    /// It loses a device.
    Detach(Kind, u32),
    /// It is to do what its kernel does for this key together with SysRq.
    Press(char),
    /// It is to read this line from its console.
    Type(String),
    /// What is kept of its console is to be shown again.
    Recall,
}

/// Why words are no command.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NoCommand {
    /// The first word is none that is known, or a word is missing or too many.
    #[error(
        "no command: create, shutdown, reboot, destroy, pause, unpause, balloon, vcpus, attach, detach, sysrq, console, log, list and nodes are, with their words"
    )]
    Words,
    /// What should be a number is none.
    #[error("\"{0}\" is no number")]
    Number(String),
    /// What should be a disk is none.
    #[error("\"{0}\" is no disk: xvda, sda, hda or the like are")]
    Vdev(String),
    /// The value for a device has a mistake.
    #[error("{0}")]
    Device(#[from] Mistake),
}

impl FromStr for Command {
    type Err = NoCommand;

    fn from_str(text: &str) -> Result<Self, NoCommand> {
        let mut words = text.split_ascii_whitespace();
        let words = [(); 5].map(|()| words.next());
        // All from this word on, with its spaces.
        let rest = |first: &str| &text[first.as_ptr() as usize - text.as_ptr() as usize..];
        let stop = |wish, seconds: Option<&str>| {
            let seconds = seconds.map_or(Ok(PATIENCE_S), number)?;
            Ok::<_, NoCommand>(Order::Stop { wish, patience_us: seconds.saturating_mul(1_000_000) })
        };
        let (name, order) = match words {
            [Some("list"), None, ..] => return Ok(Self::List),
            [Some("nodes"), None, ..] => return Ok(Self::Nodes),
            [Some("create"), Some(guest), name, None, _] => {
                return Ok(Self::Create { guest: guest.into(), name: name.map(Into::into) });
            }
            [Some("shutdown"), Some(name), seconds, None, _] => (name, stop(Wish::PowerOff, seconds)?),
            [Some("reboot"), Some(name), seconds, None, _] => (name, stop(Wish::Reboot, seconds)?),
            [Some("destroy"), Some(name), None, ..] => (name, Order::Destroy),
            [Some("pause"), Some(name), None, ..] => (name, Order::Pause),
            [Some("unpause"), Some(name), None, ..] => (name, Order::Unpause),
            [Some("balloon"), Some(name), Some(mib), None, _] => (name, Order::Balloon(number(mib)?)),
            [Some("vcpus"), Some(name), Some(count), None, _] => {
                (name, Order::Vcpus(number(count)?.try_into().unwrap_or(u32::MAX)))
            }
            [Some("console"), Some(name), Some(first), ..] => (name, Order::Type(rest(first).into())),
            [Some("sysrq"), Some(name), Some(key), None, _] => {
                (name, Order::Press(key.parse().map_err(|_| NoCommand::Words)?))
            }
            [Some("log"), Some(name), None, ..] => (name, Order::Recall),
            [Some("attach"), Some(name), Some(kind), Some(first), _] => {
                let value = rest(first);
                match kind {
                    "vif" => (name, Order::AttachVif(value.parse()?)),
                    "disk" => (name, Order::AttachDisk(value.parse()?)),
                    _ => return Err(NoCommand::Words),
                }
            }
            [Some("detach"), Some(name), Some("vif"), Some(id), None] => {
                (name, Order::Detach(Kind::Vif, number(id)?.try_into().unwrap_or(u32::MAX)))
            }
            [Some("detach"), Some(name), Some("disk"), Some(vdev), None] => {
                let id = vbd_number(vdev).ok_or_else(|| NoCommand::Vdev(vdev.into()))?;
                (name, Order::Detach(Kind::Vbd, id))
            }
            _ => return Err(NoCommand::Words),
        };
        Ok(Self::On { name: name.into(), order })
    }
}

fn number(text: &str) -> Result<u64, NoCommand> {
    text.parse().map_err(|_| NoCommand::Number(text.into()))
}
