//! What whole-system tests stand on: they boot a host in QEMU, inject faults, and say what must follow.
//!
//! ```no_run
//! use emulator::condition::component;
//! use emulator::event::Rung;
//! use emulator::fault::Fault;
//! use rvmm_tests::{Host, Setup};
//!
//! let mut host = Host::boot("a-null-store", Setup::default());
//! host.inject("probe.0", Fault::NullStore);
//! host.wait_for(component("probe.0").is_repaired_by(Rung::MicroReboot));
//! ```

pub mod host;
pub mod seats;
pub mod setup;
pub mod system;
pub mod traffic;
pub mod trial;

pub use host::Host;
pub use setup::Setup;
