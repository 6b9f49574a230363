//! The comparison: the same sequence for two daemons, and what is not the same and not in the table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::thread;

use peers::{DaemonError, Program, State};
use xenstore_client::wire::Kind;

use crate::differences::{Against, Case, Consequence, Difference, explanation};
use crate::step::{Action, Seat, Step};
use crate::world::{Heard, Observation, World, atoi};

/// How many times a sequence that fails is run again to make it shorter.
const SHRINK_RUNS: usize = 300;

/// What was compared.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Requests that were answered alike, or not alike for a reason that is in the table.
    pub requests: usize,
    /// How often each difference showed.
    pub differences: BTreeMap<&'static str, usize>,
}

/// A difference that is not in the table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Discrepancy {
    /// Which step, counted from 0.
    pub step: usize,
    /// What was heard of it.
    pub ours: Observation,
    /// What should have been.
    pub theirs: Observation,
    /// How the daemons are.
    pub states: [String; 2],
}

/// Lets both daemons perform `steps`, each from an empty store.
///
/// # Errors
/// When a daemon does not start.
pub fn compare(
    target: &Path,
    programs: [&Program; 2],
    against: Against,
    steps: &[Step],
) -> Result<(Tally, Option<Discrepancy>), DaemonError> {
    // Most of what a short sequence takes is their start: each daemon has its own.
    let start = |program: &Program| World::new(target, program.clone());
    let [our_world, their_world] = thread::scope(|scope| {
        programs.map(|program| scope.spawn(move || start(program))).map(|one| match one.join() {
            Ok(started) => started,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    });
    let (mut our_world, mut their_world) = (our_world?, their_world?);
    let mut tally = Tally::default();
    let mut past = Past::default();
    for (number, step) in steps.iter().enumerate() {
        let (ours, theirs) = (our_world.perform(step), their_world.perform(step));
        tally.requests += step.action.requests().len();
        let silent = explanation(against, past.silent_case(step));
        if let Some((one, Consequence::Store)) = silent {
            *tally.differences.entry(one.name).or_default() += 1;
            break;
        }
        let Some(found) = judge(against, step, &ours, &theirs) else {
            let states = [our_world.state(), their_world.state()];
            return Ok((tally, Some(Discrepancy { step: number, ours, theirs, states })));
        };
        for (one, _) in &found {
            *tally.differences.entry(one.name).or_default() += 1;
        }
        if stores_differ(&found) || (!found.is_empty() && [&ours, &theirs].into_iter().any(somebody_is_gone))
        {
            break;
        }
    }
    Ok((tally, None))
}

/// What has been asked for that may make daemons do different things later.
#[derive(Debug, Default)]
struct Past {
    /// Guests that somebody has introduced.
    introduced: BTreeSet<u32>,
    /// Guests that are some other's target.
    targets: BTreeSet<u32>,
}

impl Past {
    /// Takes note of a step that both daemons have performed.
    fn silent_case<'a>(&mut self, step: &'a Step) -> Case<'a> {
        let (mut introduced, mut targeted) = (false, false);
        if let (Seat::Guest(domid), Action::Destroy | Action::Change(State::Dying)) =
            (step.seat, &step.action)
        {
            targeted |= self.targets.contains(&domid);
        }
        for request in step.action.requests() {
            let numbers: Vec<u32> = request.payload.split(|byte| *byte == 0).map(atoi).collect();
            match numbers[..] {
                [domid, ..] if request.is(Kind::Introduce) => introduced |= !self.introduced.insert(domid),
                [domid, ..] if request.is(Kind::Release) => targeted |= self.targets.contains(&domid),
                [_, target, ..] if request.is(Kind::SetTarget) => drop(self.targets.insert(target)),
                _ => {}
            }
        }
        Case::Silent { step, introduced, targeted }
    }
}

/// Differences that were found, and what each leads to.
type Found = Vec<(&'static Difference, Consequence)>;

fn stores_differ(found: &Found) -> bool {
    found.iter().any(|(_, consequence)| *consequence == Consequence::Store)
}

/// The listed differences that explain why a step was not heard alike; `None` if they do not.
fn judge(against: Against, step: &Step, ours: &Observation, theirs: &Observation) -> Option<Found> {
    let mut found = Vec::new();
    let (our_list, their_list) = (list(ours, step.seat), list(theirs, step.seat));
    let (our_replies, their_replies) = (replies(our_list), replies(their_list));
    let requests = step.action.requests();
    if our_replies.len().max(their_replies.len()) > requests.len() {
        if our_replies != their_replies {
            found.push(explanation(against, Case::Other { step, ours: our_list, theirs: their_list })?);
        }
    } else if !(our_replies.is_empty() && their_replies.is_empty()) {
        for (index, request) in requests.iter().enumerate() {
            let ours = our_replies.get(index).copied().unwrap_or(&Heard::Closed);
            let theirs = their_replies.get(index).copied().unwrap_or(&Heard::Closed);
            // That both have failed in the same way is no agreement.
            if !(ours.is_reply() && ours == theirs) {
                found.push(explanation(against, Case::Reply { requests, request, ours, theirs })?);
            }
        }
    }
    if stores_differ(&found) || (!found.is_empty() && [ours, theirs].into_iter().any(somebody_is_gone)) {
        return Some(found);
    }
    let mut seats: Vec<Seat> = ours.keys().chain(theirs.keys()).copied().collect();
    seats.sort();
    seats.dedup();
    for seat in seats {
        let (our_list, their_list) = (list(ours, seat), list(theirs, seat));
        let surplus = without(our_list, their_list);
        let missing = without(their_list, our_list);
        if !(surplus.is_empty() && missing.is_empty()) {
            found.push(explanation(
                against,
                Case::Events {
                    step,
                    seat,
                    ours: our_list,
                    theirs: their_list,
                    surplus: &surplus,
                    missing: &missing,
                },
            )?);
        } else if found.is_empty() && our_list != their_list {
            found.push(explanation(against, Case::Order { step, seat })?);
        }
    }
    Some(found)
}

/// Whether a connection has ended: if a daemon dies, everybody's has.
fn somebody_is_gone(observation: &Observation) -> bool {
    observation.values().flatten().any(|heard| *heard == Heard::Closed)
}

fn list(observation: &Observation, seat: Seat) -> &[Heard] {
    observation.get(&seat).map(Vec::as_slice).unwrap_or_default()
}

fn replies(list: &[Heard]) -> Vec<&Heard> {
    list.iter().filter(|heard| !heard.is_event()).collect()
}

/// The events of one list that are not in another, each as often as it is there too often.
fn without<'a>(list: &'a [Heard], other: &[Heard]) -> Vec<&'a Heard> {
    let mut other: Vec<&Heard> = other.iter().filter(|heard| heard.is_event()).collect();
    list.iter()
        .filter(|heard| heard.is_event())
        .filter(|heard| match other.iter().position(|one| one == heard) {
            Some(index) => {
                other.swap_remove(index);
                false
            }
            None => true,
        })
        .collect()
}

/// Makes a failing sequence shorter: leaves steps out, fewer and fewer at a time, as long as it fails.
pub fn shrink(steps: &[Step], mut fails: impl FnMut(&[Step]) -> bool) -> Vec<Step> {
    let mut steps = steps.to_vec();
    let mut runs = 0;
    let mut size = steps.len().div_ceil(2);
    while size > 0 && runs < SHRINK_RUNS {
        let mut start = 0;
        let mut shorter = false;
        while start < steps.len() && runs < SHRINK_RUNS {
            let mut fewer = steps.clone();
            fewer.drain(start..(start + size).min(steps.len()));
            runs += 1;
            if fails(&fewer) {
                (steps, shorter) = (fewer, true);
            } else {
                start += size;
            }
        }
        if !shorter || size > 1 {
            size /= 2;
        }
    }
    steps
}

/// The steps and the difference, for people.
pub fn tell(programs: [&Program; 2], steps: &[Step], discrepancy: &Discrepancy) -> String {
    let mut text = String::new();
    for step in &steps[..=discrepancy.step.min(steps.len() - 1)] {
        let _ = writeln!(text, "  {step}");
    }
    for ((program, observation), state) in
        programs.iter().zip([&discrepancy.ours, &discrepancy.theirs]).zip(&discrepancy.states)
    {
        let _ = writeln!(text, "{program}: ({state})");
        for (seat, list) in observation {
            let _ = writeln!(text, "  {}", told(seat, list));
        }
    }
    text
}

fn told(seat: &Seat, list: &[Heard]) -> String {
    let words: Vec<_> = list.iter().map(Heard::to_string).collect();
    format!("{seat} hears {}", words.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate;

    #[test]
    fn shrinking_leaves_what_is_needed_in_its_order() {
        let steps = generate::sequence(1, 100);
        let needed = [steps[20].clone(), steps[70].clone()];
        let fails = |some: &[Step]| {
            let mut rest = some.iter();
            needed.iter().all(|one| rest.any(|step| step == one))
        };
        let shrunk = shrink(&steps, fails);
        assert_eq!(shrunk, needed);
    }
}
