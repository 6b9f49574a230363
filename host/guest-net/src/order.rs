//! What a guest can be told, and what it answers.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};

use anyhow::{Context, Result, anyhow};
use serde::{Deserialize, Serialize};

use crate::load::Load;

/// An order. Services that are begun go on until the guest ends; there can be one of a kind at a port.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub enum Order {
    /// Take connections at this port, read each to its end and close it.
    Swallow {
        /// The port.
        port: u16,
    },
    /// Answer requests at this port, as [`crate::load::serve`] does.
    Serve {
        /// The port.
        port: u16,
    },
    /// Count datagrams that come to this port.
    Count {
        /// The port.
        port: u16,
    },
    /// Tell how many datagrams have been counted there since the guest was last asked.
    Counted {
        /// The port.
        port: u16,
    },
    /// Connect, write so many bytes, and wait until the other end has read them and closes.
    Pour {
        /// To whom.
        to: SocketAddrV4,
        /// How many.
        bytes: u64,
    },
    /// Connect, and read to the end.
    Drink {
        /// From whom.
        from: SocketAddrV4,
    },
    /// Send datagrams, one after the other.
    Flood {
        /// To whom.
        to: SocketAddrV4,
        /// How many bytes are in each, beside all headers.
        payload: usize,
        /// For how many milliseconds.
        milliseconds: u64,
    },
    /// Send echo requests, one after the other, with the system's own program.
    Ping {
        /// To whom.
        to: Ipv4Addr,
        /// How many.
        count: usize,
    },
    /// Put a server under load.
    Load(Load),
}

/// What came of an order. What an order does not measure is 0, or empty.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// How long it took, in microseconds.
    pub took_us: u64,
    /// How many there were: datagrams, answers, bytes.
    pub count: u64,
    /// How long each of them took, in microseconds.
    pub times_us: Vec<u64>,
}

/// One end of the line between guest and measurer.
pub struct Wire {
    source: BufReader<TcpStream>,
    sink: TcpStream,
}

impl Wire {
    /// The end at this side of `stream`.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn new(stream: TcpStream) -> Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { source: BufReader::new(stream.try_clone()?), sink: stream })
    }

    /// Has the guest at the other end do something, and waits until it is done.
    ///
    /// # Errors
    /// When the guest could not, or is gone.
    pub fn order(&mut self, order: &Order) -> Result<Figures> {
        let asked = || format!("{order:?}");
        self.send(order).with_context(asked)?;
        let answer: Option<Result<Figures, String>> = self.receive().with_context(asked)?;
        let answer = answer.context("the guest is gone").with_context(asked)?;
        answer.map_err(|error| anyhow!("{order:?}: the guest says: {error}"))
    }

    /// Does what the other end says with `perform`, until it is gone.
    ///
    /// # Errors
    /// When the line breaks.
    pub fn obey(&mut self, mut perform: impl FnMut(Order) -> Result<Figures>) -> Result<()> {
        while let Some(order) = self.receive()? {
            self.send(&perform(order).map_err(|error| format!("{error:#}")))?;
        }
        Ok(())
    }

    fn send(&mut self, message: &impl Serialize) -> Result<()> {
        let line = serde_json::to_string(message)? + "\n";
        Ok(self.sink.write_all(line.as_bytes())?)
    }

    fn receive<T: for<'de> Deserialize<'de>>(&mut self) -> Result<Option<T>> {
        let mut line = String::new();
        let length = self.source.read_line(&mut line)?;
        Ok(if length == 0 { None } else { Some(serde_json::from_str(&line)?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    #[test]
    fn orders_are_obeyed_and_refusals_come_back() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let guest = thread::spawn(move || {
            let mut wire = Wire::new(TcpStream::connect(address).unwrap()).unwrap();
            wire.obey(|order| match order {
                Order::Counted { port } => Ok(Figures { count: port.into(), ..Figures::default() }),
                _ => Err(anyhow!("no")),
            })
        });
        let mut wire = Wire::new(listener.accept().unwrap().0).unwrap();
        assert_eq!(wire.order(&Order::Counted { port: 7 }).unwrap().count, 7);
        let error = wire.order(&Order::Serve { port: 1 }).unwrap_err().to_string();
        assert!(error.ends_with("the guest says: no"), "{error}");
        drop(wire);
        guest.join().unwrap().unwrap();
    }
}
