//! What `test` and `lint` do, one stage after the other; the first that fails ends the run.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use emulator::artifacts::XenVersion;
use strum::VariantArray;

use crate::error::Error;
use crate::packages::{self, Piece, Shelf};
use crate::workspace::{self, Workspace};
use crate::{cargo, guests, process, programs, rules};

/// One step of checking R-VMM, in the order of a full run: cheap and telling ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Stage {
    /// Get what is missing: QEMU, and Debian's packages.
    Fetch,
    /// The formatting of every crate.
    Format,
    /// Where `unsafe` stands, each crate's lints, the length of files.
    Rules,
    /// Clippy, for this machine and for Xen.
    Clippy,
    /// The documentation, without a warning.
    Documentation,
    /// Unit, property and model tests of what runs on this machine, and the headers of each Xen against `xen-abi`.
    Unit,
    /// Our XenStore daemon beside Xen's own: their tools and tests, and the same random requests to each.
    Xenstore,
    /// Hosts booted in QEMU.
    System,
}

impl Stage {
    /// What `lint` runs.
    pub(crate) const LINT: [Stage; 4] = [Stage::Format, Stage::Rules, Stage::Clippy, Stage::Documentation];

    fn run(self, workspace: &Workspace, extra: &[String]) -> Result<(), Error> {
        match self {
            Stage::Fetch => fetch(workspace),
            Stage::Format => format(workspace, &["--check"]),
            Stage::Rules => check_rules(workspace),
            Stage::Clippy => clippy(workspace),
            Stage::Documentation => documentation(workspace),
            Stage::Unit => unit(workspace, extra),
            Stage::Xenstore => against_xens_xenstore(workspace, extra),
            Stage::System => system(workspace, extra),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.to_possible_value();
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// Runs `stages`, with `extra` arguments for the test programs, and prints how long each took.
pub(crate) fn run(workspace: &Workspace, stages: &[Stage], extra: &[String]) -> Result<(), Error> {
    let mut times = Vec::new();
    for (index, &stage) in stages.iter().enumerate() {
        eprintln!("x: stage {} of {}: {stage}", index + 1, stages.len());
        let started = Instant::now();
        let result = stage.run(workspace, extra);
        times.push((stage, started.elapsed()));
        if let Err(source) = result {
            eprint!("{}", table(&times));
            return Err(Error::Stage { stage, source: Box::new(source) });
        }
    }
    eprint!("{}", table(&times));
    Ok(())
}

fn table(times: &[(Stage, Duration)]) -> String {
    let line =
        |name: &dyn fmt::Display, time: Duration| format!("x: {name:<14}{:>8.1} s\n", time.as_secs_f64());
    let total = times.iter().map(|(_, time)| *time).sum();
    times.iter().map(|(stage, time)| line(stage, *time)).collect::<String>() + &line(&"in all", total)
}

fn fetch(workspace: &Workspace) -> Result<(), Error> {
    packages::ensure(&packages::QEMU)?;
    for &xen in XenVersion::VARIANTS {
        let shelf = Shelf::new(&workspace.debian(), xen);
        shelf.hypervisor()?;
        shelf.piece(Piece::Headers)?;
    }
    guests::kernel_folders(workspace)?;
    programs::xenstore(workspace)?;
    Ok(())
}

/// Formats every crate, or with `--check` only tells what is not as it should be.
pub(crate) fn format(workspace: &Workspace, arguments: &[&str]) -> Result<(), Error> {
    for mut command in cargo::format(workspace) {
        process::run(command.args(arguments))?;
    }
    Ok(())
}

fn check_rules(workspace: &Workspace) -> Result<(), Error> {
    let violations = rules::check(workspace)?;
    for violation in &violations {
        eprintln!("{violation}");
    }
    if violations.is_empty() { Ok(()) } else { Err(Error::Rules { count: violations.len() }) }
}

fn clippy(workspace: &Workspace) -> Result<(), Error> {
    let host = workspace.crates_in(&[&workspace::HOST_FOLDERS[..], &workspace::SYSTEM_FOLDERS].concat())?;
    process::run(cargo::host(workspace, "clippy").args(cargo::packages(&host)).args([
        "--all-targets",
        "--all-features",
        "--",
        "--deny",
        "warnings",
    ]))?;
    for group in cargo::apart(&workspace.crates_in(&workspace::UK_FOLDERS)?) {
        let mut command = cargo::unikernel(workspace, "clippy");
        process::run(command.args(cargo::packages(&group)).args(["--", "--deny", "warnings"]))?;
    }
    Ok(())
}

/// Builds the documentation of every crate; a warning is an error.
fn documentation(workspace: &Workspace) -> Result<(), Error> {
    let host = workspace.crates_in(&[&workspace::HOST_FOLDERS[..], &workspace::SYSTEM_FOLDERS].concat())?;
    let uks = workspace.crates_in(&workspace::UK_FOLDERS)?;
    for (mut command, crates) in
        [(cargo::host(workspace, "doc"), host), (cargo::unikernel(workspace, "doc"), uks)]
    {
        let command = command.args(cargo::packages(&crates)).arg("--no-deps");
        process::run(command.env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    Ok(())
}

fn unit(workspace: &Workspace, extra: &[String]) -> Result<(), Error> {
    let crates = workspace.crates_in(&[&workspace::HOST_FOLDERS[..], &["bench"]].concat())?;
    let mut headers = Vec::new();
    for &xen in XenVersion::VARIANTS {
        headers.push(Shelf::new(&workspace.debian(), xen).piece(Piece::Headers)?.join("usr/include"));
    }
    programs::xenstore(workspace)?;
    let mut command = cargo::host(workspace, "test");
    command.env(cargo::TARGET_VARIABLE, workspace.target());
    command.args(cargo::packages(&crates)).args(["--all-features", "--"]).args(extra);
    let kernels = guests::kernel_folders(workspace)?;
    command.env("XEN_HEADERS", separated(&headers)).env("GUEST_KERNELS", separated(&kernels));
    Ok(process::run(&mut command)?)
}

/// Folders as in `PATH`.
fn separated(folders: &[PathBuf]) -> OsString {
    folders.iter().map(|folder| folder.as_os_str()).collect::<Vec<_>>().join(OsStr::new(":"))
}

fn against_xens_xenstore(workspace: &Workspace, extra: &[String]) -> Result<(), Error> {
    programs::xenstore(workspace)?;
    process::run(cargo::host(workspace, "build").args(["--package", "xenstored"]))?;
    let mut command = cargo::system(workspace, "test", "xenstore-tests");
    Ok(process::run(command.arg("--").args(extra))?)
}

fn system(workspace: &Workspace, extra: &[String]) -> Result<(), Error> {
    programs::prepare(workspace, XenVersion::VARIANTS)?;
    let mut command = cargo::system(workspace, "test", "rvmm-tests");
    Ok(process::run(command.arg("--").args(extra))?)
}
