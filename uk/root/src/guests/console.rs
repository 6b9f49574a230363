//! A guest's console: what it writes is printed line by line.

use core::fmt::Write;
use heapless::{String, Vec};
use kernel::console;
use kernel::pv::event;
use kernel::window::{Access, SLOT_PAGES, Slot};
use xen_abi::{Domid, Mfn, Port, XenError};

/// Pages of the slot.
pub const PAGES: usize = SLOT_PAGES;

/// Bytes of a line; what is longer goes on in another.
const LINE: usize = 200;

/// Bytes that are taken from a guest in one turn, so that none keeps root busy.
const AT_ONCE: usize = 512;

/// A guest's console.
pub struct Console {
    domid: Domid,
    port: Port,
    /// The page of the slot where its ring is mapped.
    page: usize,
    line: Vec<u8, LINE>,
    broken: bool,
}

impl Console {
    /// Maps the ring of `domid` at `page` of `slot`, and binds to its `port`.
    ///
    /// # Errors
    /// Xen's.
    pub fn connect(
        domid: Domid,
        port: Port,
        frame: Mfn,
        slot: &mut Slot,
        page: usize,
    ) -> Result<Self, XenError> {
        slot.map(page, 1, domid, Access::Writable, |_| frame)?;
        let port = event::bind_interdomain(domid, port)?;
        Ok(Self::adopt(domid, port, page))
    }

    /// Goes on with a console that an earlier life of root has connected.
    pub fn adopt(domid: Domid, port: Port, page: usize) -> Self {
        Self { domid, port, page, line: Vec::new(), broken: false }
    }

    /// Root's port to the guest.
    pub fn port(&self) -> Port {
        self.port
    }

    /// Prints what the guest has written, some of it at least. A guest that breaks its ring is listened to no more.
    pub fn print(&mut self, slot: &Slot) {
        let ring = ring::console::Console::new(slot.ring_page(self.page)).output().reader();
        let available = match ring.available() {
            Ok(available) if !self.broken => available as usize,
            _ => {
                self.broken = true;
                return;
            }
        };
        if available == 0 {
            return;
        }
        let mut bytes = [0; AT_ONCE];
        let bytes = &mut bytes[..available.min(AT_ONCE)];
        ring.peek(ring.position(), bytes);
        ring.consume_to(ring.position().wrapping_add(bytes.len() as u32));
        // A guest that waits for room; one that is gone needs none.
        let _ = event::send(self.port);
        for byte in bytes.iter().copied() {
            // A line that is full is printed before more is put to it.
            if byte == b'\n' || (byte != b'\r' && self.line.push(byte).is_err()) {
                self.print_line();
            }
        }
    }

    fn print_line(&mut self) {
        let mut text = String::<{ LINE + 16 }>::new();
        // It fits: a number has at most five digits, and ASCII characters one byte.
        let _ = write!(text, "(d{}) ", self.domid.0);
        // What a terminal would obey is not printed.
        let plain = |byte: &u8| if matches!(byte, b' '..=b'~' | b'\t') { char::from(*byte) } else { '.' };
        self.line.iter().map(plain).for_each(|character| text.push(character).unwrap_or_default());
        console::write_line(&text);
        self.line.clear();
    }
}
