//! The session itself: one request at a time, and the events that come in between.

use crate::{Error, Event};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::future::Future;
use embassy_futures::select::select;
use ring::xenstore::Interface;
use xenstore::wire::{Errno, Kind, PAYLOAD_MAX};
use xenstore_ring::{Client, ConnectionLost};

/// The event channel that belongs to a ring.
pub trait Doorbell {
    /// Tells the server to look at the ring.
    fn ring(&self);

    /// Waits until the server has told this side to look; what it said since the last wait counts once.
    fn wait(&self) -> impl Future<Output = ()>;
}

/// A session with XenStore.
#[derive(Debug)]
pub struct Session<'a, D> {
    client: Client<'a>,
    doorbell: D,
    events: VecDeque<Event>,
}

impl<'a, D: Doorbell> Session<'a, D> {
    /// Begins anew over the ring of `interface`, whatever an earlier life has left in it: its watches and transactions are gone.
    ///
    /// Waits until somebody serves the ring, and rings the doorbell again after each `pause`, because whoever is to serve it
    /// may not have been there at the first time.
    pub async fn connect(interface: Interface<'a>, doorbell: D, pause: impl AsyncFn()) -> Self {
        let mut session = Self { client: Client::new(interface), doorbell, events: VecDeque::new() };
        session.reconnect(pause).await;
        session
    }

    /// Begins anew over the same ring, after the connection was lost. What was set up and is not yet asked for is gone:
    /// watches, transactions, events.
    pub async fn reconnect(&mut self, pause: impl AsyncFn()) {
        self.events.clear();
        self.client.reset();
        while !self.client.is_connected() {
            self.doorbell.ring();
            select(self.doorbell.wait(), pause()).await;
        }
    }

    /// The next event, in the order in which they have come.
    ///
    /// # Errors
    /// [`ConnectionLost`].
    pub async fn event(&mut self) -> Result<Event, ConnectionLost> {
        loop {
            if let Some(event) = self.try_event()? {
                return Ok(event);
            }
            self.step().await?;
        }
    }

    /// The next event, if one has come.
    ///
    /// # Errors
    /// [`ConnectionLost`].
    pub fn try_event(&mut self) -> Result<Option<Event>, ConnectionLost> {
        if self.events.is_empty() && self.client.step()? {
            self.doorbell.ring();
        }
        while let Some(message) = self.client.receive()? {
            // Answers that come here are to requests that nobody waits for any more.
            if message.kind() == Some(Kind::WatchEvent) {
                self.events.extend(Event::read(message.payload));
            }
        }
        Ok(self.events.pop_front())
    }

    /// Passes over the events of a watch that is no longer wanted.
    pub(crate) fn forget_events(&mut self, token: &str) {
        self.events.retain(|event| event.token != token);
    }

    /// Makes a request, whose payload is these parts, each with a NUL behind it but for what `tail` has; answers the payload of
    /// its answer. The first part is what errors name.
    pub(crate) async fn request(
        &mut self,
        kind: Kind,
        transaction: u32,
        arguments: &[&str],
        tail: &[u8],
    ) -> Result<Vec<u8>, Error> {
        let path = || arguments.first().copied().unwrap_or_default().into();
        let refused = |errno| Error::Refused { asked: kind, path: path(), errno };
        let length = arguments.iter().map(|argument| argument.len() + 1).sum::<usize>() + tail.len();
        if arguments.iter().any(|argument| argument.contains('\0')) {
            return Err(refused(Errno::Invalid));
        }
        if length > PAYLOAD_MAX {
            return Err(refused(Errno::TooBig));
        }
        let strings = arguments.iter().flat_map(|argument| [argument.as_bytes(), b"\0"]);
        let parts: Vec<&[u8]> = strings.chain([tail]).collect();
        let number = self.client.request(kind, transaction, &parts);
        loop {
            while let Some(message) = self.client.receive()? {
                match message.kind() {
                    Some(Kind::WatchEvent) => self.events.extend(Event::read(message.payload)),
                    // To a request that nobody waits for any more.
                    _ if message.header.request != number => {}
                    Some(answer) if answer == kind => return Ok(message.payload.to_vec()),
                    answer => {
                        let errno = errno(message.payload).filter(|_| answer == Some(Kind::Error));
                        let (kind_found, payload) = (message.header.kind, message.payload.to_vec());
                        let no_answer =
                            Error::NoAnswer { asked: kind, path: path(), kind: kind_found, payload };
                        return Err(errno.map_or(no_answer, refused));
                    }
                }
            }
            self.step().await?;
        }
    }

    /// Moves what can be moved; waits for the server if there is nothing.
    async fn step(&mut self) -> Result<(), ConnectionLost> {
        if self.client.step()? {
            self.doorbell.ring();
        } else {
            self.doorbell.wait().await;
        }
        Ok(())
    }
}

/// The error of an answer, which names it with a NUL behind it.
fn errno(payload: &[u8]) -> Option<Errno> {
    Errno::from_name(payload.strip_suffix(b"\0")?)
}
