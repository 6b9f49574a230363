//! The parts of the protocol that are tables and arithmetic; frames and rings are tested in a whole world, by `network`.

mod control;
mod hash;
mod keys;
mod pool;
mod rate;
