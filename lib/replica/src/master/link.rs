//! A replica, as its master sees it.

use crate::channel::{Reader, Refused, Writer};
use crate::frame::{Frame, Kind, Stamp};
use crate::state::Walk;
use uk_abi::Words;

/// The two channels between a master and a replica.
#[derive(Debug)]
pub struct Channels<W> {
    /// From the master to the replica. The largest record has to fit into it; 64 KiB do for nearly all.
    pub inbox: W,
    /// From the replica to the master.
    pub outbox: W,
}

/// How a replica stands, as far as its master knows.
#[derive(Debug)]
pub(super) enum Standing {
    /// Nobody is there.
    Gone,
    /// It was told where the master stands, and has not answered yet.
    Asked,
    /// It has everything that is in its inbox.
    Following,
    /// It is being given a copy.
    Joining(Walk),
}

/// A replica with its channels.
#[derive(Debug)]
pub(crate) struct Link<W> {
    pub(crate) to: Writer<W>,
    pub(crate) from: Reader<W>,
    pub(super) standing: Standing,
    /// Whether something was written since the host last asked.
    pub(super) news: bool,
}

impl<W: Words> Link<W> {
    pub(super) fn open(channels: Channels<W>) -> Self {
        let (to, _) = Writer::open(channels.inbox);
        Link { to, from: Reader::open(channels.outbox), standing: Standing::Asked, news: false }
    }

    /// Whether steps are to be sent.
    pub(super) fn is_there(&self) -> bool {
        !matches!(self.standing, Standing::Gone)
    }

    pub(super) fn send(&mut self, frame: &Frame<'_>) -> Result<(), Refused> {
        self.to.write(frame)?;
        self.news = true;
        Ok(())
    }

    /// Sends something without which the replica cannot go on: makes room for it if need be, by taking back what the
    /// replica has not read.
    pub(super) fn send_surely(&mut self, frame: &Frame<'_>) {
        if self.send(frame).is_err() {
            self.to.reset();
            // What does not fit into an empty channel is told by a copy of the state.
            let _ = self.send(frame);
        }
    }

    /// Tells the replica where the master stands: it follows if it stands there too.
    pub(super) fn tell_term(&mut self, term: u32, stamp: Stamp, digest: u64) {
        let payload = [u64::from(stamp.term), digest];
        self.send_surely(&Frame::new(Kind::Term, Stamp { term, ..stamp }, &payload));
        self.standing = Standing::Asked;
    }

    /// Begins to give the replica a copy, in a channel that begins anew: what is in it is of no use, and may be damaged.
    pub(super) fn begin_join(&mut self, stamp: Stamp) {
        self.to.reset();
        self.send_surely(&Frame::new(Kind::Join, stamp, &[]));
        self.standing = Standing::Joining(Walk::default());
    }
}
