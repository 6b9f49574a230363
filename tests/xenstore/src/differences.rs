//! The differences that may be, with the names that they have in `docs/src/xenstore-differences.md`, which explains them.

use peers::State;
use xenstore_client::wire::Kind;

use crate::differences::Consequence::{Answer, Store};
use crate::step::{Action, Request, Seat, Step, Transaction};
use crate::world::Heard;

/// Whom a daemon is compared with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Against {
    /// Xen's daemon in C: the model.
    C,
    /// Xen's daemon in OCaml.
    OCaml,
}

/// What a difference leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Consequence {
    /// The answer differs, and the store does not.
    Answer,
    /// From here on the stores may differ: what follows is not compared.
    Store,
}

/// What two daemons' clients heard of one step, where it is not the same.
#[derive(Clone, Copy, Debug)]
pub enum Case<'a> {
    /// An answer.
    Reply {
        /// All that was asked for at once.
        requests: &'a [Request],
        /// The request that is answered.
        request: &'a Request,
        /// Our answer, or the end of the connection.
        ours: &'a Heard,
        /// Theirs.
        theirs: &'a Heard,
    },
    /// A watcher's events, which are not the same ones.
    Events {
        /// What happened.
        step: &'a Step,
        /// Who watches.
        seat: Seat,
        /// All that ours hears.
        ours: &'a [Heard],
        /// All that theirs hears.
        theirs: &'a [Heard],
        /// Ours that are not theirs.
        surplus: &'a [&'a Heard],
        /// Theirs that are not ours.
        missing: &'a [&'a Heard],
    },
    /// Events and answers are the same, and their order is not.
    Order {
        /// What happened.
        step: &'a Step,
        /// Whose.
        seat: Seat,
    },
    /// What daemons may do different things of, whether or not a client hears it.
    Silent {
        /// What happened.
        step: &'a Step,
        /// Whether it introduces a guest that was introduced before.
        introduced: bool,
        /// Whether it is the end of a guest that is another's target.
        targeted: bool,
    },
    /// Another thing than requests, and what the acting client heard of it.
    Other {
        /// What happened.
        step: &'a Step,
        /// What our client heard.
        ours: &'a [Heard],
        /// What theirs heard.
        theirs: &'a [Heard],
    },
}

/// A difference that may be.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    /// Its name in the table.
    pub name: &'static str,
    /// Where it shows.
    pub against: Against,
    /// What it leads to, if it explains a case.
    explains: fn(Case<'_>) -> Option<Consequence>,
}

/// The first difference of the table that explains a case, and what it leads to.
pub fn explanation(against: Against, case: Case<'_>) -> Option<(&'static Difference, Consequence)> {
    let known = DIFFERENCES.iter().filter(|one| one.against == against);
    known.filter_map(|one| Some((one, (one.explains)(case)?))).next()
}

/// A difference from the C daemon.
const fn from_c(name: &'static str, explains: fn(Case<'_>) -> Option<Consequence>) -> Difference {
    Difference { name, against: Against::C, explains }
}

/// A difference from oxenstored.
const fn from_ocaml(name: &'static str, explains: fn(Case<'_>) -> Option<Consequence>) -> Difference {
    Difference { name, against: Against::OCaml, explains }
}

/// All of them.
pub const DIFFERENCES: &[Difference] = &[
    from_c("missing-argument", |case| {
        let Case::Reply { requests, theirs, .. } = case else { return None };
        let explains = !theirs.is_success() && requests.iter().any(lacks_its_path);
        explains.then_some(Answer)
    }),
    from_c("special-permissions", |case| {
        let is_refused = |request: &Request, ours: &Heard, theirs: &Heard| {
            request.is(Kind::SetPerms) && is_special(request) && ours.is_error() && !theirs.is_success()
        };
        on_request(case, is_refused, Answer)
    }),
    from_c("control", |case| on_request(case, |request, _, _| request.is(Kind::Control), Answer)),
    from_c("identical-events", |case| match case {
        Case::Events { step, ours, theirs, surplus, missing, .. } if step.action.requests().len() > 1 => {
            let known = missing.iter().all(|heard| ours.contains(heard));
            (known && surplus.iter().all(|heard| theirs.contains(heard))).then_some(Answer)
        }
        _ => None,
    }),
    from_c("targets-that-stay", |case| match case {
        Case::Silent { targeted, .. } => targeted.then_some(Store),
        _ => None,
    }),
    from_c("root-that-dies", |case| match case {
        Case::Silent { step, .. } => step.action.requests().iter().any(gives_the_root_away).then_some(Store),
        _ => None,
    }),
    from_ocaml("event-order", |case| matches!(case, Case::Order { .. }).then_some(Answer)),
    from_ocaml("root", |case| match case {
        Case::Reply { request, .. } => request.payload.starts_with(b"/\0").then(|| consequence(case)),
        Case::Events { step, .. } => {
            step.action.requests().iter().any(|request| request.payload.starts_with(b"/\0")).then_some(Answer)
        }
        _ => None,
    }),
    from_ocaml("other-error", |case| {
        let Case::Reply { ours, theirs, .. } = case else { return None };
        (ours.is_error() && theirs.is_error()).then_some(Answer)
    }),
    from_ocaml("no-directory-part", |case| {
        on_request(case, |request, _, theirs| request.is(Kind::DirectoryPart) && theirs.is_error(), Answer)
    }),
    from_ocaml("control", |case| on_request(case, |request, _, _| request.is(Kind::Control), Answer)),
    from_ocaml("directory-order", |case| on_request(case, same_names, Answer)),
    from_ocaml("transaction-not-echoed", |case| {
        on_request(case, |_, ours, theirs| ours.said() == theirs.said(), Answer)
    }),
    from_ocaml("removing-nothing", |case| {
        on_request(
            case,
            |request, ours, theirs| request.is(Kind::Rm) && ours.is_error() && theirs.is_success(),
            Answer,
        )
    }),
    from_ocaml("special-nodes", |case| match case {
        Case::Reply { request, .. } => {
            let is_watch = CHANGES_WATCHES.iter().any(|kind| request.is(*kind));
            (is_special(request) && !is_watch).then(|| consequence(case))
        }
        Case::Events { step, .. } => step.action.requests().iter().any(is_special).then_some(Answer),
        _ => None,
    }),
    from_ocaml("argument-parsing", |case| {
        let Case::Reply { request, .. } = case else { return None };
        (!is_well_formed(request)).then(|| consequence(case))
    }),
    from_ocaml("unknown-domain", |case| {
        let Case::Reply { request, .. } = case else { return None };
        let names_domains = [Kind::SetPerms, Kind::SetTarget, Kind::Release, Kind::Resume, Kind::Introduce];
        names_domains.iter().any(|kind| request.is(*kind)).then(|| consequence(case))
    }),
    from_ocaml("broken-message", |case| {
        let Case::Other { step, .. } = case else { return None };
        matches!(step.action, Action::Broken { .. }).then_some(Answer)
    }),
    from_ocaml("merged-transactions", |case| {
        let is_end = |request: &Request, ours: &Heard, theirs: &Heard| {
            request.is(Kind::TransactionEnd) && ours.is_success() != theirs.is_success()
        };
        on_request(case, is_end, Store)
    }),
    from_ocaml("snapshots", |case| {
        let Case::Reply { request, .. } = case else { return None };
        (request.transaction != Transaction::None).then(|| consequence(case))
    }),
    from_ocaml("node-size", |case| {
        let Case::Reply { request, .. } = case else { return None };
        (request.is(Kind::Write) && request.payload.len() > LARGE).then(|| consequence(case))
    }),
    from_ocaml("path-length", |case| {
        let Case::Reply { request, .. } = case else { return None };
        let path = request.payload.split(|byte| *byte == 0).next().unwrap_or_default();
        (path.len() > LARGE).then(|| consequence(case))
    }),
    from_ocaml("nodes-of-the-dead", |case| match case {
        Case::Silent { step, .. } => ends_a_guest(step).then_some(Store),
        _ => None,
    }),
    from_ocaml("introduced-again", |case| match case {
        Case::Silent { step, introduced, .. } => {
            (introduced && asks(step, &[Kind::Introduce])).then_some(Store)
        }
        _ => None,
    }),
    from_ocaml("targets", |case| match case {
        Case::Silent { step, .. } => asks(step, &[Kind::SetTarget]).then_some(Store),
        _ => None,
    }),
    from_ocaml("identical-events", |case| match case {
        Case::Events { ours, surplus: [], missing, .. } => {
            missing.iter().all(|heard| ours.contains(heard)).then_some(Answer)
        }
        _ => None,
    }),
    from_ocaml("released-again", |case| match case {
        Case::Events { step, surplus: [], missing, .. } => {
            let special = |heard: &&Heard| heard.said().starts_with(b"@releaseDomain\0");
            (matches!(step.action, Action::Change(_)) && missing.iter().all(special)).then_some(Answer)
        }
        _ => None,
    }),
    from_ocaml("events-below-the-removed", |case| match case {
        Case::Events { step, surplus: [], .. } => {
            asks(step, &[Kind::Rm, Kind::TransactionEnd]).then_some(Answer)
        }
        _ => None,
    }),
    from_ocaml("watch-permissions", |case| match case {
        Case::Events { seat: Seat::Guest(_), .. } => Some(Answer),
        _ => None,
    }),
];

/// More bytes than a small value or an ordinary path has: the daemons' limits lie above.
const LARGE: usize = 1900;
/// Requests that have to do with watches.
const CHANGES_WATCHES: [Kind; 2] = [Kind::Watch, Kind::Unwatch];
/// Requests whose only argument is a path.
const PATH_ONLY: [Kind; 5] = [Kind::Read, Kind::Directory, Kind::GetPerms, Kind::Mkdir, Kind::Rm];
/// Requests that change nothing.
const READS: [Kind; 6] = [
    Kind::Read,
    Kind::Directory,
    Kind::DirectoryPart,
    Kind::GetPerms,
    Kind::GetDomainPath,
    Kind::IsDomainIntroduced,
];

/// What follows when one of two daemons has done as it was asked, and the other has not.
fn consequence(case: Case<'_>) -> Consequence {
    match case {
        Case::Reply { request, ours, theirs, .. }
            if READS.iter().any(|kind| request.is(*kind)) || !(ours.is_success() || theirs.is_success()) =>
        {
            Answer
        }
        _ => Store,
    }
}

/// Whether a request that takes a path and nothing else has none: the only zero byte must be the last.
fn lacks_its_path(request: &Request) -> bool {
    PATH_ONLY.iter().any(|kind| request.is(*kind))
        && strings(&request.payload).is_none_or(|list| list.len() != 1)
}

/// The strings of a payload; `None` if it does not end with a zero byte.
fn strings(payload: &[u8]) -> Option<Vec<&[u8]>> {
    Some(payload.strip_suffix(b"\0")?.split(|byte| *byte == 0).collect())
}

/// Whether a request makes a guest the owner of the root node.
fn gives_the_root_away(request: &Request) -> bool {
    let owner = strings(&request.payload).and_then(|list| list.get(1).and_then(|owner| owner.get(1..)));
    request.is(Kind::SetPerms) && request.payload.starts_with(b"/\0") && owner != Some(b"0")
}

/// Whether a request is about one of the special watches.
fn is_special(request: &Request) -> bool {
    request.payload.starts_with(b"@")
}

/// Whether a request has as many arguments as it takes, and numbers where it takes numbers.
fn is_well_formed(request: &Request) -> bool {
    let is = |kind| request.is(kind);
    let list = strings(&request.payload);
    let count = list.as_ref().map_or(0, Vec::len);
    let numbers = |from: usize| list.iter().flatten().skip(from).all(|text| is_number(text));
    if PATH_ONLY.iter().any(|kind| is(*kind)) || is(Kind::TransactionEnd) {
        count == 1
    } else if is(Kind::TransactionStart) || is(Kind::ResetWatches) {
        request.payload == b"\0"
    } else if is(Kind::GetDomainPath) || is(Kind::IsDomainIntroduced) || is(Kind::Release) || is(Kind::Resume)
    {
        count == 1 && numbers(0)
    } else if is(Kind::SetTarget) {
        count == 2 && numbers(0)
    } else if is(Kind::Introduce) {
        count == 3 && numbers(0)
    } else if is(Kind::Watch) || is(Kind::Unwatch) {
        count == 2
    } else if is(Kind::SetPerms) {
        count > 1 && list.iter().flatten().skip(1).all(|text| is_permission(text))
    } else {
        request.payload.contains(&0)
    }
}

/// Whether a text is a number as one writes it, and that of a domain or a port.
fn is_number(text: &[u8]) -> bool {
    let parsed: Option<u16> = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.is_some_and(|number| number.to_string().as_bytes() == text)
}

fn is_permission(text: &[u8]) -> bool {
    text.split_first().is_some_and(|(letter, rest)| b"nrwb".contains(letter) && is_number(rest))
}

/// Whether two directories have the same children, but for the nodes that stand for special watches in oxenstored.
fn same_names(request: &Request, ours: &Heard, theirs: &Heard) -> bool {
    let names = |heard: &Heard| {
        let mut names: Vec<Vec<u8>> = heard.said().split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
        names.retain(|name| !name.starts_with(b"@"));
        names.sort();
        names
    };
    request.is(Kind::Directory) && ours.is_success() && theirs.is_success() && names(ours) == names(theirs)
}

/// Whether a step is the end of a guest, as far as the daemon is concerned.
fn ends_a_guest(step: &Step) -> bool {
    matches!(step.action, Action::Destroy | Action::Change(State::Dying)) || asks(step, &[Kind::Release])
}

/// Whether some request of a step is of one of these kinds.
fn asks(step: &Step, kinds: &[Kind]) -> bool {
    step.action.requests().iter().any(|request| kinds.iter().any(|kind| request.is(*kind)))
}

/// A consequence, if a case is of an answer and `condition` is true of the request, our answer and theirs.
fn on_request(
    case: Case<'_>,
    condition: impl Fn(&Request, &Heard, &Heard) -> bool,
    consequence: Consequence,
) -> Option<Consequence> {
    match case {
        Case::Reply { request, ours, theirs, .. } if condition(request, ours, theirs) => Some(consequence),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table for people.
    const TABLE: &str = include_str!("../../../docs/src/xenstore-differences.md");

    #[test]
    fn the_table_explains_these_differences_and_no_others() {
        let (from_c, from_ocaml) = TABLE.split_once("## From oxenstored").expect("the table has two parts");
        for (against, part) in [(Against::C, from_c), (Against::OCaml, from_ocaml)] {
            let rows = part.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
            let mut explained: Vec<&str> = rows.collect();
            let mut known: Vec<&str> =
                DIFFERENCES.iter().filter(|one| one.against == against).map(|one| one.name).collect();
            explained.sort_unstable();
            known.sort_unstable();
            assert_eq!(explained, known, "{against:?}");
        }
    }
}
