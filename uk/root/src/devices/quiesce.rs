//! Stopping a device: nothing that its last driver has set up may go on in the memory of the next.

use super::bars;
use super::config::{COMMAND, command};
use super::{Device, MAX_DEVICES};
use crate::component::Component;
use crate::life::{Doing, RepairError};
use kernel::control::Control;
use kernel::window::{Access, SLOT_PAGES, Slot};
use kernel::{call, now_us};
use pci::Capabilities;
use uk_abi::device_info::DeviceInfo;
use uk_abi::layout::PAGE_SIZE;
use xen_abi::{Domid, MachineAddr};

/// The pages at the end of a component's slot, one for each device: the page of the register that
/// resets it. They are no memory of the domain, so they stay when it is destroyed.
pub const REGISTER_PAGES: usize = SLOT_PAGES - MAX_DEVICES;

/// What a device may take to reset itself when told by a register of its own, in microseconds. Those
/// that are known take some microseconds; one that takes longer is reset from outside.
const OWN_RESET_US: u64 = 2_000;

/// What a function may take to come back from a reset from outside, in microseconds (PCI Express 6.0,
/// 6.6.2). A sound one is back at once.
const FUNCTION_RESET_US: u64 = 100_000;

/// Where a virtio device's common configuration has its status.
const STATUS: usize = 0x14;

/// The most queues of a virtio device that are reset one by one: a network card's that no driver here asks for more. What has more is reset as
/// a whole.
const MAX_QUEUES: u16 = 8;

/// Offsets in PCI Express' capability, and bits there.
const DEVICE_CONTROL: u8 = 0x08;
const INITIATE_RESET: u16 = 1 << 15;

/// A kind of device that root can reset by a register of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Any virtio device: every queue by itself, if its driver has agreed to that (virtio 1.2, 4.1.4.3.2), because then nothing that waits for
    /// the device is lost; otherwise status 0.
    Virtio,
    /// Intel's 82574L: CTRL.RST, with bus mastering off (datasheet, 10.2.2.1).
    E1000e,
    /// An NVM Express controller: CC.EN cleared, until CSTS.RDY is (NVMe 1.4, 3.1.5).
    Nvme,
}

/// How a device is reset by a register of its own.
#[derive(Clone, Copy, Debug)]
pub struct Reset {
    kind: Kind,
    register: MachineAddr,
}

impl Reset {
    /// The way for the device that `info` describes, if there is one.
    pub fn of(info: &DeviceInfo, capabilities: &Capabilities) -> Option<Self> {
        let first = || Some(info.bars[0].machine).filter(|address| *address != 0).map(MachineAddr);
        let (kind, registers, offset) = match (info.vendor, info.device, info.class) {
            (0x1af4, ..) => (Kind::Virtio, capabilities.virtio_common, STATUS as u64),
            (0x8086, 0x10d3, _) => (Kind::E1000e, first(), 0x00),
            (_, _, 0x01_08_02) => (Kind::Nvme, first(), 0x14),
            _ => return None,
        };
        Some(Self { kind, register: MachineAddr(registers?.0 + offset) })
    }

    /// Resets the device, whose register is at `at` in `slot`; answers whether it has done so in time.
    fn perform(self, slot: &mut Slot, at: usize) -> bool {
        match self.kind {
            Kind::Virtio if at % PAGE_SIZE >= STATUS && reset_queues(slot, at - STATUS) => true,
            Kind::Virtio => {
                slot.write_register(at, 0u8);
                wait(OWN_RESET_US, || slot.read_register::<u8>(at) == 0)
            }
            Kind::E1000e => {
                const RESET: u32 = 1 << 26;
                let value = slot.read_register::<u32>(at);
                slot.write_register(at, value | RESET);
                wait(OWN_RESET_US, || slot.read_register::<u32>(at) & RESET == 0)
            }
            Kind::Nvme => {
                const ENABLE: u32 = 1;
                const READY: u32 = 1;
                const STATUS: usize = 0x1c - 0x14;
                let value = slot.read_register::<u32>(at);
                slot.write_register(at, value & !ENABLE);
                wait(OWN_RESET_US, || slot.read_register::<u32>(at + STATUS) & READY == 0)
            }
        }
    }
}

/// Resets all queues of a virtio device whose common configuration is at `at` in `slot`; answers whether it works and has forgotten them.
fn reset_queues(slot: &mut Slot, at: usize) -> bool {
    const FEATURE_SELECT: usize = 0x08;
    const FEATURE: usize = 0x0c;
    const QUEUES: usize = 0x12;
    const SELECT: usize = 0x16;
    const ENABLE: usize = 0x1c;
    const RESET: usize = 0x3a;
    /// Of a device that has a driver, with which it agrees.
    const WORKS: u8 = 1 | 2 | 4 | 8;
    /// VIRTIO_F_RING_RESET, in the second half of the features.
    const RING_RESET: u32 = 1 << (40 - 32);
    if at % PAGE_SIZE + RESET + 2 > PAGE_SIZE || slot.read_register::<u8>(at + STATUS) != WORKS {
        return false;
    }
    slot.write_register(at + FEATURE_SELECT, 1u32);
    if slot.read_register::<u32>(at + FEATURE) & RING_RESET == 0 {
        return false;
    }
    let queues = slot.read_register::<u16>(at + QUEUES);
    queues <= MAX_QUEUES
        && (0..queues).all(|queue| {
            slot.write_register(at + SELECT, queue);
            if slot.read_register::<u16>(at + ENABLE) == 0 {
                return true;
            }
            slot.write_register(at + RESET, 1u16);
            wait(OWN_RESET_US, || {
                slot.read_register::<u16>(at + RESET) == 0 && slot.read_register::<u16>(at + ENABLE) == 0
            })
        })
}

/// Waits until `done`, for so many microseconds at most; answers whether it is.
fn wait(at_most_us: u64, mut done: impl FnMut() -> bool) -> bool {
    let end = now_us() + at_most_us;
    loop {
        if done() {
            return true;
        }
        if now_us() >= end {
            return false;
        }
        call::beat();
    }
}

/// Stops the devices of `component` and resets them: its memory may become somebody else's.
///
/// # Errors
/// As [`reset`].
pub fn quiesce(component: &mut Component, control: &Control) -> Result<(), RepairError> {
    silence(component);
    reset(component, control)
}

/// Takes the right to reach memory from the devices of `component`.
pub fn silence(component: &Component) {
    component.devices.iter().for_each(silence_one);
}

fn silence_one(device: &Device) {
    device.bdf.write16(COMMAND, command::MEMORY | command::NO_LINE);
}

/// Resets the devices of `component`, whose domain must not run: when this is done, they have forgotten
/// where their driver had its rings.
///
/// Bus mastering is switched off only for devices whose own reset asks for it, or that ignore theirs. For
/// the others it would change nothing, and under emulation it costs half a millisecond each way.
///
/// # Errors
/// [`RepairError::Device`], where one does not come back from its reset.
pub fn reset(component: &mut Component, control: &Control) -> Result<(), RepairError> {
    let Component { devices, slot, .. } = component;
    for (page, device) in (REGISTER_PAGES..).zip(devices.iter_mut()) {
        let reset = match device.reset {
            Some(reset) => {
                let at = map(slot, page, reset.register)?;
                if reset.kind == Kind::E1000e {
                    silence_one(device);
                }
                let performed = reset.perform(slot, at);
                device.ignored_reset |= !performed;
                performed
            }
            None => false,
        };
        if !reset && !reset_function(device, control) {
            return Err(RepairError::Device { bdf: device.bdf.address() });
        }
    }
    Ok(())
}

/// Maps the page of `register`, if it is not; answers where in the slot the register is.
fn map(slot: &mut Slot, page: usize, register: MachineAddr) -> Result<usize, RepairError> {
    let frame = register.mfn();
    if slot.frame(page) != Some(frame) {
        slot.map(page, 1, Domid::SELF, Access::Registers, |_| frame).doing("mapping a device's registers")?;
    }
    Ok(page * PAGE_SIZE + register.0 as usize % PAGE_SIZE)
}

/// Resets the function from outside, where it can be, and puts its configuration back; answers whether
/// it has come back.
fn reset_function(device: &Device, control: &Control) -> bool {
    let Some(capability) = device.capabilities.flr else { return false };
    let bdf = device.bdf;
    silence_one(device);
    let control_word = bdf.read16(capability + DEVICE_CONTROL);
    bdf.write16(capability + DEVICE_CONTROL, control_word | INITIATE_RESET);
    if !wait(FUNCTION_RESET_US, || bdf.ids() == Some(device.ids())) {
        return false;
    }
    bars::restore(bdf, &device.info.bars);
    silence_one(device);
    // Refused where no message is mapped, as before the first life: there is nothing to restore then.
    let _ = control.restore_msi(bdf.for_xen());
    true
}
