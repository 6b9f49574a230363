//! What guests of the tests do to their disks. It runs in a stock guest whose ramdisk holds little else, so it is linked statically.
//!
//! What it has to say it says on the console, in lines that begin with `guest: `.

mod measure;
mod safe;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write blocks at random places, read them again and compare, until told to stop or for ever
    Verify(verify::Options),
    /// Write numbered blocks one after the other, and say which are safe
    Safe {
        /// The disk
        disk: PathBuf,
    },
    /// Measure reads and writes
    Measure(measure::Options),
}

fn main() -> ExitCode {
    let done = match Options::parse().task {
        Task::Verify(options) => verify::run(&options),
        Task::Safe { disk } => safe::run(&disk),
        Task::Measure(options) => measure::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("guest: io failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}
