//! The command line: what init scripts and units pass to the C daemon, of Xen 4.17 to 4.20, and what is ours.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Parser, ValueEnum};

/// XenStore, the database by which Xen's tools and domains find each other.
///
/// It takes the place of the C daemon: same socket, same protocol, same options. Other than that daemon it keeps its
/// store across a restart, an upgrade and a crash; and with --replicas it answers on while any one of its processes
/// is killed.
#[derive(Clone, Debug, Parser)]
#[command(name = "xenstored", version, disable_version_flag = true, disable_help_flag = true)]
#[command(args_override_self = true)]
pub struct Options {
    /// Print this message
    #[arg(short = 'H', short_alias = 'h', long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Print the version
    #[arg(long, action = ArgAction::Version)]
    version: Option<bool>,

    /// Stay in the foreground
    #[arg(short = 'N', long)]
    pub no_fork: bool,
    /// Write the daemon's process id to FILE, and do nothing if a daemon that has it is running
    #[arg(short = 'F', long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Print the daemon's process id
    #[arg(short = 'P', long)]
    pub output_pid: bool,
    /// Do not look for Xen: serve the socket alone
    #[arg(short = 'D', long)]
    pub no_domain_init: bool,

    /// Nodes that a domain may own
    #[arg(short = 'E', long, value_name = "NUMBER")]
    pub entry_nb: Option<u32>,
    /// Bytes that a node may have
    #[arg(short = 'S', long, value_name = "BYTES")]
    pub entry_size: Option<u32>,
    /// Watches that a domain may have
    #[arg(short = 'W', long, value_name = "NUMBER")]
    pub watch_nb: Option<u32>,
    /// Transactions that a domain may have open
    #[arg(short = 't', long, value_name = "NUMBER")]
    pub transaction: Option<u32>,
    /// Permissions that a node may have
    #[arg(short = 'A', long, value_name = "NUMBER")]
    pub perm_nb: Option<u32>,
    /// Bytes that a path may have, 2048 at most
    #[arg(short = 'M', long, value_name = "BYTES")]
    pub path_max: Option<u32>,
    /// Set a quota: transaction-nodes, memory, nodes, node-permissions, node-size, outstanding, path-length,
    /// transactions or watches
    #[arg(short = 'Q', long, value_name = "WHAT=NUMBER", value_parser = assignment)]
    pub quota: Vec<(String, u32)>,
    /// Set a quota that is only warned of: memory
    #[arg(short = 'q', long, value_name = "WHAT=NUMBER", value_parser = assignment)]
    pub quota_soft: Vec<(String, u32)>,
    /// Set a time limit: watch-event, how long a domain may leave a watch event unread
    #[arg(short = 'w', long, value_name = "WHAT=SECONDS", value_parser = assignment)]
    pub timeout: Vec<(String, u32)>,

    /// Log every request and answer to FILE, which SIGHUP opens anew and `xenstore-control log off` leaves alone
    #[arg(short = 'T', long, value_name = "FILE")]
    pub trace_file: Option<PathBuf>,
    /// Taken and without effect: what --trace-file logs is what there is
    #[arg(long, value_name = "+SWITCH|-SWITCH", allow_hyphen_values = true)]
    pub trace_control: Vec<String>,
    /// Log more
    #[arg(short = 'V', long)]
    pub verbose: bool,

    /// Taken and without effect: the nodes of a domain go with it
    #[arg(short = 'K', long)]
    pub keep_orphans: bool,
    /// Taken and without effect: the daemon serves from domain 0
    #[arg(short = 'm', long, value_name = "DOMID")]
    pub master_domid: Option<u16>,
    /// A domain besides domain 0 that may do everything
    #[arg(short = 'p', long, value_name = "DOMID")]
    pub priv_domid: Option<u16>,
    /// Taken and without effect: the daemon serves from domain 0
    #[arg(short = 'e', long, value_name = "PORT")]
    pub event: Option<u32>,
    /// Start with an empty store, whatever was kept
    #[arg(short = 'R', long)]
    pub no_recovery: bool,
    /// Taken and without effect: the store is always in memory
    #[arg(short = 'I', long, value_name = "on|off", num_args = 0..=1, require_equals = true)]
    pub internal_db: Option<Option<String>>,
    /// Go on where a daemon was in this process that has left its state and its open files for a live update; without such
    /// a state this is a start like any other
    #[arg(short = 'U', long)]
    pub live_update: bool,

    /// Run as this many replicas under a supervisor, so that none is missed when it dies; 1 is a single process
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=5))]
    pub replicas: u8,
    /// How long a replica may be silent before it is taken to hang, and is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    pub patience: u16,
    /// Where the store is kept; on a tmpfs it costs memory and no wear [default: state in the run directory]
    #[arg(long, value_name = "DIRECTORY")]
    pub state: Option<PathBuf>,
    /// MiB that each copy of the store may take there
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub state_size: u32,
    /// For tests: instead of Xen, find domains in DIRECTORY, their ring pages as files and events in FIFOs
    #[arg(long, value_name = "DIRECTORY", conflicts_with = "no_domain_init")]
    pub xen_of_files: Option<PathBuf>,
    /// Where the log goes
    #[arg(long, value_name = "WHERE", value_enum, default_value_t = LogTo::Auto)]
    pub log: LogTo,

    /// This process was put into the background by another
    #[arg(long, hide = true)]
    pub detached: bool,
    /// This process is a replica, with its supervisor on its standard input
    #[arg(long, hide = true)]
    pub replica: Option<u8>,
}

/// Where the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogTo {
    /// The journal if standard error is the journal's or the daemon is in the background; else standard error.
    Auto,
    /// The journal, in its own format.
    Journal,
    /// Standard error.
    Stderr,
}

/// What of an option's value is wrong.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionError {
    /// No `=` with a number behind it.
    #[error("expected WHAT=NUMBER, found {0:?}")]
    NoAssignment(String),
    /// A name that is none of those that the option knows.
    #[error("--{option} knows {known}, found {found:?}")]
    UnknownName {
        /// The option.
        option: &'static str,
        /// The names that it knows.
        known: &'static str,
        /// The name that was given.
        found: String,
    },
}

fn assignment(text: &str) -> Result<(String, u32), OptionError> {
    let parts = text.split_once('=').and_then(|(name, number)| Some((name, number.parse().ok()?)));
    let (name, number) = parts.ok_or_else(|| OptionError::NoAssignment(text.to_owned()))?;
    Ok((name.to_owned(), number))
}

/// How long a domain may leave a watch event unread, unless the command line says otherwise: the C daemon's default.
const WATCH_EVENT_TIMEOUT: Duration = Duration::from_secs(20);

impl Options {
    /// The time after which a domain that does not read its watch events is given up; none for never.
    ///
    /// # Errors
    /// A time limit that does not exist.
    pub fn watch_event_timeout(&self) -> Result<Option<Duration>, OptionError> {
        let mut limit = WATCH_EVENT_TIMEOUT;
        for (name, seconds) in &self.timeout {
            if name != "watch-event" {
                let found = name.clone();
                return Err(OptionError::UnknownName { option: "timeout", known: "watch-event", found });
            }
            limit = Duration::from_secs((*seconds).into());
        }
        Ok((!limit.is_zero()).then_some(limit))
    }
}

/// This program, even after another version was installed over it: the parts of one daemon are of one version.
pub const OWN_PROGRAM: &str = "/proc/self/exe";

/// The arguments for the same daemon once more: as this process got them, and `added`.
pub fn own_arguments(added: &[&str]) -> impl Iterator<Item = OsString> {
    let added: Vec<OsString> = added.iter().map(OsString::from).collect();
    std::env::args_os().skip(1).chain(added)
}
