//! The operator's command.

use anyhow::{Context, Result};
use clap::{CommandFactory, Parser};
use rvmm::access::Access;
use rvmm::cli::{Cli, Verb};
use rvmm::client::{Client, ClientError};
use rvmm::host::{self, State};
use rvmm::upload::UploadError;
use rvmm::verbs::{NoVerb, Operator, is_broken_pipe};
use std::fs;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match carry_out(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("rvmm: {error:#}");
            ExitCode::from(exit_code(&error))
        }
    }
}

/// What the manual says about exit codes.
fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<NoVerb>() {
        Some(NoVerb::NotYet(_)) => return 4,
        Some(NoVerb::Unknown(_)) => return 2,
        None => {}
    }
    let client = match error.downcast_ref::<UploadError>() {
        Some(UploadError::Client(error)) => Some(error),
        Some(_) | None => error.downcast_ref::<ClientError>(),
    };
    match client {
        Some(error) if error.is_access() => 3,
        Some(ClientError::Unsure { .. }) => 5,
        _ => 1,
    }
}

fn carry_out(cli: &Cli) -> Result<()> {
    let mut out = io::stdout().lock();
    match &cli.verb {
        Verb::Host(verb) => {
            drop(out);
            host::carry_out(verb, cli.json)
        }
        Verb::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "rvmm", &mut out);
            Ok(())
        }
        Verb::Man => Ok(clap_mangen::Man::new(Cli::command()).render(&mut out)?),
        verb => {
            let client = Client::new(access(cli)?);
            Operator { client, json: cli.json, out: &mut out }.carry_out(verb)?;
            Ok(out.flush()?)
        }
    }
}

fn access(cli: &Cli) -> Result<Access> {
    let path = match &cli.access {
        Some(path) => path.clone(),
        None => State::find()?.access(),
    };
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    text.parse().with_context(|| path.display().to_string())
}
