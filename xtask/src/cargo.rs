//! Cargo, called in the three ways that the parts of R-VMM need: for this machine, for Xen, and to boot whole systems.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workspace::{Crate, Workspace};

/// The only target: Xen runs ordinary x86-64 code, and this one comes with every toolchain.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The program that is dom0's kernel: Xen loads it, so it is a file of its own and not in the archive.
pub(crate) const ROOT: &str = "root";

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

/// How a fuzzed program is compiled.
const FUZZ_FLAGS: [&str; 7] = [
    // Counts how often each edge of the program is taken, and tells what is compared with what.
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    // Several units would each number their counters from the start.
    "-Ccodegen-units=1",
    "--cfg=fuzzing",
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

/// Builds a program for guests of the tests: linked statically, because their ramdisks hold few libraries.
pub(crate) fn guest_program(workspace: &Workspace, name: &str) -> Command {
    let mut command = host(workspace, "build");
    command
        .args(["--release", "--target", TARGET, "--package", name])
        .env("CARGO_TARGET_DIR", guest_target(workspace))
        .env("CARGO_ENCODED_RUSTFLAGS", "-Ctarget-feature=+crt-static");
    command
}

/// Where that leaves the program.
pub(crate) fn guest_program_output(workspace: &Workspace, name: &str) -> PathBuf {
    guest_target(workspace).join(TARGET).join("release").join(name)
}

fn guest_target(workspace: &Workspace) -> PathBuf {
    workspace.target().join("guest-programs")
}

/// `cargo VERB` for a crate that boots whole systems.
pub(crate) fn system(workspace: &Workspace, verb: &str, package: &str) -> Command {
    let mut command = host(workspace, verb);
    command.args(["--package", package]).env(TARGET_VARIABLE, workspace.target());
    command
}

/// Builds the fuzzed programs, for a named target for the same reason.
pub(crate) fn fuzz_build(workspace: &Workspace) -> Command {
    let mut command = Command::new(program());
    command
        .current_dir(workspace.fuzz())
        .args(["build", "--locked", "--release", "--target", TARGET])
        .env("CARGO_TARGET_DIR", fuzz_target(workspace))
        .env("CARGO_ENCODED_RUSTFLAGS", FUZZ_FLAGS.join("\x1f"));
    command
}

/// Runs a fuzzed program for so many seconds, with `cases` as the folder for what it collects.
pub(crate) fn fuzz_run(workspace: &Workspace, name: &str, cases: &Path, seconds: u64) -> Command {
    let mut command = Command::new(fuzz_target(workspace).join(TARGET).join("release").join(name));
    command
        .current_dir(cases)
        .args(["corpus", "-artifact_prefix=found/", "-timeout=10", "-print_final_stats=1"])
        .arg(format!("-max_total_time={seconds}"));
    command
}

fn fuzz_target(workspace: &Workspace) -> PathBuf {
    workspace.target().join("fuzz").join("build")
}

/// `cargo fmt` for every crate: the workspace's, and that of the fuzzed programs.
pub(crate) fn format(workspace: &Workspace) -> [Command; 2] {
    [workspace.root().to_path_buf(), workspace.fuzz()].map(|folder| {
        let mut command = Command::new(program());
        command.current_dir(folder).args(["fmt", "--all"]);
        command
    })
}

/// Downloads the sources of every dependency.
pub(crate) fn fetch(workspace: &Workspace) -> Command {
    host(workspace, "fetch")
}

/// The arguments that select `crates`.
pub(crate) fn packages(crates: &[Crate]) -> impl Iterator<Item = &str> {
    crates.iter().flat_map(|one| ["--package", one.name.as_str()])
}

/// Crates for Xen, in the groups that [`unikernel`] is to be called for one by one: root, and the others. In one call root would get
/// what the others want of the crates that they share, and one of them wants a heap: root has none, and does not link with it.
pub(crate) fn apart(crates: &[Crate]) -> [Vec<Crate>; 2] {
    let (root, others) = crates.iter().cloned().partition(|one| one.name == ROOT);
    [root, others]
}

/// Where [`unikernel`]'s `build` leaves the program `name`.
pub(crate) fn unikernel_output(workspace: &Workspace, name: &str) -> PathBuf {
    workspace.uk_target().join(TARGET).join("uk").join(name)
}
