//! The monitor held to its promises: by scripts that read like an event log, by random worlds, and by visiting every
//! state of small worlds.

mod model;
mod pace;
mod properties;
mod scripts;
mod world;
