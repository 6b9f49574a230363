//! The toolstack in a model of a host: XenStore's real engine, and models of root, guests and backends.

mod consoles;
mod crashes;
mod golden;
mod life;
mod model;
mod phases;
