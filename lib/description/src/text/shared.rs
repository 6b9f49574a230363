//! The tables `[[shared]]`.

use super::component::{Names, resolve};
use super::finding::Findings;
use super::place::Map;
use super::section::{Origin, Section};
use super::value::{any_text, name, pages};
use crate::{ComponentSet, Description, MAX_SHARED, Shared};
use core::ops::Range;

/// Shared memory as the text has it: its members are still names.
pub(super) struct Draft {
    /// `None` where the name cannot be read.
    shared: Option<Shared>,
    between: Vec<(String, Range<usize>)>,
}

/// Reads one piece of shared memory.
pub(super) fn read(section: &mut Section<'_, '_>) -> Draft {
    let name = section.require("name", name);
    let pages = section.read("size", pages).unwrap_or(Shared::DEFAULT_PAGES);
    let between = section.list("between", any_text);
    let shared = name.map(|name| Shared { name, between: ComponentSet::EMPTY, pages });
    Draft { shared, between }
}

/// Puts the shared memory into the description, whose components are `names`.
pub(super) fn collect(
    drafts: Vec<(Draft, Origin)>,
    names: &Names,
    description: &mut Description,
    map: &mut Map,
    findings: &mut Findings,
) {
    for (i, (draft, origin)) in drafts.into_iter().enumerate() {
        if i == MAX_SHARED {
            let what = format!("this is shared memory {}, at most {MAX_SHARED} are possible", i + 1);
            findings.add(origin.table.clone(), what);
        }
        let between = resolve(&draft.between, names, description, findings);
        if let Some(shared) = draft.shared
            && description.shared.push(Shared { between, ..shared }).is_ok()
        {
            map.shared.push(origin);
        }
    }
}
