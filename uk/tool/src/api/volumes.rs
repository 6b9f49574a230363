//! The host's volumes: the disks' unikernel is asked for all there is to know and to do (`lib/volume-io`), and nothing is kept here. An upload
//! outlives this program because its client compares what is on the volume with what should be there.

use ::api::limits::{MAX_DIGEST, VOLUMES};
use ::api::types;
use ::api::{Checksum, Problem, Status};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use cable::Side;
use core::sync::atomic::AtomicU64;
use libos::Uk;
use libos::channel::Channel;
use libos::futures::yield_now;
use libos::sync::blocking_mutex::raw::NoopRawMutex;
use libos::sync::mutex::Mutex;
use libos::time::{Duration, Instant, with_deadline};
use volume_io::{Answer, Asker, Description, Heard, MAX_DATA, Refusal, Request, User};

/// How long the disks' unikernel has for one answer. It is back from any repair long before; a disk that works may take seconds on a
/// busy machine.
const PATIENCE: Duration = Duration::from_secs(8);

/// The way to the disks' unikernel.
pub struct Volumes(Option<Mutex<NoopRawMutex, Line>>);

/// The line to it: who has it asks one thing.
struct Line {
    asker: Asker<&'static [AtomicU64]>,
    peer: Channel,
}

impl Volumes {
    /// The way over the memory `name`; none if nobody shares it with this program, or it is too small.
    pub fn find(uk: &Uk, name: &str) -> Self {
        Self(Line::find(uk, name).map(Mutex::new))
    }

    async fn ask(&self, request: Request, data: &[u8]) -> Result<(Answer, Vec<u8>), Problem> {
        let none = || Problem::new(Status::NotImplemented, "nobody has volumes for this host's API");
        self.0.as_ref().ok_or_else(none)?.lock().await.ask(request, data).await
    }

    /// Some volumes, from a place in the list of all.
    ///
    /// # Errors
    /// [`Problem`].
    pub async fn list(&self, from: u64) -> Result<types::Volumes, Problem> {
        let (mut volumes, mut next) = (Vec::new(), from);
        while volumes.len() < VOLUMES {
            let Ok(index) = u32::try_from(next) else { return Ok(types::Volumes { volumes, next: None }) };
            match self.ask(Request::Describe { index }, &[]).await? {
                (Answer::Volume(Some(volume)), _) => volumes.push(shown(volume)),
                (Answer::Volume(None), _) => return Ok(types::Volumes { volumes, next: None }),
                _ => return Err(strange()),
            }
            next += 1;
        }
        Ok(types::Volumes { volumes, next: Some(next) })
    }

    /// Writes what has this checksum.
    ///
    /// # Errors
    /// [`Problem`]; then some of it may be written.
    pub async fn write(&self, volume: &str, from: u64, sha256: &str, content: &[u8]) -> Result<(), Problem> {
        let found = Checksum::of(content);
        if !sha256.eq_ignore_ascii_case(&found) {
            let message = format!(
                "a body with the checksum {sha256:?} was announced, {found} has come: it is not written"
            );
            return Err(Problem::new(Status::BadRequest, message));
        }
        if content.is_empty() {
            return Err(Problem::new(Status::BadRequest, "the body is empty: there is nothing to write"));
        }
        for (place, data) in (0..).zip(content.chunks(MAX_DATA)) {
            let from = from.saturating_add(place * MAX_DATA as u64);
            let request = Request::Write { volume: volume.into(), from };
            let (Answer::Done, _) = self.ask(request, data).await? else { return Err(strange()) };
        }
        Ok(())
    }

    /// The checksum of some bytes of a volume, read in pieces between which others come to their turn.
    ///
    /// # Errors
    /// [`Problem`].
    pub async fn digest(&self, volume: &str, from: u64, bytes: u64) -> Result<types::Digest, Problem> {
        if bytes == 0 || bytes > MAX_DIGEST {
            let message =
                format!("the checksum of 1 to {MAX_DIGEST} bytes can be asked for, and not of {bytes}");
            return Err(Problem::new(Status::BadRequest, message));
        }
        let mut checksum = Checksum::default();
        for done in (0..bytes).step_by(MAX_DATA) {
            let length = (bytes - done).min(MAX_DATA as u64);
            let request = Request::Read {
                volume: volume.into(),
                from: from.saturating_add(done),
                bytes: length as u32,
            };
            match self.ask(request, &[]).await? {
                (Answer::Read, data) if data.len() as u64 == length => checksum.add(&data),
                _ => return Err(strange()),
            }
            yield_now().await;
        }
        Ok(types::Digest { from, bytes, sha256: checksum.finish() })
    }

    /// Has what was written last, and lets the volume go.
    ///
    /// # Errors
    /// [`Problem`].
    pub async fn finish(&self, volume: &str) -> Result<(), Problem> {
        match self.ask(Request::Finish { volume: volume.into() }, &[]).await? {
            (Answer::Done, _) => Ok(()),
            _ => Err(strange()),
        }
    }
}

impl Line {
    fn find(uk: &Uk, name: &str) -> Option<Self> {
        let memory = uk.shared(name)?;
        let peer = uk.channel(memory.others().next()?)?;
        let side = if peer.peer() > uk.domid() { Side::First } else { Side::Second };
        Some(Self { asker: Asker::new(memory.words(), side, uk.info().incarnation)?, peer })
    }

    /// Asks for one thing, again if the disks' unikernel dies over it.
    async fn ask(&mut self, request: Request, data: &[u8]) -> Result<(Answer, Vec<u8>), Problem> {
        let late = |why: &str| {
            Problem::new(Status::Unavailable, format!("the disks' unikernel does not answer: {why}"))
        };
        self.asker.ask(request, data).map_err(|error| late(&error.to_string()))?;
        self.peer.notify();
        let until = Instant::now() + PATIENCE;
        loop {
            match self.asker.hear() {
                Heard::Answer(Answer::Refused(refusal), _) => return Err(problem(&refusal)),
                Heard::Answer(answer, data) => return Ok((answer, data)),
                Heard::AskedAgain => self.peer.notify(),
                Heard::GivenUp => return Err(late("it has died over this again and again")),
                Heard::Nothing => {
                    with_deadline(until, self.peer.wait()).await.map_err(|_| late("it takes too long"))?;
                }
            }
        }
    }
}

fn shown(volume: Description) -> types::Volume {
    let Description { name, label, bytes, sector_bytes, read_only, users, exclusive } = volume;
    let state = match exclusive {
        _ if users.contains(&User::Operator) => "written",
        true => "exclusive",
        false if users.is_empty() => "free",
        false => "shared",
    };
    let user = |user| match user {
        User::Guest { domid, device } => Some(types::VolumeUser { domid, id: device }),
        User::Operator => None,
    };
    let users = users.into_iter().filter_map(user).collect();
    types::Volume { name, label, bytes, sector_bytes, read_only, state: state.into(), users }
}

fn problem(refusal: &Refusal) -> Problem {
    let status = match refusal {
        Refusal::NoVolume { .. } => Status::NotFound,
        Refusal::InUse { .. } | Refusal::ReadOnly | Refusal::Failed { .. } => Status::Conflict,
        Refusal::Outside { .. } | Refusal::Uneven { .. } => Status::BadRequest,
    };
    Problem::new(status, refusal.to_string())
}

/// Somebody has answered something else than what was asked.
fn strange() -> Problem {
    Problem::new(Status::Unavailable, "the disks' unikernel has no answer to that")
}
