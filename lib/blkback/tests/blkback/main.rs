//! The backend against guests, a device and memory that are simulated, and dies wherever it can.

mod hostile;
mod judgement;
mod keys;
mod requests;
mod simulation;
mod world;
