//! A disk: sectors in, sectors out, one request at a time.

use super::hal::UkHal;
use super::transport::UkTransport;
use super::{DeviceError, is};
use crate::dma::DmaBuffer;
use crate::interrupt::Interrupt;
use alloc::boxed::Box;
use uk_abi::device_info::{DeviceInfo, IrqKind};
use uk_abi::layout::PAGE_SIZE;
use virtio_drivers::device::blk::{BlkReq, BlkResp, VirtIOBlk};
use virtio_drivers::transport::DeviceType;

/// Bytes in a sector, the unit of addresses.
pub const SECTOR: usize = 512;

/// Bytes in a request at most.
pub const BLOCK_MAX: usize = 128 * SECTOR;

/// What the disk is asked to do with the data.
#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

/// What goes before and after the data of a request. So aligned it lies within one page.
#[derive(Default)]
#[repr(C, align(32))]
struct Envelope {
    request: BlkReq,
    response: BlkResp,
}

const _: () = assert!(size_of::<Envelope>() == align_of::<Envelope>());

/// A virtio disk.
pub struct Disk {
    raw: VirtIOBlk<UkHal, UkTransport>,
    data: DmaBuffer,
    envelope: Box<Envelope>,
    /// The request that the disk has, with its token and length: whoever asked may have stopped waiting.
    pending: Option<(u16, Direction, usize)>,
    interrupt: Interrupt,
}

impl Disk {
    /// Sets `device` up; none if it is no such disk.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn new(device: &'static DeviceInfo) -> Option<Result<Self, DeviceError>> {
        is(device, DeviceType::Block).then(|| Self::set_up(device))
    }

    fn set_up(device: &'static DeviceInfo) -> Result<Self, DeviceError> {
        let interrupt = Interrupt::of(device)?;
        let raw = VirtIOBlk::new(UkTransport::new(device)?).map_err(DeviceError::Virtio)?;
        let data = DmaBuffer::new(BLOCK_MAX / PAGE_SIZE).ok_or(DeviceError::Memory)?;
        Ok(Self { raw, data, envelope: Box::default(), pending: None, interrupt })
    }

    /// Sectors that it has.
    pub fn sectors(&self) -> u64 {
        self.raw.capacity()
    }

    /// Whether it can only be read.
    pub fn is_read_only(&self) -> bool {
        self.raw.readonly()
    }

    /// How it interrupts.
    pub fn irq_kind(&self) -> IrqKind {
        self.interrupt.kind()
    }

    /// Reads `len` bytes from `sector` on.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub async fn read(&mut self, sector: u64, len: usize) -> Result<&[u8], DeviceError> {
        // What the disk does not write there must not look as if it had.
        self.transfer(Direction::Read, sector, len, |data| data.fill(0)).await?;
        Ok(&self.data[..len])
    }

    /// Writes `len` bytes, which `fill` gives, from `sector` on.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub async fn write(
        &mut self,
        sector: u64,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), DeviceError> {
        self.transfer(Direction::Write, sector, len, fill).await
    }

    async fn transfer(
        &mut self,
        direction: Direction,
        sector: u64,
        len: usize,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result<(), DeviceError> {
        if len == 0 || len > BLOCK_MAX || !len.is_multiple_of(SECTOR) {
            return Err(DeviceError::Request);
        }
        // What somebody has stopped waiting for still uses the buffer; how it ends is nobody's concern.
        let _ = self.finish().await;
        let data = &mut self.data[..len];
        fill(data);
        let Envelope { request, response } = &mut *self.envelope;
        // SAFETY: the disk has all three until `finish` takes them back; every other use of them waits for
        // that.
        let token = unsafe {
            match direction {
                Direction::Read => self.raw.read_blocks_nb(sector as usize, request, data, response),
                Direction::Write => self.raw.write_blocks_nb(sector as usize, request, data, response),
            }
        };
        self.pending = Some((token.map_err(DeviceError::Failed)?, direction, len));
        self.finish().await
    }

    /// Waits for the request that the disk has.
    async fn finish(&mut self) -> Result<(), DeviceError> {
        let Some((token, direction, len)) = self.pending else { return Ok(()) };
        while self.raw.peek_used() != Some(token) {
            self.interrupt.wait().await;
            if self.interrupt.kind() == IrqKind::Intx {
                self.raw.ack_interrupt();
                self.interrupt.done();
            }
        }
        self.pending = None;
        let data = &mut self.data[..len];
        let Envelope { request, response } = &mut *self.envelope;
        // SAFETY: these are the very buffers that the disk was given under this token.
        let done = unsafe {
            match direction {
                Direction::Read => self.raw.complete_read_blocks(token, request, data, response),
                Direction::Write => self.raw.complete_write_blocks(token, request, data, response),
            }
        };
        done.map_err(DeviceError::Failed)
    }
}
