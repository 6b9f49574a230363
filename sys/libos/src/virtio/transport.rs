//! Virtio's PCI transport, with what `virtio-drivers` leaves out: MSI-X vectors, and devices behind an
//! IOMMU.

use super::DeviceError;
use super::hal::UkHal;
use super::pci::Snapshot;
use core::mem::ManuallyDrop;
use core::ops::Range;
use core::ptr::NonNull;
use uk_abi::device_info::{DeviceInfo, IrqKind};
use virtio_drivers::transport::pci::bus::PciRoot;
use virtio_drivers::transport::pci::{PciTransport, VirtioPciError};
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{PhysAddr, Result};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// VIRTIO_F_ACCESS_PLATFORM: the device's accesses go through the IOMMU (virtio 1.2, 6).
const ACCESS_PLATFORM: u64 = 1 << 33;

/// VIRTIO_F_RING_RESET: one queue can be reset (virtio 1.2, 2.6.1).
pub(super) const RING_RESET: u64 = 1 << 40;

/// Offsets in the common configuration (virtio 1.2, 4.1.4.3).
const DRIVER_FEATURE_SELECT: usize = 0x08;
const DRIVER_FEATURE: usize = 0x0c;
const DEVICE_STATUS: usize = 0x14;
const QUEUE_SELECT: usize = 0x16;
const QUEUE_MSIX_VECTOR: usize = 0x1a;
const QUEUE_ENABLE: usize = 0x1c;
const QUEUE_RESET: usize = 0x3a;

/// The status of a device that works.
const WORKS: DeviceStatus = DeviceStatus::ACKNOWLEDGE
    .union(DeviceStatus::DRIVER)
    .union(DeviceStatus::FEATURES_OK)
    .union(DeviceStatus::DRIVER_OK);

/// Id of vendor-specific capabilities, and virtio's number for its common configuration.
const CAP_VENDOR: u8 = 0x09;
const CAP_COMMON: u8 = 1;

/// Reads of a status that should be 0: a device that was reset by root answers at once.
const STATUS_READS: u32 = 100_000;

/// A virtio device. It is reset when this is dropped, unless it has forgotten all of its queues by then.
pub struct UkTransport {
    /// Never dropped: that would reset the device whatever it knows, and wait without end for one that does not.
    pci: ManuallyDrop<PciTransport>,
    /// The registers of the common configuration.
    common: NonNull<u8>,
    /// Whether queues interrupt by MSI-X: all by vector 0.
    msix: bool,
    /// Whether the next driver may go on with the device as it is: it knows of no queue.
    is_idle: bool,
}

impl UkTransport {
    /// The transport of `device`.
    ///
    /// # Errors
    /// [`DeviceError::Pci`].
    pub fn new(device: &'static DeviceInfo) -> core::result::Result<Self, DeviceError> {
        let snapshot = Snapshot::of(device);
        let function = snapshot.function();
        let pci = PciTransport::new::<UkHal, _>(&mut PciRoot::new(snapshot), function);
        let common = common(device).ok_or(DeviceError::Pci(VirtioPciError::MissingCommonConfig))?;
        let pci = ManuallyDrop::new(pci.map_err(DeviceError::Pci)?);
        Ok(Self { pci, common, msix: device.irq_kind() == IrqKind::Msix, is_idle: false })
    }

    /// Resets the device, and waits until it has forgotten all that it was told.
    ///
    /// # Errors
    /// [`DeviceError::Reset`].
    pub fn reset(&mut self) -> core::result::Result<(), DeviceError> {
        self.set_status(DeviceStatus::empty());
        if self.pci.get_status().is_empty() { Ok(()) } else { Err(DeviceError::Reset) }
    }

    /// The register that says how the device is.
    pub fn status(&self) -> Status {
        Status(self.common)
    }

    /// What the last driver has agreed to, if the device goes on with it: its queues have been [reset](Self::reset_queues), and nothing
    /// else. A device that was reset as a whole may drop what waits for it when it begins anew, as QEMU's network card does.
    pub fn agreed(&mut self) -> Option<u64> {
        (self.pci.get_status() == WORKS).then(|| {
            let [low, high] = [0, 1].map(|half| {
                self.write(DRIVER_FEATURE_SELECT, half);
                self.read::<u32>(DRIVER_FEATURE)
            });
            (u64::from(low) | u64::from(high) << 32) & !ACCESS_PLATFORM
        })
    }

    /// Resets all queues of the device, which are these, where [`RING_RESET`] was agreed to. If it has forgotten them, it is not reset when
    /// this is dropped.
    pub fn reset_queues(&mut self, mut queues: Range<u16>) {
        self.is_idle = queues.all(|queue| {
            self.write(QUEUE_SELECT, queue);
            self.write(QUEUE_RESET, 1_u16);
            let has_forgotten = || self.read::<u16>(QUEUE_RESET) == 0 && self.read::<u16>(QUEUE_ENABLE) == 0;
            (0..STATUS_READS).any(|_| has_forgotten())
        });
    }

    fn write<T>(&mut self, offset: usize, value: T) {
        // SAFETY: the common configuration, which the driver above has checked, is longer than `offset`; these registers say what
        // others mean, how a queue interrupts, and that it is reset.
        unsafe { self.common.byte_add(offset).cast::<T>().write_volatile(value) };
    }

    fn read<T>(&self, offset: usize) -> T {
        // SAFETY: as above; reading changes nothing.
        unsafe { self.common.byte_add(offset).cast::<T>().read_volatile() }
    }
}

impl Drop for UkTransport {
    fn drop(&mut self) {
        if !self.is_idle {
            self.set_status(DeviceStatus::empty());
        }
    }
}

/// How a device is, to be looked at while a driver has its transport.
pub struct Status(NonNull<u8>);

impl Status {
    /// Whether a device that was set up works no more: it says so itself, or somebody has stopped it, as
    /// Xen does where it reaches for memory that is not its own.
    pub fn is_stopped(&self) -> bool {
        // SAFETY: the common configuration is longer than that, and reading the register changes nothing.
        let status = unsafe { self.0.byte_add(DEVICE_STATUS).read_volatile() };
        let status = DeviceStatus::from_bits_truncate(status.into());
        status.contains(DeviceStatus::DEVICE_NEEDS_RESET) || !status.contains(DeviceStatus::DRIVER_OK)
    }
}

/// Where the common configuration of `device` is mapped.
fn common(device: &DeviceInfo) -> Option<NonNull<u8>> {
    let capability =
        device.capabilities().find(|c| c.id == CAP_VENDOR && c.bytes.get(3) == Some(&CAP_COMMON))?;
    let bar = device.bars.get(usize::from(*capability.bytes.get(4)?)).filter(|bar| bar.va != 0)?;
    let offset = u32::from_le_bytes(capability.bytes.get(8..12)?.try_into().ok()?);
    NonNull::new((bar.va + u64::from(offset)) as *mut u8)
}

impl Transport for UkTransport {
    fn device_type(&self) -> DeviceType {
        self.pci.device_type()
    }

    fn read_device_features(&mut self) -> u64 {
        self.pci.read_device_features()
    }

    fn write_driver_features(&mut self, features: u64) {
        // Which addresses a device takes is no driver's concern: all here are the machine's.
        let platform = self.pci.read_device_features() & ACCESS_PLATFORM;
        self.pci.write_driver_features(features | platform);
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.pci.max_queue_size(queue)
    }

    fn notify(&mut self, queue: u16) {
        self.pci.notify(queue);
    }

    fn get_status(&self) -> DeviceStatus {
        self.pci.get_status()
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.pci.set_status(status);
        if status == DeviceStatus::empty() {
            // It is reset when it says so. One that never does fails in the next step.
            for _ in 0..STATUS_READS {
                if self.pci.get_status() == status {
                    break;
                }
            }
        }
    }

    fn set_guest_page_size(&mut self, size: u32) {
        self.pci.set_guest_page_size(size);
    }

    fn requires_legacy_layout(&self) -> bool {
        self.pci.requires_legacy_layout()
    }

    fn queue_set(&mut self, queue: u16, size: u32, table: PhysAddr, driver: PhysAddr, device: PhysAddr) {
        if self.msix {
            self.write(QUEUE_SELECT, queue);
            self.write(QUEUE_MSIX_VECTOR, 0_u16);
        }
        self.pci.queue_set(queue, size, table, driver, device);
    }

    fn queue_unset(&mut self, queue: u16) {
        self.pci.queue_unset(queue);
    }

    fn queue_used(&mut self, queue: u16) -> bool {
        self.pci.queue_used(queue)
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        self.pci.ack_interrupt()
    }

    fn read_config_generation(&self) -> u32 {
        self.pci.read_config_generation()
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        self.pci.read_config_space(offset)
    }

    fn write_config_space<T: IntoBytes + Immutable>(&mut self, offset: usize, value: T) -> Result<()> {
        self.pci.write_config_space(offset, value)
    }
}
