//! XenStore daemons side by side on plain Linux: Xen's two, from Debian's packages, and ours. Each has a folder of its own, a machine
//! of its own that consists of files ([`Xen`]), and ends with the value that stands for it.
//!
//! Xen's daemons run unmodified. A library that is loaded before Xen's own (`xen_of_files.c`) answers what they ask the
//! hypervisor for, so that a test can create domains, introduce them, speak for them through their rings, and let them die.
//!
//! ```no_run
//! use std::path::Path;
//! use peers::{Daemon, Options, Program};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut daemon = Daemon::start(Path::new("target"), Program::C, Options::default())?;
//! let mut dom0 = daemon.connect()?;
//! daemon.xen().create_domain(5)?;
//! let mut guest = xenstore_client::Client::new(daemon.xen().ring(5, 17)?);
//! dom0.introduce(5, 0, 17)?;
//! assert_eq!(guest.domain_path(5)?, "/local/domain/5");
//! # Ok(())
//! # }
//! ```

mod daemon;
mod debian;
mod ring;
mod xen;

pub use daemon::{Daemon, DaemonError, Options, Program};
pub use debian::{Debian, NotFetched};
pub use ring::Ring;
pub use xen::{State, Xen};
