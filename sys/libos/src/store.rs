//! A session with XenStore, for the programs that share the memory of a ring with it.

use crate::channel::Channel;
use crate::event;
use crate::grant::{self, Page};
use crate::uk::Uk;
use embassy_time::{Duration, Timer};
use ring::xenstore::Interface;
pub use xenstore_session::{
    Access, ConnectionLost, Doorbell, Errno, Error, Event, Kind, Outcome, Permission, Session, Transaction,
};

/// Until the server is told again that somebody waits for it: it may not have been there at the first time.
const PATIENCE: Duration = Duration::from_millis(20);

impl Doorbell for Channel {
    fn ring(&self) {
        self.notify();
    }

    async fn wait(&self) {
        Channel::wait(self).await;
    }
}

impl Doorbell for event::Event {
    fn ring(&self) {
        // Refused where the other end is just going: it looks when it is back.
        let _ = self.notify();
    }

    async fn wait(&self) {
        event::Event::wait(self).await;
    }
}

/// Begins a session over the ring in the memory that is called `name` in the system description. Waits until XenStore
/// serves it. None if this unikernel shares no such memory with anybody.
///
/// To be called once in a life: there is one session over a ring.
pub async fn connect(uk: &Uk, name: &str) -> Option<Session<'static, Channel>> {
    let memory = uk.shared(name)?;
    let page: &'static Page = memory.words().first_chunk()?;
    let server = uk.channel(memory.others().next()?)?;
    let interface = Interface::new(grant::halves(page));
    Some(Session::connect(interface, server, async || Timer::after(PATIENCE).await).await)
}
