//! XenStore: one engine that answers requests, checks itself, and says what changed.
//!
//! [`Engine::handle`] takes one request and puts its [`Effects`] into a buffer: messages to clients, and
//! [items](item) that tell a replica or a log what is different now. [`Engine::apply`] takes such items and arrives at
//! the same state with the same [digest](Engine::digest). The engine does no I/O, knows no time and has no `unsafe`.
//!
//! What requests mean, the names of errors and the order of checks are those of the C daemon of Xen 4.17.
//!
//! Everything that an answer is made of is checked against a digest before it is used. What does not match is
//! reported as [`Damage`] before anything has been done, so that a good copy can be put in its place and the request
//! tried again.
#![no_std]

extern crate alloc;

mod apply;
mod config;
mod connection;
mod damage;
mod digest;
mod domain;
mod effects;
mod engine;
mod event;
pub mod fairness;
pub mod item;
mod node;
pub mod path;
pub mod permission;
mod quota;
mod record;
mod repair;
mod request;
mod scrub;
mod snapshot;
mod special;
mod store;
pub mod stream;
mod transaction;
mod watch;
pub mod wire;

pub use config::{Census, Commands, Config, Existence, Version};
pub use connection::{ConnectionId, Peer};
pub use damage::{Damage, Part, Subject};
pub use effects::{DomainAction, Effects, Outputs};
pub use engine::Engine;
pub use item::{Item, Items};
pub use quota::{Quota, Quotas};
pub use record::RecordView;
pub use scrub::{Cursor, Progress};
pub use snapshot::ItemCursor;
#[cfg(feature = "harm")]
pub use store::Spot;
