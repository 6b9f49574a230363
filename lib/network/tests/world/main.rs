//! A whole world, deterministic: guests with frontends as Linux has them, rings, backend, switch, shadow, a card and the
//! wire behind it. Drivers, backends and whole unikernels die at any point; guests lie.
//!
//! A run is a number: `NETWORK_SEED=1234 cargo test -p network` repeats one, `NETWORK_RUNS=100000` makes more than the
//! few hundred that are made otherwise. A run that fails says its number.

mod card;
mod crashes;
mod frames;
mod guest;
mod host;
mod lies;
mod machine;
mod numbers;
mod offloads;
mod repair;
