//! `xenstored`: XenStore as a daemon on Linux, in place of the C one.
//!
//! ```text
//!   socket, stream      clients' sockets and domains' rings, as streams whose counters outlive the process
//!   domains             Xen, or a Xen of files for tests
//!   state               the files that keep the store
//!   server              the event loop: streams and rings on one side, the engine on the other
//!   member              a replica process: follows the master until it is named master
//!   supervisor          several such processes, one of which may die at any moment
//!   update              live update, from and to another daemon
//!   trace               the log of requests and answers
//!   account             what a process has written, as itself and the kernel count it
//!   cli, config, paths, background, pid_file, signals, log, service      what every daemon has
//! ```
//!
//! What the protocol means is in the crate `xenstore`, how it survives in the crate `replica`; here is only Linux.

mod member;
mod run;

pub use run::run;

pub mod account;
pub mod background;
pub mod cli;
pub mod config;
pub mod domains;
pub mod log;
pub mod paths;
pub mod pid_file;
pub mod server;
pub mod service;
pub mod signals;
pub mod socket;
pub mod state;
pub mod stream;
pub mod supervisor;
pub mod trace;
pub mod update;
