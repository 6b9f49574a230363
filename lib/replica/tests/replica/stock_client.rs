//! A stock client, which tells of no more than it must: of what it writes only if it finds everything before it consumed (`xb_write` of
//! Linux's `xenbus_comms.c`). Whenever it writes, it is answered.

use crate::master::{CLIENT, Host, PEER};
use crate::ring::{Broken, Pipe};
use replica::session::Stream;
use xenstore::wire::{Decoded, Header, Kind, decode};

/// How often the client may write: before each look at the ring and each change of it, and while the server sleeps.
const MOMENTS: usize = 14;

/// The server's end of a ring whose client writes while the server is at work.
struct Stock {
    pipe: Pipe,
    /// What it still has to write, and before which moment.
    parts: Vec<(usize, Vec<u8>)>,
    moment: usize,
    written: u32,
    /// It has told the server since that looked.
    has_told: bool,
}

impl Stock {
    fn pass(&mut self) {
        self.moment += 1;
        while self.parts.first().is_some_and(|(moment, _)| *moment <= self.moment) {
            let (_, part) = self.parts.remove(0);
            assert_eq!(self.pipe.send(&part), part.len());
            self.has_told |= self.pipe.consumed() == Ok(self.written);
            self.written += part.len() as u32;
        }
    }
}

impl Stream for Stock {
    type Error = Broken;

    fn window(&self) -> usize {
        self.pipe.window()
    }

    fn consumed(&self) -> Result<u32, Broken> {
        self.pipe.consumed()
    }

    fn peek(&mut self, skip: usize, wanted: usize) -> Result<&[u8], Broken> {
        self.pass();
        self.pipe.peek(skip, wanted)
    }

    fn consume_to(&mut self, position: u32) -> Result<(), Broken> {
        self.pass();
        self.pipe.consume_to(position)
    }

    fn produced(&self) -> Result<u32, Broken> {
        self.pipe.produced()
    }

    fn produce(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        self.pass();
        self.pipe.produce(bytes)
    }
}

/// The header and the payload of a request, which Linux writes one after the other.
fn request(number: u32) -> [Vec<u8>; 2] {
    let payload = b"/\0".to_vec();
    let header = Header {
        kind: Kind::Directory.number(),
        request: number,
        length: payload.len() as u32,
        transaction: 0,
    };
    [header.encode().to_vec(), payload]
}

/// Serves as a host does, whenever it is told and until there is nothing more. Answers how many requests were answered.
fn answered(moments: [usize; 3]) -> usize {
    let mut host = Host::new(1 << 12);
    let mut master = host.start();
    let [[first, second], [third, fourth]] = [1, 2].map(request);
    let [payload, header, last] = moments;
    let parts = vec![(0, first), (payload, second), (header, third), (last, fourth)];
    let pipe = Pipe::ring(0, &host.fuse);
    let mut stock = Stock { pipe, parts, moment: 0, written: 0, has_told: true };
    master.connect(CLIENT, PEER, &stock).expect("a session");
    loop {
        if core::mem::take(&mut stock.has_told) {
            while master.serve(CLIENT, &mut stock, 4).expect("an honest client").more {}
        } else if stock.parts.is_empty() {
            break;
        } else {
            // Nobody has told the server, which sleeps.
            stock.pass();
        }
    }
    let (mut rest, mut count) = (&stock.pipe.receive(usize::MAX)[..], 0);
    while let Decoded::Message(answer) = decode(rest) {
        rest = &rest[answer.size()..];
        count += 1;
    }
    count
}

#[test]
fn whenever_it_writes_it_is_answered() {
    for payload in 0..MOMENTS {
        for header in payload..MOMENTS {
            for last in header..MOMENTS {
                let moments = [payload, header, last];
                assert_eq!(answered(moments), 2, "it writes before the moments {moments:?}");
            }
        }
    }
}
