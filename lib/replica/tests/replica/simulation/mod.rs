//! The whole service in one thread: clients, a master, replicas, and everything that can happen to them.
//!
//! A seed decides who does something next, who dies at which store, and which bit is flipped. A failure prints its
//! seed; `REPLICA_SIM_SEED` runs one seed alone, `REPLICA_SIM_RUNS` how many, `REPLICA_SIM_STEPS` how long each is.

mod client;
mod host;

use crate::world::Random;
use client::Client;
use host::{Host, Victim};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What may happen in a run.
#[derive(Clone, Copy, Default)]
struct Chaos {
    /// Members die at random moments, all at once now and then.
    deaths: bool,
    /// Bits are flipped in one member's memories, and in sessions.
    flips: bool,
    /// A replica takes the place of a master that died.
    promotions: bool,
    /// Whoever does something dies at this moment of the whole run.
    death_at: Option<u64>,
    /// Some clients take their output slowly.
    slow: bool,
}

fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |value| value.parse().expect(name))
}

/// Runs one seed, and says which it was if something is wrong.
fn run(seed: u64, members: usize, steps: u64, chaos: Chaos) -> u64 {
    let result = catch_unwind(AssertUnwindSafe(|| simulate(seed, members, steps, chaos)));
    result.unwrap_or_else(|panic| {
        eprintln!("seed {seed}, {members} members, {steps} steps, death at {:?}", chaos.death_at);
        resume_unwind(panic)
    })
}

/// Many seeds, or the one that is asked for.
fn run_many(runs: u64, members: usize, chaos: Chaos) {
    let steps = variable("REPLICA_SIM_STEPS", 1500);
    match variable("REPLICA_SIM_SEED", u64::MAX) {
        u64::MAX => {
            for seed in 0..variable("REPLICA_SIM_RUNS", runs) {
                run(seed, members, steps, chaos);
            }
        }
        seed => {
            run(seed, members, steps, chaos);
        }
    }
}

/// Returns how many moments there were at which somebody could die.
fn simulate(seed: u64, members: usize, steps: u64, chaos: Chaos) -> u64 {
    let mut random = Random(seed);
    let mut host = Host::new(members, chaos.death_at, &mut random);
    let mut clients: Vec<Client> =
        (0..4).map(|number| Client::new(number, &host.fuse, &mut random)).collect();
    clients.iter_mut().for_each(Client::begin);
    clients[1].listen(1);
    let mut victim = Victim::new(random.below(members));
    for now in 1..=steps {
        let client = random.below(clients.len());
        match random.below(10) {
            0..3 => clients[client].ask(now, host.interruptions, &mut random),
            3..5 if !chaos.slow || client != 1 || now % 64 == 0 => {
                clients[client].exchange(now, host.interruptions, &mut random);
            }
            _ => host.turn(&mut clients, &mut random, chaos.deaths),
        }
        if chaos.deaths && random.once_in(120) {
            host.kill(&mut random, chaos.promotions);
        }
        if chaos.flips && random.once_in(10) {
            victim.harm(&mut host, &mut random);
        }
    }
    settle(&mut host, &mut clients, steps, &mut random);
    check_shared(&clients);
    assert_eq!(host.lost(), 0, "nothing that was answered was lost");
    host.fuse.passed()
}

/// Nobody dies any more: all comes to rest.
fn settle(host: &mut Host, clients: &mut [Client], steps: u64, random: &mut Random) {
    host.death_at = None;
    let mut rests = 0;
    for now in steps + 1.. {
        for client in &mut *clients {
            client.wind_up(random);
            client.exchange(now, host.interruptions, random);
        }
        for _ in 0..8 {
            host.turn(clients, random, false);
        }
        // Long enough for whatever is still under way to arrive.
        rests = if host.is_settled() && clients.iter_mut().all(Client::is_done) { rests + 1 } else { 0 };
        if rests > 100 {
            break;
        }
        assert!(now < steps + 20_000, "it does not come to rest: {}", host.describe());
    }
    host.check_digests();
    assert!(clients.iter().all(|client| client.answered > 0));
}

/// Who watches everything has heard of each change of a shared node, and not more often than it was changed.
fn check_shared(clients: &[Client]) {
    for listener in clients {
        let Some(since) = listener.listens else { continue };
        for writer in clients.iter().filter(|writer| writer.id != listener.id) {
            let path = writer.shared();
            let heard = listener.heard.get(&path).map_or(&[][..], |heard| heard);
            assert!(
                heard.len() <= writer.told.len() + 1,
                "{} events of {} changes",
                heard.len(),
                writer.told.len()
            );
            if let Some(told) = writer.told.last().filter(|told| **told > since) {
                let last = heard.last();
                assert!(last.is_some_and(|last| last >= told), "changed at {told}, heard at {last:?}");
            }
        }
    }
}

#[test]
fn a_quiet_day() {
    run_many(20, 1, Chaos::default());
    run_many(20, 3, Chaos { slow: true, ..Chaos::default() });
}

#[test]
fn members_die() {
    run_many(40, 3, Chaos { deaths: true, slow: true, ..Chaos::default() });
    run_many(20, 2, Chaos { deaths: true, ..Chaos::default() });
    run_many(20, 1, Chaos { deaths: true, ..Chaos::default() });
}

#[test]
fn replicas_take_over() {
    run_many(40, 3, Chaos { deaths: true, promotions: true, ..Chaos::default() });
}

#[test]
fn bits_are_flipped() {
    run_many(40, 3, Chaos { flips: true, ..Chaos::default() });
    run_many(40, 3, Chaos { flips: true, deaths: true, slow: true, ..Chaos::default() });
}

#[test]
fn somebody_dies_at_each_moment() {
    let steps = 120;
    let moments = run(7, 3, steps, Chaos::default());
    let stride = variable("REPLICA_SIM_STRIDE", 61) as usize;
    for moment in (0..moments).step_by(stride) {
        run(7, 3, steps, Chaos { death_at: Some(moment), ..Chaos::default() });
    }
}
