//! The XenStore unikernel: one image, of which a host runs several. The first is the master and serves every domain's
//! ring; the others are replicas, each with a copy of everything.
//!
//! ```text
//! memory    what root keeps for it: vault, sessions, channels between master and replicas
//! master    serves rings, follows the register of domains, feeds the replicas
//! clients   the rings: mapped and bound, whoever has been restarted in between
//! stream    a ring as the two streams of bytes that a session is made of
//! replica   follows the master
//! harm      what is found damaged, and bits that are flipped on demand
//! arguments what the system description says to it
//! random    numbers that nobody outside can guess
//! ```
//!
//! Who may have guests may do everything, as dom0 may elsewhere: the system description's capability `guests` says who. Its
//! arguments are words: `privileged=D` says the same of domain D.
//!
//! What a request means is the business of the crate `xenstore`, and how it survives that of the crate `replica`. A
//! program that dies here leaves its rings, its vault and its sessions behind, and the next life goes on with the
//! byte at which the last one stopped.

#![no_std]
#![no_main]

extern crate alloc;

mod arguments;
mod clients;
mod harm;
mod master;
mod memory;
mod random;
mod replica;
mod stream;

use libos::{Spawner, Uk};
use memory::Memory;

libos::main!(main);

async fn main(_spawner: Spawner, uk: Uk) {
    let memory = Memory::divide(&uk);
    log::info!("{}: {memory}", uk.info());
    match memory.index {
        0 => master::run(uk, memory).await,
        _ => replica::run(uk, memory).await,
    }
}
