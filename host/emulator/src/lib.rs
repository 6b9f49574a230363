//! An R-VMM host inside QEMU.
//!
//! [`MachineConfig`](machine::MachineConfig) says what the machine has, [`Host`](host::Host) boots it and speaks with root over
//! the serial console: commands go in ([`command`]), events come out ([`event`]), and tests wait for them in words ([`condition`]).

pub mod artifacts;
mod cable;
pub mod command;
pub mod condition;
pub mod console;
pub mod device;
pub mod event;
pub mod fault;
pub mod fields;
mod hardware;
pub mod host;
pub mod kvm;
pub mod lan;
pub mod line;
pub mod machine;
pub mod namespace;
pub mod qemu;
pub mod vanilla;
