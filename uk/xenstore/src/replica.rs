//! A replica: follows the master, and checks what it has.

use crate::harm::Harm;
use crate::memory::Memory;
use crate::random;
use alloc::vec::Vec;
use libos::futures::select::{Either3, select3};
use libos::futures::yield_now;
use libos::time::Duration;
use libos::{Uk, clock, fault};
use replica::master::Config;
use replica::replica::Replica;

/// Frames that are read in one turn, between two heartbeats.
const BUDGET: usize = 64;

/// How often it looks without being woken: to check a part of what it has, and as the longest time that anything the master
/// has written waits.
const TURN: Duration = Duration::from_millis(10);

/// Follows for ever.
pub async fn run(uk: Uk, mut memory: Memory) {
    let master = memory.others[0];
    let Some(channel) = uk.channel(master) else { panic!("there is no channel to the master, {master}") };
    let store = memory.store_config(&uk);
    let channels = memory.channels.swap_remove(memory.index - 1);
    let config = Config { store, seed: random::number() };
    let mut replica = match Replica::open(config, memory.vault, channels) {
        Ok(replica) => replica,
        Err(error) => panic!("the copy cannot be opened: {error:?}"),
    };
    log::info!("has {}", replica.stamp());
    replica.set_clock(clock::now_us);
    let (mut reports, mut harm) = (Vec::new(), Harm::default());
    loop {
        let more = replica.work(BUDGET);
        if replica.take_wake() {
            channel.notify();
        }
        replica.take_reports(&mut reports);
        for report in reports.drain(..) {
            harm.log(&report);
        }
        if more {
            yield_now().await;
        } else {
            let woken = select3(channel.wait(), fault::for_program(), clock::at_next(TURN)).await;
            if let Either3::Second((fault, seed)) = woken {
                harm.note_flip(fault, replica.harm(fault, seed).as_deref());
            }
        }
    }
}
