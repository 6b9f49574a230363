//! What surrounds the daemon: the service manager, the pid file, whoever waits for it to be ready.

use sd_notify::NotifyState;
use tracing::{info, warn};

use crate::background;

/// What is to be said when the daemon serves.
#[derive(Debug)]
pub struct Ready {
    detached: bool,
}

impl Ready {
    /// `detached` says that another process waits to be told.
    pub fn new(detached: bool) -> Self {
        Self { detached }
    }

    /// Says it.
    pub fn say(self) {
        info!("ready");
        let pid = NotifyState::MainPid(std::process::id());
        if let Err(error) = sd_notify::notify(&[NotifyState::Ready, pid]) {
            warn!("the service manager cannot be told that the daemon is ready: {error}");
        }
        if self.detached
            && let Err(error) = background::ready()
        {
            warn!("who started the daemon cannot be told that it is ready: {error}");
        }
    }
}

/// Says that the daemon ends.
pub fn stopping() {
    // Nobody is there to be told that this failed.
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
}
