//! The fuzzer: programs of the folder `fuzz`, each with libFuzzer and with counters compiled into every crate.
//!
//! cargo-fuzz does the same, but needs an unstable compiler for its sanitizers. What it looks for in C, safe Rust has not:
//! here a panic is what is to be found, and a stable compiler can count which code a case has reached.

use std::fs;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::error::Error;
use crate::packages;
use crate::workspace::Workspace;
use crate::{cargo, process};

/// What to fuzz.
#[derive(Debug, Args)]
pub(crate) struct FuzzOptions {
    /// The programs to run, one after the other; all of them if none is named
    targets: Vec<String>,
    /// How long each runs
    #[arg(long, default_value = "60")]
    seconds: NonZeroU64,
}

/// Runs each program for the same time, from the cases that earlier runs have collected. One that fails leaves the case.
pub(crate) fn fuzz(workspace: &Workspace, options: &FuzzOptions) -> Result<(), Error> {
    packages::ensure(&packages::CPP)?;
    let all = targets(&workspace.fuzz())?;
    if let Some(unknown) = options.targets.iter().find(|name| !all.contains(name)) {
        return Err(Error::NoSuchTarget { name: unknown.clone(), known: all.join(", ") });
    }
    let chosen = if options.targets.is_empty() { &all } else { &options.targets };
    process::run(&mut cargo::fuzz_build(workspace))?;
    for name in chosen {
        let cases = workspace.target().join("fuzz").join(name);
        let found = cases.join("found");
        for folder in [&cases.join("corpus"), &found] {
            fs::create_dir_all(folder).map_err(|source| Error::File { path: folder.clone(), source })?;
        }
        eprintln!("x: fuzzing {name} for {} s; what fails is left in {}", options.seconds, found.display());
        process::run(&mut cargo::fuzz_run(workspace, name, &cases, options.seconds.get()))?;
    }
    Ok(())
}

/// The programs there are: one for each file in `targets`.
fn targets(folder: &Path) -> Result<Vec<String>, Error> {
    let folder: PathBuf = folder.join("targets");
    let fail = |source| Error::File { path: folder.clone(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(fail)? {
        let path = entry.map_err(fail)?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}
