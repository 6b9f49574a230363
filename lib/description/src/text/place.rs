//! From the places of the rules to places in the text.

use super::finding::Findings;
use super::section::Origin;
use crate::{Description, Item, Place, Problem};

/// Where host, components, guests and shared memory stand in the text.
pub(super) struct Map {
    /// The text as a whole.
    top: Origin,
    host: Origin,
    /// The origin of each component; instances share one.
    pub(super) components: Vec<Origin>,
    /// The origin of each guest.
    pub(super) guests: Vec<Origin>,
    /// The origin of each piece of shared memory.
    pub(super) shared: Vec<Origin>,
}

impl Map {
    /// A map without components and guests.
    pub(super) fn new(top: Origin, host: Origin) -> Self {
        Self { top, host, components: Vec::new(), guests: Vec::new(), shared: Vec::new() }
    }

    /// Reports the breach of a rule, unless it may follow from what could not be read.
    pub(super) fn report(
        &self,
        place: Place,
        problem: &Problem,
        description: &Description,
        findings: &mut Findings,
    ) {
        let (origin, who) = match place.item {
            Item::Host => (&self.host, "the host".into()),
            Item::Component(i) => {
                (&self.components[i], format!("the component {}", description.components[i].name))
            }
            Item::Guest(i) => (&self.guests[i], format!("the guest {}", description.guests[i].name)),
            Item::Shared(i) => (&self.shared[i], format!("the shared memory {}", description.shared[i].name)),
        };
        // What was read of a list stays a cycle or a claim, whatever the rest was meant to be.
        let is_certain = matches!(problem, Problem::Cycle { .. } | Problem::DeviceTaken { .. });
        let is_doubtful = place.keys.iter().any(|key| self.is_doubtful(place.item, key));
        if (is_doubtful && !is_certain) || self.is_about_doubtful(problem) {
            return;
        }
        let key = place.key();
        let mut notes = Vec::new();
        // The value may stand in [defaults], or nowhere.
        if !origin.holds(key) && *problem != Problem::NoComponents {
            notes.push(format!("note: for {who}"));
            if !origin.has(key) {
                notes.push(format!("note: {key} is not given, so its default holds"));
            }
        }
        findings.note(origin.place(key), format!("{key}: {}", problem.explain(description)), notes);
    }

    /// Whether a key may have been meant to have another value than it has got.
    fn is_doubtful(&self, item: Item, key: &'static str) -> bool {
        let (table, origin, key) = match (key.strip_prefix("host."), item) {
            (Some(key), _) => ("host", &self.host, key),
            (None, Item::Host) => ("host", &self.host, key),
            (None, Item::Component(i)) => ("defaults", &self.components[i], key),
            (None, Item::Guest(i)) => ("guest", &self.guests[i], key),
            (None, Item::Shared(i)) => ("shared", &self.shared[i], key),
        };
        origin.is_doubtful(key) || (!origin.has(key) && self.top.is_doubtful(table))
    }

    /// Whether a problem is with what other components do, and these could not be read.
    fn is_about_doubtful(&self, problem: &Problem) -> bool {
        match problem {
            Problem::NoComponents | Problem::Needs { .. } => !self.top.is_sound(),
            Problem::NeedsManual { needed } => self.components[*needed].is_doubtful("autostart"),
            _ => false,
        }
    }
}
