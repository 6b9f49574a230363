//! A network namespace of this machine with a tap in it: the other end of an emulated card's cable is Linux's own network then.
//!
//! It takes root's rights and `/dev/net/tun`, which not every machine gives; `ip` does the work.

use std::ffi::OsStr;
use std::io;
use std::net::Ipv4Addr;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};

use thiserror::Error;

/// The program that makes namespaces and taps.
const IP: &str = "ip";

/// The tap, as it is called in its namespace.
pub(crate) const TAP: &str = "tap0";

/// Why there is no namespace.
#[derive(Debug, Error)]
pub enum NamespaceError {
    /// `ip` cannot be run.
    #[error("cannot run {IP}: {0}")]
    NoProgram(#[from] io::Error),
    /// `ip` was refused something.
    #[error("`{IP} {command}` was refused: {said}")]
    Refused {
        /// What it was asked for.
        command: String,
        /// What it said.
        said: String,
    },
}

/// A namespace with a tap, which goes when this is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A namespace whose end of the cable has this address, with so long a prefix.
    ///
    /// # Errors
    /// When this machine does not let us make one.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Result<Self, NamespaceError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rvmm-{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&format!("netns add {name}"))?;
        // From here on it is removed whatever happens.
        let namespace = Namespace { name };
        for command in [
            "link set lo up".to_owned(),
            format!("tuntap add {TAP} mode tap vnet_hdr"),
            format!("address add {address}/{prefix} dev {TAP}"),
            format!("link set {TAP} up"),
        ] {
            ip(&format!("-n {} {command}", namespace.name))?;
        }
        Ok(namespace)
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `program`, to be run in it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(IP);
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // If it fails, the namespace stays until the machine is switched off, and nothing else follows.
        let _ = ip(&format!("netns delete {}", self.name));
    }
}

fn ip(command: &str) -> Result<(), NamespaceError> {
    let done = Command::new(IP).args(command.split(' ')).output()?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr).trim().to_owned();
    Err(NamespaceError::Refused { command: command.to_owned(), said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_is_told_with_the_reason() {
        // Nobody has a namespace of this name; and where there is no `ip`, that is what is said.
        match ip("-n rvmm-nobody link show") {
            Err(NamespaceError::Refused { command, said }) => {
                assert_eq!(command, "-n rvmm-nobody link show");
                assert!(said.contains("rvmm-nobody"), "{said}");
            }
            Err(NamespaceError::NoProgram(error)) => assert_eq!(error.kind(), io::ErrorKind::NotFound),
            Ok(()) => panic!("there is such a namespace"),
        }
    }
}
