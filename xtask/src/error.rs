//! What can go wrong in a command, and how it is told.

use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use crate::image::ImageError;
use crate::packages::{PackagesError, ToolError};
use crate::process::ProcessError;
use crate::ramdisk::RamdiskError;
use crate::stages::Stage;
use crate::workspace::WorkspaceError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A stage of `test` or `lint`.
    #[error("stage `{stage}` failed; `./x test {stage}` runs it alone")]
    Stage {
        /// Which one.
        stage: Stage,
        /// Why.
        source: Box<Error>,
    },
    /// Rules of the house are broken; each was printed.
    #[error("{count} broken rules, listed above")]
    Rules {
        /// How many.
        count: usize,
    },
    /// There is no such program to fuzz.
    #[error("there is nothing to fuzz called {name:?}; there are {known}")]
    NoSuchTarget {
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// A file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system answered.
        source: io::Error,
    },
    /// The emulated host did not start.
    #[error(transparent)]
    Emulator(#[from] emulator::qemu::SpawnError),
    /// The image could not be built.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// A ramdisk could not be made.
    #[error(transparent)]
    Ramdisk(#[from] RamdiskError),
    /// A package could not be had.
    #[error(transparent)]
    Packages(#[from] PackagesError),
    /// A program could not be had.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// A program failed.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The checkout cannot be read.
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
}

impl Error {
    /// The error and its causes, one a line.
    pub(crate) fn story(&self) -> String {
        let mut lines = vec![self.to_string()];
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors tell their cause themselves.
            if !lines.iter().any(|line| line.contains(&text)) {
                lines.push(text);
            }
            cause = error.source();
        }
        lines.join("\n   ")
    }
}
