//! Interrupts and PCI devices (`physdev.h`). Each operation takes a pointer to its structure.

use crate::{Domid, GuestHandle, Pfn};

numbers! {
    /// The command of `HYPERVISOR_physdev_op`.
    pub enum PhysdevOp: u32 {
        /// Takes an [`IrqStatusQuery`].
        IrqStatusQuery = 5,
        /// Takes a [`SetIopl`].
        SetIopl = 6,
        /// Takes a [`SetIobitmap`].
        SetIobitmap = 7,
        /// Reads a register of an I/O APIC. Takes an [`Apic`].
        ApicRead = 8,
        /// Writes one. Takes an [`Apic`].
        ApicWrite = 9,
        /// Takes an [`Irq`].
        AllocIrqVector = 10,
        /// Takes an [`Irq`].
        FreeIrqVector = 11,
        /// Takes an [`Eoi`].
        Eoi = 12,
        /// Takes a [`MapPirq`].
        MapPirq = 13,
        /// Takes an [`UnmapPirq`].
        UnmapPirq = 14,
        /// Takes a [`ManagePci`]. The older form of [`PhysdevOp::PciDeviceAdd`].
        ManagePciAdd = 15,
        /// Takes a [`ManagePci`].
        ManagePciRemove = 16,
        /// Takes a [`PirqEoiGmfn`].
        PirqEoiGmfnV1 = 17,
        /// Takes a [`ManagePci`].
        RestoreMsi = 19,
        /// Takes a [`ManagePciExt`].
        ManagePciAddExt = 20,
        /// Takes a [`SetupGsi`].
        SetupGsi = 21,
        /// Takes a [`GetFreePirq`].
        GetFreePirq = 23,
        /// Takes a [`PciMmcfgReserved`].
        PciMmcfgReserved = 24,
        /// Takes a [`PciDeviceAdd`].
        PciDeviceAdd = 25,
        /// Takes a [`PciDevice`].
        PciDeviceRemove = 26,
        /// Writes the device's MSI and MSI-X settings again, after a reset. Takes a [`PciDevice`].
        RestoreMsiExt = 27,
        /// Takes a [`PirqEoiGmfn`]. Unlike the first form, it does not unmask the port at EOI.
        PirqEoiGmfnV2 = 28,
        /// About the debug port.
        DbgpOp = 29,
        /// Takes a [`PciDevice`]; before it is assigned to a domain that is to use MSI-X.
        PrepareMsix = 30,
        /// Undoes that. Takes a [`PciDevice`].
        ReleaseMsix = 31,
        /// Says that a device was reset. Takes a [`PciDeviceReset`]. Known from Xen 4.20 on.
        PciDeviceReset = 32,
    }

    /// What kind of interrupt [`MapPirq`] maps.
    pub enum MapPirqType: i32 {
        /// A message of a device on segment 0.
        Msi = 0,
        /// A line, by its global number.
        Gsi = 1,
        /// Not known.
        Unknown = 2,
        /// A message of a device, whose segment is in the upper half of `bus`.
        MsiSeg = 3,
        /// Several messages of one device.
        MultiMsi = 4,
    }

    /// How a line signals.
    pub enum Triggering: u8 {
        /// By changing.
        Edge = 0,
        /// As long as it is active.
        Level = 1,
    }

    /// When a line is active.
    pub enum Polarity: u8 {
        /// High.
        High = 0,
        /// Low, as PCI's lines.
        Low = 1,
    }

    /// How a device was reset.
    pub enum ResetKind: u32 {
        /// Power cycle.
        Cold = 0,
        /// Warm.
        Warm = 1,
        /// Hot.
        Hot = 2,
        /// Function-level reset.
        Flr = 3,
    }
}

/// The bits of [`PciDeviceReset::flags`] that hold the [`ResetKind`].
pub const PCI_DEVICE_RESET_MASK: u32 = 3;

flags! {
    /// What is known of an interrupt.
    pub struct IrqStatus: u32 {
        /// Its end must be told to Xen ([`Eoi`]).
        const NEEDS_EOI = 1 << 0;
        /// Other domains have it too.
        const SHARED = 1 << 1;
    }

    /// What is special about a device.
    pub struct PciDeviceFlags: u32 {
        /// It is an extended function (ARI).
        const EXTFN = 1 << 0;
        /// It is a virtual function of `physfn`.
        const VIRTFN = 1 << 1;
        /// Its proximity domain follows the structure, in a word that [`PciDeviceAdd`] has no room for.
        const PXM = 1 << 2;
    }

    /// What is known of a memory-mapped configuration space.
    pub struct MmcfgFlags: u32 {
        /// Firmware keeps the range reserved, so that it can be used.
        const RESERVED = 1 << 0;
    }
}

structs! {
    /// Says that an interrupt was handled. Lines need it; MSI-X does not.
    pub struct Eoi: 4 {
        /// The pirq.
        pub irq: u32,
    }

    /// Gives Xen a page of which it makes a bitmap: pirqs whose end it must be told.
    pub struct PirqEoiGmfn: 8 {
        /// The page.
        pub gmfn: Pfn,
    }

    /// Whether an interrupt's end must be told.
    pub struct IrqStatusQuery: 8 {
        /// In: the pirq.
        pub irq: u32,
        /// Out: the answer.
        pub flags: IrqStatus,
    }

    /// Sets the I/O privilege level of the calling vCPU.
    pub struct SetIopl: 4 {
        /// 0 to 3; 1 lets the kernel use I/O ports, 3 user mode too.
        pub iopl: u32,
    }

    /// Sets the I/O ports that the calling vCPU may use in user mode.
    pub struct SetIobitmap: 16 {
        /// A bit for each port; 0 bits may be used.
        pub bitmap: GuestHandle,
        /// How many ports.
        pub nr_ports: u32,
        /// Zero.
        pub pad: u32,
    }

    /// A register of an I/O APIC.
    pub struct Apic: 16 {
        /// The I/O APIC's address.
        pub apic_physbase: u64,
        /// The register.
        pub reg: u32,
        /// In or out: its value.
        pub value: u32,
    }

    /// A line and its vector.
    pub struct Irq: 8 {
        /// In: the line.
        pub irq: u32,
        /// Out: its vector.
        pub vector: u32,
    }

    /// Lets a domain bind a device's interrupt, and chooses the number it knows it by.
    pub struct MapPirq: 40 {
        /// The domain, or [`Domid::SELF`].
        pub domid: Domid,
        /// Zero.
        pub pad0: u16,
        /// A [`MapPirqType`].
        pub kind: i32,
        /// The line; -1 for messages.
        pub index: i32,
        /// In: the number wanted, or -1. Out: the pirq.
        pub pirq: i32,
        /// Messages: the bus, and the segment in the upper half.
        pub bus: i32,
        /// Messages: device << 3 | function.
        pub devfn: i32,
        /// MSI-X: the entry of the device's table. Several messages: in and out, how many.
        pub entry_nr: i32,
        /// Zero.
        pub pad1: u32,
        /// MSI-X: the machine address of the BAR that the device's table lies in. MSI: 0.
        pub table_base: u64,
    }

    /// Undoes [`MapPirq`].
    pub struct UnmapPirq: 8 {
        /// The domain.
        pub domid: Domid,
        /// Zero.
        pub pad: u16,
        /// The pirq.
        pub pirq: i32,
    }

    /// A device on segment 0.
    pub struct ManagePci: 2 {
        /// The bus.
        pub bus: u8,
        /// device << 3 | function.
        pub devfn: u8,
    }

    /// A device on segment 0, with what is special about it.
    pub struct ManagePciExt: 16 {
        /// The bus.
        pub bus: u8,
        /// device << 3 | function.
        pub devfn: u8,
        /// Zero.
        pub pad0: u16,
        /// Not 0: an extended function.
        pub is_extfn: u32,
        /// Not 0: a virtual function.
        pub is_virtfn: u32,
        /// A virtual function's physical function.
        pub physfn: ManagePci,
        /// Zero.
        pub pad1: u16,
    }

    /// Says how a line works, and readies it.
    pub struct SetupGsi: 8 {
        /// The line.
        pub gsi: i32,
        /// A [`Triggering`].
        pub triggering: u8,
        /// A [`Polarity`].
        pub polarity: u8,
        /// Zero.
        pub pad: u16,
    }

    /// Reserves a pirq's number.
    pub struct GetFreePirq: 8 {
        /// A [`MapPirqType`].
        pub kind: i32,
        /// Out: the number.
        pub pirq: u32,
    }

    /// Tells Xen about a memory-mapped configuration space.
    pub struct PciMmcfgReserved: 16 {
        /// Its machine address.
        pub address: u64,
        /// The segment.
        pub segment: u16,
        /// The first bus.
        pub start_bus: u8,
        /// The last bus.
        pub end_bus: u8,
        /// What is known of it.
        pub flags: MmcfgFlags,
    }

    /// Tells Xen about a device. Its memory decoding must be on.
    pub struct PciDeviceAdd: 12 {
        /// The segment.
        pub seg: u16,
        /// The bus.
        pub bus: u8,
        /// device << 3 | function.
        pub devfn: u8,
        /// What is special about it.
        pub flags: PciDeviceFlags,
        /// A virtual function's physical function.
        pub physfn: ManagePci,
        /// Zero.
        pub pad: u16,
    }

    /// A device.
    pub struct PciDevice: 4 {
        /// The segment.
        pub seg: u16,
        /// The bus.
        pub bus: u8,
        /// device << 3 | function.
        pub devfn: u8,
    }

    /// Says that a device was reset, so that Xen forgets what it knew of its state.
    pub struct PciDeviceReset: 8 {
        /// Which.
        pub dev: PciDevice,
        /// A [`ResetKind`].
        pub flags: u32,
    }
}

impl MapPirq {
    /// Maps a message of a device for `domid`: of MSI-X by the table's entry and the address of the table's
    /// BAR, of MSI with both 0. Xen chooses the pirq.
    pub fn message(domid: Domid, device: PciDevice, entry: u16, table_base: u64) -> Self {
        Self {
            domid,
            kind: MapPirqType::MsiSeg.raw(),
            index: -1,
            pirq: -1,
            bus: i32::from(device.bus) | (u32::from(device.seg) << 16).cast_signed(),
            devfn: i32::from(device.devfn),
            entry_nr: i32::from(entry),
            table_base,
            ..Self::default()
        }
    }

    /// Maps a line for `domid`, under the line's own number.
    pub fn line(domid: Domid, gsi: u16) -> Self {
        let gsi = i32::from(gsi);
        Self { domid, kind: MapPirqType::Gsi.raw(), index: gsi, pirq: gsi, ..Self::default() }
    }
}
