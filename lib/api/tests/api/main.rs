//! What the API promises: its table and its description agree, only who may gets in, and rubbish is refused with a reason.

mod description;
mod doors;
mod http;
mod limits;
mod roles;
mod routes;
mod server;
