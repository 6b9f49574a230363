//! How `virtio-drivers` gets memory and registers.

use crate::dma::{DmaBuffer, machine_address};
use crate::start;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use uk_abi::layout::PAGE_SIZE;
use virtio_drivers::{BufferDirection, Hal, PhysAddr};
use xen_abi::MachineAddr;

/// Where devices are told that their data are, if not 0: see [`go_rogue`].
static ROGUE: AtomicU64 = AtomicU64::new(0);

/// Tells devices from now on that all data, which is what lies in the DMA area, are at `address`,
/// whosever memory that is: the fault [`RogueDma`](uk_abi::fault::Fault::RogueDma).
pub fn go_rogue(address: MachineAddr) {
    ROGUE.store(address.0, Relaxed);
}

/// What a device is told of data that lie at `address`.
pub(crate) fn told(address: MachineAddr) -> MachineAddr {
    match ROGUE.load(Relaxed) {
        0 => address,
        rogue => MachineAddr(rogue),
    }
}

/// This domain.
#[derive(Debug)]
pub struct UkHal;

/// The pages of `buffer`, as addresses of their first bytes in it.
fn pages(buffer: NonNull<[u8]>) -> impl Iterator<Item = u64> {
    let start = buffer.cast::<u8>().as_ptr() as u64;
    let end = start + buffer.len() as u64;
    let page = PAGE_SIZE as u64;
    core::iter::once(start).chain((start / page + 1..end.div_ceil(page)).map(move |number| number * page))
}

/// The machine address of `buffer`, if the machine has all of it in a row.
fn contiguous(buffer: NonNull<[u8]>) -> Option<MachineAddr> {
    let start = buffer.cast::<u8>().as_ptr() as u64;
    let machine = machine_address(start)?;
    pages(buffer).all(|page| machine_address(page) == Some(machine + (page - start))).then_some(machine)
}

// SAFETY: memory comes from `DmaBuffer`, which gives each page to one owner, zeroed; register addresses
// come from root, which maps each device's registers once.
unsafe impl Hal for UkHal {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let buffer = DmaBuffer::new(pages).map(|buffer| (buffer.machine_address().0, buffer.into_address()));
        match buffer {
            Some((machine, address)) => {
                (machine, NonNull::new(address as *mut u8).unwrap_or(NonNull::dangling()))
            }
            // An address of 0 tells the driver that there is no memory.
            None => (0, NonNull::dangling()),
        }
    }

    unsafe fn dma_dealloc(_paddr: PhysAddr, vaddr: NonNull<u8>, pages: usize) -> i32 {
        // SAFETY: the caller's promise: it comes from `dma_alloc`, which gave it away.
        drop(unsafe { DmaBuffer::from_address(vaddr.as_ptr() as u64, pages) });
        0
    }

    unsafe fn mmio_phys_to_virt(paddr: PhysAddr, size: usize) -> NonNull<u8> {
        let within = |start: u64, len: u64| paddr >= start && paddr + size as u64 <= start + len;
        let bar = start::devices()
            .flat_map(|device| device.bars.iter())
            .find(|bar| bar.va != 0 && within(bar.machine, bar.size));
        let address = bar.map(|bar| (bar.va + (paddr - bar.machine)) as *mut u8).and_then(NonNull::new);
        match address {
            Some(address) => address,
            None => panic!("root has mapped no registers at {paddr:#x}"),
        }
    }

    unsafe fn share(buffer: NonNull<[u8]>, _direction: BufferDirection) -> PhysAddr {
        let (rogue, area) = (ROGUE.load(Relaxed), start::boot_info().dma);
        if rogue != 0 && (area.va..area.end()).contains(&(buffer.cast::<u8>().as_ptr() as u64)) {
            return rogue;
        }
        // Every buffer of the drivers here is in the DMA area, or small and so aligned that it is within
        // one page.
        match contiguous(buffer) {
            Some(machine) => machine.0,
            None => panic!("a buffer of {} bytes is not contiguous in the machine", buffer.len()),
        }
    }

    unsafe fn unshare(_paddr: PhysAddr, _buffer: NonNull<[u8]>, _direction: BufferDirection) {}
}

const _: () = assert!(PAGE_SIZE == virtio_drivers::PAGE_SIZE);
