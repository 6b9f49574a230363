//! The recovery box, as its users see it, in memory that dies and is damaged.

mod behaviour;
mod common;
mod damage;
mod model;
