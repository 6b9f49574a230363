//! A file to a volume, however often the connection breaks or the host's parts are revived meanwhile.
//!
//! The host keeps nothing about an upload, so nothing about it can be lost. Range after range is compared by its checksum; what differs
//! is sent, and compared again. Whoever begins anew, after whatever has happened, sends what is not there yet.

use crate::client::{Client, ClientError, part};
use api::limits::{MAX_CONTENT, MAX_DIGEST};
use api::types::{Digest, Done, Volume, Volumes};
use api::{Checksum, Status};
use serde::Serialize;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long nothing may get on before it is given up. Any repair of the host takes less.
const PATIENCE: Duration = Duration::from_secs(60);

/// From one try to the next, where the host could be spoken to and could not do it.
const PAUSE: Duration = Duration::from_millis(500);

/// How often a range is sent that is not there afterwards.
const ROUNDS: usize = 3;

/// Why a file is not on a volume.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The file cannot be read.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The file does not fit.
    #[error("{path} has {bytes} bytes, and {volume} only {room}")]
    TooLarge {
        /// Which file.
        path: PathBuf,
        /// How many.
        bytes: u64,
        /// Which volume.
        volume: String,
        /// How many that has.
        room: u64,
    },
    /// There is nothing in it.
    #[error("{path} is empty")]
    Empty {
        /// Which file.
        path: PathBuf,
    },
    /// No volume has that name.
    #[error("there is no volume {0}; rvmm volume list shows those that there are")]
    NoVolume(String),
    /// What was written is not what is read.
    #[error("{volume} does not keep what is written from byte {from} on: it was sent {ROUNDS} times")]
    NotKept {
        /// Which volume.
        volume: String,
        /// Where.
        from: u64,
    },
    /// The host says no, or cannot be spoken to.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// A file that is on a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Uploaded {
    /// The volume.
    pub volume: String,
    /// Bytes of it that are the file's. Whole sectors: zeros stand behind the file's end.
    pub bytes: u64,
    /// How many of them were sent; the others were there already.
    pub sent: u64,
}

/// All volumes of a host.
///
/// # Errors
/// [`ClientError`].
pub fn volumes(client: &mut Client) -> Result<Volumes, ClientError> {
    let mut all = Vec::new();
    let mut from = Some(0);
    while let Some(place) = from {
        let Volumes { volumes, next } = client.get(&format!("/v1/volumes?from={place}"))?;
        all.extend(volumes);
        from = next;
    }
    Ok(Volumes { volumes: all, next: None })
}

/// Has the volume called `name` begin with what is in the file at `path`. `progress` hears how many bytes of how many are known to be
/// there.
///
/// # Errors
/// [`UploadError`].
pub fn upload(
    client: &mut Client,
    path: &Path,
    name: &str,
    mut progress: impl FnMut(u64, u64),
) -> Result<Uploaded, UploadError> {
    let unreadable = |error| UploadError::File { path: path.to_owned(), error };
    let file = File::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let volume = find(client, name)?;
    if length > volume.bytes {
        let (path, volume, room) = (path.to_owned(), volume.name, volume.bytes);
        return Err(UploadError::TooLarge { path, bytes: length, volume, room });
    }
    if length == 0 {
        return Err(UploadError::Empty { path: path.to_owned() });
    }
    let bytes = length.next_multiple_of(u64::from(volume.sector_bytes)).min(volume.bytes);
    let mut sent = 0;
    progress(0, bytes);
    for from in (0..bytes).step_by(MAX_DIGEST as usize) {
        let mut range = vec![0; (bytes - from).min(MAX_DIGEST) as usize];
        let of_file = (length - from).min(range.len() as u64) as usize;
        file.read_exact_at(&mut range[..of_file], from).map_err(unreadable)?;
        sent += bring(client, &volume, from, &range, |there| progress(from + there, bytes))?;
        progress(from + range.len() as u64, bytes);
    }
    let finish = format!("/v1/volumes/{}/finish", part(&volume.name));
    insist(|| client.post::<Done>(&finish, &[]))?;
    Ok(Uploaded { volume: volume.name, bytes, sent })
}

/// The volume of this name, or with a partition of this name.
fn find(client: &mut Client, name: &str) -> Result<Volume, UploadError> {
    let all = volumes(client)?.volumes;
    let label = name.strip_prefix("partlabel=").unwrap_or(name);
    let mut fitting = all.iter().filter(|volume| volume.label == label && !label.is_empty());
    let by_label = fitting.next().filter(|_| fitting.next().is_none());
    let found = all.iter().find(|volume| volume.name == name).or(by_label);
    found.cloned().ok_or_else(|| UploadError::NoVolume(name.into()))
}

/// Has a range of a volume be `content`. Answers how many bytes were sent for that.
fn bring(
    client: &mut Client,
    volume: &Volume,
    from: u64,
    content: &[u8],
    mut progress: impl FnMut(u64),
) -> Result<u64, UploadError> {
    let expected = Checksum::of(content);
    let name = part(&volume.name);
    let digest = format!("/v1/volumes/{name}/digest?from={from}&bytes={}", content.len());
    let mut sent = 0;
    for _ in 0..=ROUNDS {
        if insist(|| client.get::<Digest>(&digest))?.sha256 == expected {
            return Ok(sent);
        }
        for (place, chunk) in (0..).step_by(MAX_CONTENT).zip(content.chunks(MAX_CONTENT)) {
            let sha256 = Checksum::of(chunk);
            let put = format!("/v1/volumes/{name}/content?from={}&sha256={sha256}", from + place);
            insist(|| client.put::<Done>(&put, chunk))?;
            sent += chunk.len() as u64;
            progress(place + chunk.len() as u64);
        }
    }
    Err(UploadError::NotKept { volume: volume.name.clone(), from })
}

/// Tries something again and again that may be asked for more than once, as long as the host may be being repaired.
fn insist<T>(mut ask: impl FnMut() -> Result<T, ClientError>) -> Result<T, ClientError> {
    let until = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Err(error) if is_passing(&error) && Instant::now() < until => sleep(PAUSE),
            asked => return asked,
        }
    }
}

fn is_passing(error: &ClientError) -> bool {
    match error {
        ClientError::Connection { .. } | ClientError::Unsure { .. } => true,
        ClientError::Refused(problem) => problem.status() == Status::Unavailable,
        ClientError::Stranger(_) | ClientError::Strange(_) => false,
    }
}
