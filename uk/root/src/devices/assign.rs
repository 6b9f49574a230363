//! Giving a component's devices to its domain.

use super::Device;
use super::config::{COMMAND, INTERRUPT_LINE, INTERRUPT_PIN, command};
use crate::books::Books;
use crate::component::Component;
use crate::life::{Doing, RepairError};
use description::Interrupt;
use heapless::Vec;
use kernel::control::Control;
use uk_abi::device_info::IrqKind;
use xen_abi::Domid;

/// Interrupts of a device: a component has one vCPU, and looks at all queues when it is woken.
pub const VECTORS: usize = 1;

/// Bit of MSI-X' control word: messages instead of the line.
const MSIX_ENABLE: u16 = 1 << 15;
/// Bit of MSI's.
const MSI_ENABLE: u16 = 1 << 0;

/// Lines that firmware may name: 0 and 255 say that there is none.
const LINES: core::ops::Range<u8> = 1..255;

/// Gives the devices of `component` to its domain, whose page tables are not pinned yet. They stay
/// stopped until [`start`].
///
/// # Errors
/// Where Xen refuses a step.
pub fn give(component: &mut Component, control: &Control, books: &mut Books) -> Result<(), RepairError> {
    let domid = component.domid();
    for device in component.devices.iter_mut() {
        if device.contained {
            control.assign_device(domid, device.bdf.for_xen()).doing("assigning a device")?;
        }
        for (_, range) in device.mappable() {
            control
                .allow_registers(domid, range.first, range.pages)
                .doing("allowing a device's registers")?;
        }
        let allowed = component.description.devices[device.place()].interrupt;
        let (kind, pirqs) = route(device, allowed, domid, control);
        device.set_interrupts(kind as u32, &pirqs);
        device.record(books);
    }
    Ok(())
}

/// Routes a device's interrupt to `domid` in the best way that Xen allows, and the description with `allowed`. Without an
/// IOMMU that is no message: a device could send any.
fn route(
    device: &Device,
    allowed: Interrupt,
    domid: Domid,
    control: &Control,
) -> (IrqKind, Vec<u32, VECTORS>) {
    let (bdf, capabilities) = (device.bdf, &device.capabilities);
    let one = |pirq| Vec::from_iter([pirq]);
    if device.contained {
        if allowed <= Interrupt::Msix
            && let Some(msix) = &capabilities.msix
        {
            let table = device.info.bars.get(msix.table.0).map_or(0, |bar| bar.machine);
            if let Ok(pirq) = control.map_message(domid, bdf.for_xen(), 0, table) {
                return (IrqKind::Msix, one(pirq));
            }
        }
        if allowed <= Interrupt::Msi
            && capabilities.msi.is_some()
            && let Ok(pirq) = control.map_message(domid, bdf.for_xen(), 0, 0)
        {
            return (IrqKind::Msi, one(pirq));
        }
    }
    let line = bdf.read8(INTERRUPT_LINE);
    if allowed <= Interrupt::Line
        && bdf.read8(INTERRUPT_PIN) != 0
        && LINES.contains(&line)
        && let Ok(pirq) = control.map_line(domid, line.into())
    {
        return (IrqKind::Intx, one(pirq));
    }
    (IrqKind::Poll, Vec::new())
}

/// Lets the devices of `component` reach memory and interrupt. Their rings of an earlier life must be dead. What is to
/// be set is read first, even where root has set it before: Xen takes the right to reach memory from a device that
/// has tried to reach what is not its domain's too often.
pub fn start(component: &Component) {
    for device in component.devices.iter() {
        let (bdf, kind) = (device.bdf, device.info.irq_kind());
        let enable = match kind {
            IrqKind::Msix => device.capabilities.msix.map(|msix| (msix.offset, MSIX_ENABLE)),
            IrqKind::Msi => device.capabilities.msi.map(|offset| (offset, MSI_ENABLE)),
            IrqKind::None | IrqKind::Intx | IrqKind::Poll => None,
        };
        if let Some((offset, bit)) = enable {
            let control = bdf.read16(offset + 2);
            if control & bit == 0 {
                bdf.write16(offset + 2, control | bit);
            }
        }
        let line = if kind == IrqKind::Intx { 0 } else { command::NO_LINE };
        let wanted = command::MEMORY | command::BUS_MASTER | line;
        if bdf.read16(COMMAND) & (wanted | command::NO_LINE) != wanted {
            bdf.write16(COMMAND, wanted);
        }
    }
}

/// The name of a way to interrupt, as in the event log.
pub fn irq_name(kind: IrqKind) -> &'static str {
    match kind {
        IrqKind::None => "none",
        IrqKind::Msix => "msix",
        IrqKind::Msi => "msi",
        IrqKind::Intx => "intx",
        IrqKind::Poll => "poll",
    }
}
