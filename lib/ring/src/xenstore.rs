//! A domain's connection to XenStore (`struct xenstore_domain_interface`).

use crate::Page;
use crate::byte::Ring;
use core::mem::offset_of;
use core::sync::atomic::AtomicU32;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use xen_abi::xs_wire::{Connection, ConnectionError, DomainInterface, ServerFeatures};

/// The page of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Interface<'a>(&'a Page);

impl<'a> Interface<'a> {
    /// The connection whose page `page` is.
    pub const fn new(page: &'a Page) -> Self {
        Self(page)
    }

    /// From the client to the server.
    pub fn requests(&self) -> Ring<'a> {
        ring!(self.0, DomainInterface, req, req_cons, req_prod)
    }

    /// From the server to the client.
    pub fn responses(&self) -> Ring<'a> {
        ring!(self.0, DomainInterface, rsp, rsp_cons, rsp_prod)
    }

    /// Tells the client what the server can do.
    pub fn set_features(&self, features: ServerFeatures) {
        self.word(offset_of!(DomainInterface, server_features)).store(features.bits(), Relaxed);
    }

    /// What the server can do.
    pub fn features(&self) -> ServerFeatures {
        let bits = self.word(offset_of!(DomainInterface, server_features)).load(Relaxed);
        ServerFeatures::from_bits_retain(bits)
    }

    /// Where the connection stands; none if the page has a number that means nothing.
    pub fn connection(&self) -> Option<Connection> {
        Connection::from_raw(self.word(offset_of!(DomainInterface, connection)).load(Acquire))
    }

    /// Asks the server to reset the connection.
    pub fn ask_for_reset(&self) {
        self.word(offset_of!(DomainInterface, connection)).store(Connection::Reconnect.raw(), Release);
    }

    /// Resets the connection, on the server's side: both streams begin anew, with nothing in them.
    pub fn reset(&self) {
        for ring in [self.requests(), self.responses()] {
            ring.consumed.store(0, Relaxed);
            ring.produced.store(0, Relaxed);
        }
        self.fail(ConnectionError::None);
        self.word(offset_of!(DomainInterface, connection)).store(Connection::Connected.raw(), Release);
    }

    /// Tells the client why the connection is given up.
    pub fn fail(&self, error: ConnectionError) {
        self.word(offset_of!(DomainInterface, error)).store(error.raw(), Release);
    }

    /// Why the server gave the connection up; none if the page has a number that means nothing.
    pub fn error(&self) -> Option<ConnectionError> {
        ConnectionError::from_raw(self.word(offset_of!(DomainInterface, error)).load(Acquire))
    }

    fn word(&self, offset: usize) -> &'a AtomicU32 {
        &self.0[offset / size_of::<u32>()]
    }
}
