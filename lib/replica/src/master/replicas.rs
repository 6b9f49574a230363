//! Replicas that are there: what they say, and copies for those that need one.

use super::link::Standing;
use super::recover::Answer;
use super::{Master, Phase};
use crate::channel::Next;
use crate::frame::{Frame, Kind, Stamp};
use crate::keeper::Soundness;
use crate::message::{self, Standing as Theirs};
use crate::record::Builder;
use crate::report::Report;
use crate::session::SessionError;
use crate::vault::CHUNK_WORDS;
use core::ops::Bound::{Excluded, Unbounded};
use uk_abi::Words;
use xenstore::ConnectionId;

/// Nodes that are checked in one turn of [`Master::work`], and words of the vault.
const SCRUB_NODES: usize = 32;
const SCRUB_WORDS: usize = 1024;
/// Words of steps that one turn of [`Master::work`] counts as.
const IDLE_WORDS: usize = 64;

impl<W: Words> Master<W> {
    /// Reads what a replica has written. To be called when it wakes the master, and now and then.
    pub fn from_replica(&mut self, replica: usize) {
        while let Some(link) = self.links.get_mut(replica) {
            let mut payload = core::mem::take(&mut self.payload);
            let next = link.from.next(&mut payload);
            if let Next::Frame(frame) = next {
                self.heard(replica, frame.kind, frame.stamp, &payload);
            }
            self.payload = payload;
            match next {
                Next::Frame(_) => {
                    let seeding = matches!(self.phase, Phase::Seeding(..));
                    if let Some(link) = self.links.get_mut(replica) {
                        link.from.release();
                        // Who sends a copy waits for room.
                        link.news |= seeding;
                    }
                }
                // The replica begins its channel anew when it sees that the master has done so.
                Next::Damaged => self.replica_joined(replica),
                Next::Reset => {}
                Next::Empty => return,
            }
        }
    }

    fn heard(&mut self, replica: usize, kind: Kind, stamp: Stamp, payload: &[u64]) {
        match kind {
            Kind::Status => {
                if let Some((standing, digest)) = message::Standing::decode(payload) {
                    self.heard_status(replica, stamp, standing, digest);
                }
            }
            Kind::Join => self.seed(replica, kind, stamp, payload),
            kind if message::is_copy(kind) => self.seed(replica, kind, stamp, payload),
            _ => {}
        }
    }

    fn heard_status(&mut self, replica: usize, stamp: Stamp, theirs: Theirs, digest: u64) {
        if !matches!(self.phase, Phase::Serving) {
            let whole = matches!(theirs, Theirs::Following | Theirs::Whole);
            if whole && matches!(self.phase, Phase::Seeding(from, _) if from == replica) {
                // It has restarted, and does not know that it was asked.
                self.links[replica].send_surely(&Frame::new(Kind::SeedWanted, Stamp::default(), &[]));
                return;
            }
            self.answered(replica, if whole { Answer::Whole(stamp) } else { Answer::Nothing });
            return;
        }
        let ours = self.keeper.state.engine.digest();
        let link = &mut self.links[replica];
        if !link.is_there() {
            return;
        }
        match theirs {
            Theirs::Following => {
                if !matches!(link.standing, Standing::Following) {
                    link.standing = Standing::Following;
                    self.reports.push(Report::Following { replica });
                }
            }
            Theirs::Whole => link.tell_term(self.term, self.keeper.stamp(), ours),
            Theirs::Lost => self.join(replica),
            Theirs::Disagrees => {
                self.reports.push(Report::Disagreement { replica, theirs: digest, ours });
                // It has checked itself. Now this side does.
                if self.keeper.check_all() != Soundness::Whole || !self.keeper.restore() {
                    self.keeper.renew();
                }
                self.join(replica);
            }
        }
    }

    fn join(&mut self, replica: usize) {
        self.reports.push(Report::Joining { replica });
        self.links[replica].begin_join(self.keeper.stamp());
    }

    /// Does a bounded piece of what can be done at any time: copies for replicas that join, checks of everything that is
    /// kept. Returns whether there is more to do at once; otherwise a turn now and then is enough.
    pub fn work(&mut self) -> bool {
        if !self.is_serving() {
            return false;
        }
        // A pass goes on as if a step of this size had been made.
        self.appended += IDLE_WORDS;
        self.clean();
        self.scrub();
        let mut more = false;
        for replica in 0..self.links.len() {
            more |= self.copy_to(replica);
        }
        more
    }

    fn scrub(&mut self) {
        if self.keeper.scrub(SCRUB_NODES, SCRUB_WORDS) != Soundness::Whole {
            self.ask_for_copy();
        }
        for (replica, link) in self.links.iter_mut().enumerate() {
            if link.to.refresh() | link.from.refresh() {
                self.reports.push(Report::ChannelMended { replica: Some(replica) });
            }
        }
        let next = self.slots.range((Excluded(self.scrubbed), Unbounded)).next();
        let Some((&id, &slot)) = next.or(self.slots.first_key_value()) else { return };
        self.scrubbed = id;
        let connection = ConnectionId(id);
        match self.sessions.scrub(slot) {
            Ok(false) => {}
            Ok(true) => self.reports.push(Report::SessionMended { connection }),
            // Who delivers it will see the same, and close the connection.
            Err(SessionError::Damaged) | Err(_) => self.touched.push(connection),
        }
    }

    /// Sends the next part of its copy to a replica that is joining. Returns whether there is more to send.
    fn copy_to(&mut self, replica: usize) -> bool {
        let stamp = self.keeper.stamp();
        let link = &mut self.links[replica];
        let Standing::Joining(walk) = &mut link.standing else { return false };
        // Half of the inbox is left to the steps that go on.
        if link.to.free() < link.to.capacity() / 2 {
            return false;
        }
        let mut chunk = Builder::default();
        let mut next = walk.clone();
        let over = match self.keeper.state.walk(&mut next, CHUNK_WORDS * 8, &mut chunk) {
            Ok(over) => over,
            Err(_) => {
                link.begin_join(stamp);
                if self.keeper.check_all() != Soundness::Whole {
                    self.ask_for_copy();
                }
                return true;
            }
        };
        let payload = chunk.finish(0, None);
        if link.to.write(&Frame::new(Kind::Chunk, stamp, payload)).is_err() {
            return false;
        }
        *walk = next;
        link.news = true;
        if over {
            if self.keeper.last().is_some() {
                link.send_surely(&Frame::new(Kind::Step, stamp, self.keeper.last_words()));
            }
            let digest = self.keeper.state.engine.digest();
            link.send_surely(&Frame::new(Kind::PassEnd, stamp, &[digest]));
            link.standing = Standing::Asked;
        }
        !over
    }
}
