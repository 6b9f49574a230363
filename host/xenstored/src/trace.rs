//! The log of requests and answers (`--trace-file`): one line for each, as the C daemon has them.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::warn;
use xenstore::wire::{self, Decoded, Message};

use crate::account;

static ON: AtomicBool = AtomicBool::new(false);
static LOG: OnceLock<(PathBuf, Mutex<File>)> = OnceLock::new();

/// Begins to log to a file, behind what is there.
///
/// # Errors
/// What opening says.
pub fn start(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let file = Mutex::new(open(&path)?);
    LOG.get_or_init(|| (path, file));
    switch(true);
    Ok(())
}

/// Goes on or stops, if there is a file.
pub fn switch(on: bool) {
    ON.store(on && LOG.get().is_some(), Ordering::Relaxed);
}

/// Whether there is anything to be logged.
pub fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Opens the file anew: somebody has moved it away.
pub fn reopen() {
    let Some((path, file)) = LOG.get() else { return };
    match (open(path), file.lock()) {
        (Ok(new), Ok(mut file)) => *file = new,
        (Err(error), _) => warn!("{}: {error}; the old file is written on", path.display()),
        (_, Err(_)) => {}
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// The ear at one connection.
#[derive(Debug, Default)]
pub struct Tap {
    /// Up to where requests were logged.
    logged: Option<u32>,
    /// The beginning of an answer whose end was not sent yet.
    partial: Vec<u8>,
}

impl Tap {
    /// Bytes were looked at. A whole request is logged, once.
    pub fn seen(&mut self, position: u32, bytes: &[u8]) {
        let Decoded::Message(message) = wire::decode(bytes) else { return };
        let end = position.wrapping_add(message.size() as u32);
        if self.logged.is_none_or(|logged| end.wrapping_sub(logged).cast_signed() > 0) {
            self.logged = Some(end);
            log("IN", &message);
        }
    }

    /// Bytes were sent.
    pub fn sent(&mut self, bytes: &[u8]) {
        self.partial.extend_from_slice(bytes);
        let mut at = 0;
        while let Decoded::Message(message) = wire::decode(&self.partial[at..]) {
            at += message.size();
            log("OUT", &message);
        }
        self.partial.drain(..at);
    }
}

fn log(direction: &str, message: &Message<'_>) {
    let Some((_, file)) = LOG.get() else { return };
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let kind = message.kind().map_or("?".to_owned(), |kind| format!("{kind:?}"));
    let payload = message.payload.escape_ascii().to_string().replace("\\x00", " ");
    let (id, transaction) = (message.header.request, message.header.transaction);
    let line = format!(
        "{}.{:06} {direction} {kind} request={id} transaction={transaction} ({payload})\n",
        seconds.as_secs(),
        seconds.subsec_micros(),
    );
    if let Ok(mut file) = file.lock()
        && file.write_all(line.as_bytes()).is_ok()
    {
        account::wrote(line.len());
    }
}
