//! What the crate promises, tried at every moment at which it could break.

mod channel;
mod harm;
mod master;
mod ring;
mod seal;
mod seed;
mod session;
mod simulation;
mod stock_client;
mod vault;
mod world;
