//! I/O ports: PCI configuration space by mechanism 1, which Xen emulates for root.

use core::arch::asm;

const CONFIG_ADDRESS: u16 = 0xcf8;
const CONFIG_DATA: u16 = 0xcfc;

fn select(bdf: u16, offset: u8) {
    let address = 1 << 31 | u32::from(bdf) << 8 | u32::from(offset & 0xfc);
    // SAFETY: Xen emulates this port for root; it only selects what the data port shows.
    unsafe { asm!("out dx, eax", in("dx") CONFIG_ADDRESS, in("eax") address, options(nomem, nostack)) };
}

/// Reads the aligned doubleword at `offset` of the configuration space of device `bdf`
/// (bus, device and function as 8, 5 and 3 bits). All ones where there is no device.
pub fn config_read(bdf: u16, offset: u8) -> u32 {
    select(bdf, offset);
    let value;
    // SAFETY: reading configuration space changes nothing in this domain.
    unsafe { asm!("in eax, dx", in("dx") CONFIG_DATA, out("eax") value, options(nomem, nostack)) };
    value
}

/// Writes the aligned word at `offset`; else as [`config_write`]. Command and MSI-X control are words:
/// what shares a doubleword with them is status, where ones have an effect, or not root's to write.
pub fn config_write16(bdf: u16, offset: u8, value: u16) {
    select(bdf, offset);
    let port = CONFIG_DATA + u16::from(offset & 2);
    // SAFETY: as in `config_write`.
    unsafe { asm!("out dx, ax", in("dx") port, in("ax") value, options(nomem, nostack)) };
}

/// Writes the aligned doubleword at `offset` of the configuration space of device `bdf`.
/// Xen checks what root may write; with an IOMMU no device reaches memory that is not its domain's.
pub fn config_write(bdf: u16, offset: u8, value: u32) {
    select(bdf, offset);
    // SAFETY: the devices that root configures are other domains'; none is set to reach root's
    // memory, and bus mastering is off until a domain has been given the device.
    unsafe { asm!("out dx, eax", in("dx") CONFIG_DATA, in("eax") value, options(nomem, nostack)) };
}
