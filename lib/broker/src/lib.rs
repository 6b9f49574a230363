#![no_std]
//! Requests to root's broker.
//!
//! A component with the capability `guests` holds no privilege: it decides what a guest looks like, and asks root for one
//! small step after the other. Root, which holds all privileges, trusts nothing that it is asked: it reads a request once,
//! into memory of its own, checks whose domain it is about and how much it asks for, does it with a hypercall or two, and
//! answers.
//!
//! ```text
//!     asker                            root's memory                         root
//!   Client::ask    -- request, data -->  slot 0  -- read once, checked -->  Server::take
//!                                        slot 1                              does it
//!   Client::take   <----- answer ------  ...     <------ answer ---------   Server::answer
//!                                        slot 7
//! ```
//!
//! The memory is root's own and lent to the asker, so it outlives every life and every domain of either side:
//!
//! - **Each request is carried out once or not at all.** Root notes in the slot that it begins with a request, and when it
//!   has answered. A new life of root finds what the last one had begun: a request that does the same when it is carried
//!   out again ([`Request::is_repeatable`]) it does again, any other it answers with [`Refusal::Interrupted`].
//! - **Requests are carried out in the order in which they were asked**, whatever their slots, so that the asker need not
//!   wait for one before it asks the next. One that is refused keeps none behind it from being carried out.
//! - **A new life of the asker waits until what the last one has asked for is answered** ([`Client::is_settled`]), and
//!   then finds out what has become of it: by [`Request::Find`], [`Request::Next`] and [`Request::Info`].
//!
//! [`request`] and [`answer`] are what is said, [`layout`] is how it lies in memory, [`client`] and [`server`] are the two
//! ends, [`steps`] makes requests of the steps of which a guest is built.

pub mod answer;
pub mod client;
pub mod layout;
pub mod request;
pub mod server;
pub mod steps;

pub use answer::{
    Answer, ComponentInfo, DomainInfo, DomainState, EventLine, HostInfo, Outcome, Refusal, VcpuInfo,
};
pub use client::{AskError, Client, Ticket};
pub use layout::{MAX_DATA, PAGES, SLOTS};
pub use request::Request;
pub use server::{Asked, Server};
pub use steps::Prepared;
