//! A ring as the two streams of bytes that a session is made of. Its indexes are the counters that outlive this life.

use replica::session::Stream;
use ring::byte::Broken;
use ring::xenstore::Interface;

/// The server's side of a domain's ring.
pub struct RingStream<'a> {
    interface: Interface<'a>,
    /// What was copied out of the ring last.
    copy: [u8; WINDOW],
}

/// What a ring holds.
const WINDOW: usize = 1024;

impl<'a> RingStream<'a> {
    /// The ring in this page.
    pub fn new(interface: Interface<'a>) -> Self {
        Self { interface, copy: [0; WINDOW] }
    }
}

impl Stream for RingStream<'_> {
    type Error = Broken;

    fn window(&self) -> usize {
        WINDOW
    }

    fn consumed(&self) -> Result<u32, Broken> {
        Ok(self.interface.requests().reader().position())
    }

    fn peek(&mut self, skip: usize, wanted: usize) -> Result<&[u8], Broken> {
        let requests = self.interface.requests().reader();
        let available = requests.available()? as usize;
        let count = wanted.min(available.saturating_sub(skip));
        let position = requests.position().wrapping_add(skip as u32);
        requests.peek(position, &mut self.copy[..count]);
        Ok(&self.copy[..count])
    }

    fn consume_to(&mut self, position: u32) -> Result<(), Broken> {
        self.interface.requests().reader().consume_to(position);
        Ok(())
    }

    fn produced(&self) -> Result<u32, Broken> {
        Ok(self.interface.responses().writer().position())
    }

    fn produce(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let responses = self.interface.responses().writer();
        let count = bytes.len().min(responses.free()? as usize);
        let position = responses.position();
        responses.write(position, &bytes[..count]);
        responses.publish(position.wrapping_add(count as u32));
        Ok(count)
    }
}
