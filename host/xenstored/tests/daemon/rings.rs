//! Domains, played by this test through files: see `xenstored::domains`.

use std::path::Path;
use std::time::Duration;

use peers::{Ring, State, Xen};
use tempfile::TempDir;
use xenstore_client::Client;

use crate::harness::{Daemon, PATIENCE, wait_until};
