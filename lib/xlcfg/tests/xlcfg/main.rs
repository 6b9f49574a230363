//! Configurations as people write them, every mistake that they can make, and whatever chance makes of both.

mod golden;
mod mistakes;
mod properties;
