//! The daemon, run as a program, and asked over its real socket.

mod floods;
mod harness;
mod messages;
mod replicas;
mod restarts;
mod rings;
mod services;
