//! Devices for other domains: which domain has which function, its registers, its interrupts.

use crate::control::Control;
use pv::Result;
use pv::hypercall::{arg, call};
use xen_abi::domctl::{AssignDevice, DomctlCommand, IomemPermission, IrqPermission};
use xen_abi::errno::Errno;
use xen_abi::physdev::{MapPirq, PciDevice, PciDeviceAdd, PhysdevOp, Polarity, SetupGsi, Triggering};
use xen_abi::sysctl::PhysCaps;
use xen_abi::{Domid, Hypercall, Mfn};

/// Issues one operation on interrupts and devices.
fn physdev<T>(op: PhysdevOp, argument: &mut T) -> Result {
    // SAFETY: Xen reads and writes the structure that belongs to the operation, which every caller in
    // this file passes. None of the operations here changes memory or control flow of root: interrupts
    // that root maps for itself stay unbound.
    unsafe { call(Hypercall::PhysdevOp, [u64::from(op.raw()), arg(argument)]) }.map(|_| ())
}

impl Control {
    /// Whether Xen keeps devices within their domain's memory: whether it drives an IOMMU.
    ///
    /// # Errors
    /// Xen's.
    pub fn has_iommu(&self) -> Result<bool> {
        Ok(self.physinfo()?.capabilities.contains(PhysCaps::DIRECTIO))
    }

    /// Tells Xen of `device`, whose memory decoding must be on. To tell it again changes nothing.
    ///
    /// # Errors
    /// Xen's.
    pub fn add_device(&self, device: PciDevice) -> Result {
        let PciDevice { seg, bus, devfn } = device;
        physdev(PhysdevOp::PciDeviceAdd, &mut PciDeviceAdd { seg, bus, devfn, ..Default::default() })
    }

    /// Has Xen take charge of the MSI-X table of `device`; before it is assigned for the first time. To
    /// ask again changes nothing.
    ///
    /// # Errors
    /// Xen's.
    pub fn prepare_msix(&self, mut device: PciDevice) -> Result {
        match physdev(PhysdevOp::PrepareMsix, &mut device) {
            Err(error) if error.is(Errno::Ebusy) => Ok(()),
            answer => answer,
        }
    }

    /// Has Xen write MSI and MSI-X of `device` again, which a reset has cleared.
    ///
    /// # Errors
    /// Xen's.
    pub fn restore_msi(&self, mut device: PciDevice) -> Result {
        physdev(PhysdevOp::RestoreMsiExt, &mut device)
    }

    /// Gives `device` to `domain`: it reaches that domain's memory and no other.
    ///
    /// # Errors
    /// Xen's: EBUSY where another domain has it, EOPNOTSUPP without an IOMMU.
    pub fn assign_device(&self, domain: Domid, device: PciDevice) -> Result {
        self.with(DomctlCommand::AssignDevice, domain, &AssignDevice::pci(device)).map(|_| ())
    }

    /// Lets `domain` map `count` frames of device registers from `first` on.
    ///
    /// # Errors
    /// Xen's.
    pub fn allow_registers(&self, domain: Domid, first: Mfn, count: u64) -> Result {
        let permission =
            IomemPermission { first_mfn: first, nr_mfns: count, allow_access: 1, ..Default::default() };
        self.with(DomctlCommand::IomemPermission, domain, &permission).map(|_| ())
    }

    /// Lets `domain` bind message `entry` of `device`; answers the number under which. `table` is the
    /// machine address of the BAR that the MSI-X table lies in, or 0 for MSI.
    ///
    /// # Errors
    /// Xen's: ENODEV without interrupt remapping.
    pub fn map_message(&self, domain: Domid, device: PciDevice, entry: u16, table: u64) -> Result<u32> {
        let mut map = MapPirq::message(domain, device, entry, table);
        physdev(PhysdevOp::MapPirq, &mut map)?;
        Ok(map.pirq.cast_unsigned())
    }

    /// Lets `domain` bind the interrupt line `line`, level-triggered and active low as PCI's are; answers
    /// the number under which.
    ///
    /// # Errors
    /// Xen's: no such line.
    pub fn map_line(&self, domain: Domid, line: u16) -> Result<u32> {
        let mut setup = SetupGsi {
            gsi: line.into(),
            triggering: Triggering::Level.raw(),
            polarity: Polarity::Low.raw(),
            ..Default::default()
        };
        match physdev(PhysdevOp::SetupGsi, &mut setup) {
            // It is set up already, by Xen or by an earlier call.
            Err(error) if error.is(Errno::Eexist) => {}
            answer => answer?,
        }
        // What root has not mapped it cannot allow others.
        let mut own = MapPirq::line(Domid::SELF, line);
        physdev(PhysdevOp::MapPirq, &mut own)?;
        let permission =
            IrqPermission { pirq: own.pirq.cast_unsigned(), allow_access: 1, ..Default::default() };
        self.with(DomctlCommand::IrqPermission, domain, &permission)?;
        let mut map = MapPirq::line(domain, line);
        physdev(PhysdevOp::MapPirq, &mut map)?;
        Ok(map.pirq.cast_unsigned())
    }
}
