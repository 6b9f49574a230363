//! Virtio devices: the drivers of `virtio-drivers`, on this domain's memory, registers and interrupts.

mod disk;
mod hal;
mod net;
mod pci;
mod queue;
mod transport;

pub use disk::Disk;
pub use hal::go_rogue;
pub(crate) use hal::told;
pub use net::Net;

use crate::interrupt::InterruptError;
use uk_abi::device_info::DeviceInfo;
use virtio_drivers::transport::DeviceType;
use virtio_drivers::transport::pci::VirtioPciError;

/// PCI's vendor id of every virtio device.
const VENDOR: u16 = 0x1af4;

/// Why a device cannot be driven.
#[derive(Debug)]
pub enum DeviceError {
    /// What configuration space says of it makes no sense.
    Pci(VirtioPciError),
    /// It refused its set-up.
    Virtio(virtio_drivers::Error),
    /// Its interrupt cannot be awaited.
    Interrupt(InterruptError),
    /// The description gives this unikernel too little DMA memory.
    Memory,
    /// It has failed a request.
    Failed(virtio_drivers::Error),
    /// A queue whose size is none.
    Queue {
        /// How many descriptors it has.
        size: u16,
    },
    /// It does not work with any features that are known here.
    Features {
        /// Those that it was asked for.
        features: u64,
    },
    /// Its sectors are of a size that cannot be used.
    SectorSize {
        /// Their bytes.
        found: u32,
    },
    /// It does not end its reset, or does not answer.
    Reset,
    /// Its registers are not where they should be.
    Registers,
    /// It has failed a command that sets it up.
    Command {
        /// Which.
        opcode: u8,
        /// How, in its own terms.
        status: u16,
    },
}

impl core::fmt::Display for DeviceError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Pci(error) => error.fmt(f),
            Self::Virtio(error) => write!(f, "it refused its set-up: {error}"),
            Self::Interrupt(error) => error.fmt(f),
            Self::Memory => f.write_str("there is too little DMA memory"),
            Self::Failed(error) => write!(f, "it failed a request: {error}"),
            Self::Queue { size } => write!(f, "its queue has {size} descriptors"),
            Self::Features { features } => write!(f, "it does not work with the features {features:#x}"),
            Self::SectorSize { found } => write!(f, "its sectors are of {found} bytes"),
            Self::Reset => f.write_str("it does not end its reset, or does not answer"),
            Self::Registers => f.write_str("its registers are not where they should be"),
            Self::Command { opcode, status } => {
                write!(f, "it failed the command {opcode:#x} with the status {status:#x}")
            }
        }
    }
}

impl core::error::Error for DeviceError {}

impl From<InterruptError> for DeviceError {
    fn from(error: InterruptError) -> Self {
        Self::Interrupt(error)
    }
}

/// Whether `device` is a virtio device of this type, be it a current or a transitional one.
fn is(device: &DeviceInfo, wanted: DeviceType) -> bool {
    let transitional = match wanted {
        DeviceType::Network => 0x1000,
        DeviceType::Block => 0x1001,
        _ => return false,
    };
    device.vendor == VENDOR && (device.device == 0x1040 + wanted as u16 || device.device == transitional)
}
