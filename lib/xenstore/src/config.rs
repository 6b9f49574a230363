//! What an engine is told when it is made.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use xen_abi::Domid;

use crate::quota::Quotas;

/// Whose behaviour to show where versions of the C daemon differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// 4.17: special events are not nodes (GET_PERMS refuses them), and paths are limited for everybody.
    #[default]
    Xen4_17,
    /// 4.20: the permissions of special events can be read, and paths are limited for the unprivileged.
    Xen4_20,
    /// 4.22: watches may have a depth.
    Xen4_22,
}

/// Which domains there are: what a host answers when a request names one that the engine does not know. No event tells
/// that a domain has come into being, so it can only be asked at that moment.
pub trait Census: fmt::Debug + Send + Sync {
    /// Whether the domain exists, dying ones included.
    fn exists(&self, domid: Domid) -> bool;

    /// Whether the domain's ring can be served.
    fn has_ring(&self, domid: Domid) -> bool;
}

/// How the engine knows whether a domain exists that nobody has introduced yet: SET_PERMS may name it.
#[derive(Clone, Debug, Default)]
pub enum Existence {
    /// Every number that a domain can have is taken to exist, with a ring.
    #[default]
    Assumed,
    /// The host is asked.
    Asked(Arc<dyn Census>),
}

/// Commands of CONTROL that concern the process which the engine is part of.
pub trait Commands: fmt::Debug + Send + Sync {
    /// Carries a command out, and answers what its client is told; none if there is no such command. `open` is how many
    /// transactions there are.
    fn command(&self, arguments: &[&[u8]], open: usize) -> Option<String>;

    /// A line for each command as CONTROL's `help` has them: the name, a tab, the arguments, a newline.
    fn help(&self) -> &str;
}

/// What an engine is told when it is made.
#[derive(Clone, Debug)]
pub struct Config {
    /// What unprivileged domains may use.
    pub quotas: Quotas,
    /// Seeds all hashes and digests. Replicas must have the same; clients must not know it.
    pub seed: u64,
    /// Whose behaviour to show.
    pub version: Version,
    /// Domains besides dom0 that may do everything.
    pub privileged: Vec<Domid>,
    /// How to know which domains exist.
    pub existence: Existence,
    /// The host's own commands.
    pub commands: Option<Arc<dyn Commands>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            quotas: Quotas::default(),
            seed: 0x7838_656e_7374_6f72,
            version: Version::default(),
            privileged: Vec::new(),
            existence: Existence::default(),
            commands: None,
        }
    }
}
