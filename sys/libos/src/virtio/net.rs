//! A network card: frames in, frames out.

use super::hal::UkHal;
use super::transport::{Status, UkTransport};
use super::{DeviceError, is};
use crate::dma::DmaBuffer;
use crate::interrupt::Interrupt;
use uk_abi::device_info::{DeviceInfo, IrqKind};
use uk_abi::layout::PAGE_SIZE;
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::DeviceType;

/// Frames in each direction that the card can have at a time.
const FRAMES: usize = 32;

/// Bytes for a frame: the longest of 1514 bytes, and virtio's header.
const FRAME: usize = 2048;

/// A virtio network card.
pub struct Net {
    raw: VirtIONetRaw<UkHal, UkTransport, FRAMES>,
    received: DmaBuffer,
    /// Which place of `received` the card has been given under a token.
    place: [usize; FRAMES],
    sent: DmaBuffer,
    /// The length and place of what was sent under a token.
    sending: [Option<(usize, usize)>; FRAMES],
    interrupt: Interrupt,
    status: Status,
}

/// The bytes of `buffer` for a frame.
fn frame(buffer: &mut DmaBuffer, place: usize) -> &mut [u8] {
    &mut buffer[place * FRAME..(place + 1) * FRAME]
}

impl Net {
    /// Sets `device` up; none if it is no such card.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn new(device: &'static DeviceInfo) -> Option<Result<Self, DeviceError>> {
        is(device, DeviceType::Network).then(|| Self::set_up(device))
    }

    fn set_up(device: &'static DeviceInfo) -> Result<Self, DeviceError> {
        let interrupt = Interrupt::of(device)?;
        let transport = UkTransport::new(device)?;
        let status = transport.status();
        let raw = VirtIONetRaw::new(transport).map_err(DeviceError::Virtio)?;
        let memory = || DmaBuffer::new(FRAMES * FRAME / PAGE_SIZE).ok_or(DeviceError::Memory);
        let (received, sent) = (memory()?, memory()?);
        let (place, sending) = ([0; FRAMES], [None; FRAMES]);
        let mut net = Self { raw, received, place, sent, sending, interrupt, status };
        for place in 0..FRAMES {
            net.give(place).map_err(DeviceError::Virtio)?;
        }
        Ok(net)
    }

    /// Gives the card a place to put a frame.
    fn give(&mut self, place: usize) -> virtio_drivers::Result {
        // SAFETY: the card has the place until `receive` takes it back; nothing else looks at it.
        let token = unsafe { self.raw.receive_begin(frame(&mut self.received, place)) }?;
        self.place[usize::from(token)] = place;
        Ok(())
    }

    /// Its hardware address.
    pub fn mac(&self) -> [u8; 6] {
        self.raw.mac_address()
    }

    /// Whether it works no more, and must be reset.
    pub fn is_stopped(&self) -> bool {
        self.status.is_stopped()
    }

    /// How it interrupts.
    pub fn irq_kind(&self) -> IrqKind {
        self.interrupt.kind()
    }

    /// Waits until a frame may have arrived or left.
    pub async fn wait(&mut self) {
        self.interrupt.wait().await;
        if self.interrupt.kind() == IrqKind::Intx {
            self.raw.ack_interrupt();
            self.interrupt.done();
        }
    }

    /// Hands the next frame that has arrived to `take`; none if there is none.
    ///
    /// # Panics
    /// If the card breaks the protocol: it is reset before the next life.
    pub fn receive<R>(&mut self, take: impl FnOnce(&[u8]) -> R) -> Option<R> {
        let token = self.raw.poll_receive()?;
        let place = *self.place.get(usize::from(token))?;
        let bytes = frame(&mut self.received, place);
        // SAFETY: the card was given this very place under this token.
        let taken = match unsafe { self.raw.receive_complete(token, bytes) } {
            Ok((header, len)) => bytes.get(header..header + len).map(take),
            Err(error) => panic!("the network card breaks the protocol: {error}"),
        };
        if let Err(error) = self.give(place) {
            panic!("the network card does not take a place back: {error}");
        }
        taken
    }

    /// Whether there is room to send a frame.
    pub fn can_send(&self) -> bool {
        self.sending.iter().any(Option::is_none) && self.raw.can_send()
    }

    /// Sends a frame of `len` bytes, which `fill` writes; none if there is no room, or it is too long.
    ///
    /// # Panics
    /// If the card breaks the protocol: it is reset before the next life.
    pub fn send<R>(&mut self, len: usize, fill: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        let used = |place| self.sending.iter().flatten().any(|(_, taken)| *taken == place);
        let place = (0..FRAMES).find(|place| !used(*place)).filter(|_| self.raw.can_send())?;
        let bytes = frame(&mut self.sent, place);
        // The place has room for it.
        let header = self.raw.fill_buffer_header(bytes).unwrap_or_default();
        let filled = fill(bytes.get_mut(header..header + len)?);
        let bytes = &bytes[..header + len];
        // SAFETY: the card has the place until `complete` takes it back; nothing else looks at it.
        match unsafe { self.raw.transmit_begin(bytes) } {
            Ok(token) => self.sending[usize::from(token)] = Some((header + len, place)),
            Err(error) => panic!("the network card does not take a frame: {error}"),
        }
        Some(filled)
    }

    /// Takes frames back that have left; answers how many.
    ///
    /// # Panics
    /// If the card breaks the protocol: it is reset before the next life.
    pub fn complete(&mut self) -> u64 {
        let mut count = 0;
        while let Some(token) = self.raw.poll_transmit() {
            let sent = self.sending.get_mut(usize::from(token)).and_then(Option::take);
            let Some((len, place)) = sent else { panic!("the network card has sent what it was not given") };
            let bytes = &frame(&mut self.sent, place)[..len];
            // SAFETY: the card was given these very bytes under this token.
            if let Err(error) = unsafe { self.raw.transmit_complete(token, bytes) } {
                panic!("the network card breaks the protocol: {error}");
            }
            count += 1;
        }
        count
    }
}
