//! Builds, checks, boots and measures R-VMM: what `./x` runs.

mod cargo;
mod elf;
mod error;
mod fuzz;
mod guests;
mod image;
mod packages;
mod process;
mod programs;
mod ramdisk;
mod root_disk;
mod rules;
mod stages;
mod vanilla;
mod workspace;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use emulator::artifacts::XenVersion;
use strum::VariantArray;

use error::Error;
use fuzz::FuzzOptions;
use packages::{Piece, Shelf};
use programs::{DemoOptions, RunOptions};
use stages::Stage;
use workspace::Workspace;

/// R-VMM: a Xen host that no failing management service can take down.
#[derive(Debug, Parser)]
#[command(name = "x", bin_name = "./x", max_term_width = 110)]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Boot a host, break everything in it, and watch it being repaired
    Demo(DemoOptions),
    /// Check everything: style, rules, documentation, unit tests, hosts in QEMU
    Test {
        /// The stages to run; all of them if none is named
        #[arg(value_enum)]
        stages: Vec<Stage>,
        /// Arguments for the test programs, such as a part of a test's name
        #[arg(last = true)]
        extra: Vec<String>,
    },
    /// Measure: print a table for people and write JSON for machines
    Bench {
        /// The benchmark
        name: String,
        /// Where the figures go
        #[arg(long)]
        json: Option<PathBuf>,
        /// Arguments for the benchmark
        #[arg(last = true)]
        extra: Vec<String>,
    },
    /// Feed what reads bytes from elsewhere with whatever may break it
    Fuzz(FuzzOptions),
    /// Boot a host with its console on this terminal
    Run(RunOptions),
    /// Build the unikernels and the boot archive
    Build,
    /// Make the guests to test with: stock kernels, each with a ramdisk
    Guests,
    /// Make the host that ours is held against: a Linux dom0 with Xen's own toolstack
    Vanilla,
    /// Download everything that is ever needed, to work without a network afterwards
    Fetch,
    /// Format every crate
    Fmt,
    /// Check style, rules and documentation
    Lint,
    /// Build the documentation of every crate
    Doc,
    /// Remove everything that was built or downloaded
    Clean,
}

fn main() -> ExitCode {
    match perform(Options::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("x: {}", error.story());
            ExitCode::FAILURE
        }
    }
}

fn perform(task: Task) -> Result<(), Error> {
    let workspace = Workspace::here();
    match task {
        Task::Demo(options) => programs::demo(&workspace, &options),
        Task::Test { stages, extra } if stages.is_empty() => {
            stages::run(&workspace, Stage::value_variants(), &extra)
        }
        Task::Test { stages, extra } => stages::run(&workspace, &stages, &extra),
        Task::Bench { name, json, extra } => programs::bench(&workspace, &name, json.as_deref(), &extra),
        Task::Fuzz(options) => fuzz::fuzz(&workspace, &options),
        Task::Run(options) => programs::run(&workspace, &options),
        Task::Build => Ok(programs::build(&workspace).map(drop)?),
        Task::Guests => {
            root_disk::build(&workspace)?;
            for guest in guests::build_all(&workspace)? {
                println!("{}\n{}", guest.kernel.display(), guest.initrd.display());
            }
            Ok(())
        }
        Task::Vanilla => {
            let files = vanilla::build(&workspace)?;
            println!("{}\n{}", files.kernel.display(), files.initrd.display());
            Ok(())
        }
        Task::Fetch => fetch(&workspace),
        Task::Fmt => stages::format(&workspace, &[]),
        Task::Lint => stages::run(&workspace, &Stage::LINT, &[]),
        Task::Doc => stages::run(&workspace, &[Stage::Documentation], &[]),
        Task::Clean => clean(&workspace),
    }
}

fn fetch(workspace: &Workspace) -> Result<(), Error> {
    packages::ensure(&packages::QEMU)?;
    for &xen in XenVersion::VARIANTS {
        let shelf = Shelf::new(&workspace.debian(), xen);
        for &piece in Piece::of(xen) {
            let folder = shelf.piece(piece)?;
            println!("{}", folder.display());
        }
    }
    Ok(process::run(&mut cargo::fetch(workspace))?)
}

fn clean(workspace: &Workspace) -> Result<(), Error> {
    let target = workspace.target();
    match fs::remove_dir_all(&target) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::File { path: target, source }),
        _ => Ok(()),
    }
}
