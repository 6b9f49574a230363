//! Our XenStore daemon held against Xen's own two: the same requests to each of them must have the same answers and the same events,
//! but for what is listed and explained in `docs/src/xenstore-differences.md`.
//!
//! A sequence of steps is made from a seed ([`generate`]), performed by a daemon with three sockets and three guests
//! ([`world`]), and what everybody hears is compared step by step ([`differential`]). A difference that is not in the table
//! ([`differences`]) is told with its seed and the fewest steps that show it.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use peers::Program;

pub mod differences;
pub mod differential;
pub mod generate;
pub mod step;
pub mod world;

/// The target directory, where Debian's packages are unpacked: what `RVMM_TARGET` names, or the checkout's.
pub fn target() -> PathBuf {
    env::var_os("RVMM_TARGET")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from)
}

/// Our daemon, which cargo builds beside this program.
///
/// # Panics
/// When it is not there.
pub fn our_daemon(arguments: Vec<OsString>) -> Program {
    let here = env::current_exe().unwrap_or_else(|error| panic!("where is this program? {error}"));
    let daemon = here.ancestors().nth(2).map(|folder| folder.join("xenstored")).unwrap_or_default();
    assert!(daemon.exists(), "{} is not there: `cargo build --package xenstored` makes it", daemon.display());
    Program::Ours(daemon, arguments)
}
