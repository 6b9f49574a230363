//! Cargo, called in the three ways that the parts of R-VMM need: for this machine, for Xen, and to boot whole systems.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use crate::workspace::{Crate, Workspace};

/// The only target: Xen runs ordinary x86-64 code, and this one comes with every toolchain.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// How a unikernel is compiled and linked.
const UK_FLAGS: [&str; 8] = [
    // It is loaded where it was linked for, so nothing has to be relocated at run time.
    "-Crelocation-model=static",
    // Backtraces walk the frame pointers: there are no unwind tables in the image.
    "-Cforce-frame-pointers=yes",
    // No C library, and no start files: the entry point is the library OS's.
    "-Clink-arg=-nostartfiles",
    "-Clink-arg=-nostdlib",
    "-Clink-arg=-static",
    "-Clink-arg=-no-pie",
    // Xen reads the notes of the image, and a build id among them is of no use to it.
    "-Clink-arg=-Wl,--build-id=none",
    // Segments get permissions of their own, page by page, and pages have 4 KiB.
    "-Clink-arg=-Wl,-z,max-page-size=4096",
];

/// Tells the tests, the demo and the benchmarks where images, hypervisors and Debian's programs are.
pub(crate) const TARGET_VARIABLE: &str = "RVMM_TARGET";

/// The cargo that runs this program.
fn program() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// `cargo VERB` for this machine.
pub(crate) fn host(workspace: &Workspace, verb: &str) -> Command {
    let mut command = Command::new(program());
    command.current_dir(workspace.root()).args([verb, "--locked"]);
    command
}

/// `cargo VERB` for Xen. A target is named so that build scripts and procedural macros are spared the flags.
pub(crate) fn unikernel(workspace: &Workspace, verb: &str) -> Command {
    let mut command = host(workspace, verb);
    command
        .args(["--profile", "uk", "--target", TARGET])
        .env("CARGO_TARGET_DIR", workspace.uk_target())
        .env("CARGO_ENCODED_RUSTFLAGS", UK_FLAGS.join("\x1f"));
    command
}

/// `cargo VERB` for a crate that boots whole systems.
pub(crate) fn system(workspace: &Workspace, verb: &str, package: &str) -> Command {
    let mut command = host(workspace, verb);
    command.args(["--package", package]).env(TARGET_VARIABLE, workspace.target());
    command
}

/// `cargo fmt` for every crate.
pub(crate) fn format(workspace: &Workspace) -> Command {
    let mut command = Command::new(program());
    command.current_dir(workspace.root()).args(["fmt", "--all"]);
    command
}

/// Downloads the sources of every dependency.
pub(crate) fn fetch(workspace: &Workspace) -> Command {
    host(workspace, "fetch")
}

/// The arguments that select `crates`.
pub(crate) fn packages(crates: &[Crate]) -> impl Iterator<Item = &str> {
    crates.iter().flat_map(|one| ["--package", one.name.as_str()])
}

/// Where [`unikernel`]'s `build` leaves the program `name`.
pub(crate) fn unikernel_output(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.uk_target().join(TARGET).join("uk").join(name)
}
