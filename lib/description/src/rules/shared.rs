//! The rules of shared memory.

use super::component::BOXES_MAX_PAGES;
use super::{Checker, MAX_ASKERS, MIB};
use crate::{Amount, ComponentId, Description, KEPT_MAX_PAGES, Problem};
use uk_abi::kept::MAX_SHARED as MOST_OF_ONE;

/// Pages of all shared memory together.
const SHARED_MAX_PAGES: u64 = 7 * MIB;

pub(super) fn check(description: &Description, index: usize, to: &mut Checker<'_>) {
    let shared = &description.shared[index];
    if description.shared[..index].iter().any(|earlier| earlier.name == shared.name) {
        let why = "an earlier piece of shared memory has this name, and a component asks for it by name";
        to.problem(&["name"], Problem::Impossible { why });
    }
    let size = Amount::pages(shared.pages);
    to.least(&["size"], size, 1, "nothing less than a page can be shared");
    let before: u64 = description.shared[..index].iter().map(|shared| u64::from(shared.pages)).sum();
    let why = "root keeps 7 MiB of shared memory in all, and what comes before has had the rest";
    to.most(&["size"], size, SHARED_MAX_PAGES.saturating_sub(before).max(1), why);
    for member in shared.between.iter().map(ComponentId::index) {
        if member >= description.components.len() {
            to.problem(&["between"], Problem::NoSuchComponent { index: member });
        }
    }
    if shared.between.len() < 2 {
        let what = "at least two components: what one has for itself is its box";
        to.problem(&["between"], Problem::Needs { what });
    }
    let takes_part =
        |component| description.shared[..index].iter().filter(move |s| s.between.contains(component));
    if shared.between.iter().any(|component| takes_part(component).count() == MOST_OF_ONE) {
        let why = "the boot info page of a component has room for 8 pieces of shared memory";
        to.problem(&["between"], Problem::Impossible { why });
    }
}

const _: () = assert!(MOST_OF_ONE == 8, "the text above says so");
const _: () = assert!(
    BOXES_MAX_PAGES
        + SHARED_MAX_PAGES
        + (MAX_ASKERS * uk_abi::layout::BROKER_PAGES + uk_abi::register::PAGES) as u64
        <= KEPT_MAX_PAGES
);
