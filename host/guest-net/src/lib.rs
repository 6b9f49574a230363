//! A guest on the network that does what it is told: whoever measures connects nowhere, guests come to him.
//!
//! An order is one line, and so is its answer.

pub mod bulk;
pub mod load;
pub mod order;
