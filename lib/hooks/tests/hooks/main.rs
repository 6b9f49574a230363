//! What webhooks promise: whoever is to be told is told of everything, at least once and in order, whatever happens to either end.

mod address;
mod exchange;
mod kept;
mod message;
mod pace;
mod simulation;
