//! Random requests to two daemons side by side. `XENSTORE_REQUESTS` says how many, `XENSTORE_SEED` where to begin.

use std::env;

use peers::Program;
use xenstore_tests::differences::Against;
use xenstore_tests::differential::{Tally, compare, shrink, tell};
use xenstore_tests::generate::sequence;
use xenstore_tests::{our_daemon, target};

/// Requests for each pair, unless `XENSTORE_REQUESTS` says otherwise.
const REQUESTS: usize = 20_000;
/// Steps of one sequence: long enough to get somewhere, short enough that a difference that ends it costs little.
const LENGTH: usize = 150;

fn number(variable: &str, otherwise: u64) -> u64 {
    let parse =
        |text: String| text.parse().unwrap_or_else(|_| panic!("{variable} is `{text}`; asked for a number"));
    env::var(variable).map_or(otherwise, parse)
}

/// Compares two daemons until enough requests have been.
fn agree(ours: &Program, theirs: &Program, against: Against) {
    let (target, wanted) = (target(), number("XENSTORE_REQUESTS", REQUESTS as u64) as usize);
    let mut total = Tally::default();
    let mut seed = number("XENSTORE_SEED", 1);
    while total.requests < wanted {
        let steps = sequence(seed, LENGTH);
        let run = |steps: &[_]| {
            compare(&target, [ours, theirs], against, steps).unwrap_or_else(|error| panic!("{error}"))
        };
        let (tally, discrepancy) = run(&steps);
        if discrepancy.is_some() {
            let steps = shrink(&steps, |steps| run(steps).1.is_some());
            let (_, discrepancy) = run(&steps);
            let discrepancy =
                discrepancy.expect("a sequence that has been shrunk fails as the whole one does");
            panic!(
                "{ours} and {theirs} differ, seed {seed}:\n{}",
                tell([ours, theirs], &steps, &discrepancy)
            );
        }
        total.requests += tally.requests;
        for (name, count) in tally.differences {
            *total.differences.entry(name).or_default() += count;
        }
        seed += 1;
    }
    println!("{ours} and {theirs}: {} requests, up to seed {}", total.requests, seed - 1);
    for (name, count) in total.differences {
        println!("  {name}: {count}");
    }
}

#[test]
fn ours_agrees_with_c() {
    agree(&our_daemon(Vec::new()), &Program::C, Against::C);
}

#[test]
fn ours_agrees_with_ocaml() {
    agree(&our_daemon(Vec::new()), &Program::OCaml, Against::OCaml);
}

/// That the incumbents differ in nothing else shows that the table tells the truth about them.
#[test]
fn c_agrees_with_ocaml() {
    agree(&Program::C, &Program::OCaml, Against::OCaml);
}
