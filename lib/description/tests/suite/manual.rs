//! The manual's page on the system description: its examples are right, and it tells every key with its default.

use description::text::parse;
use description::{Component, Description, Host, Name, Shared};
use std::collections::BTreeSet;

const MANUAL: &str = include_str!("../../../../docs/src/system-description.md");

/// The keys and defaults of the tables with defaults in the part of the manual from one text to another.
fn rows(from: &str, to: &str) -> Vec<(&'static str, Option<&'static str>)> {
    let (_, rest) = MANUAL.split_once(from).expect("the part begins");
    let (part, _) = rest.split_once(to).expect("the part ends");
    let code = |cell: &'static str| cell.trim().strip_prefix('`')?.strip_suffix('`');
    let row = |line: &'static str| {
        let mut cells = line.strip_prefix('|')?.split('|');
        Some((code(cells.next()?)?, code(cells.next()?)))
    };
    part.lines().filter_map(row).collect()
}

/// The text that says every default that the manual tells.
fn defaults_of(rows: &[(&str, Option<&str>)]) -> String {
    rows.iter().filter_map(|(key, default)| Some(format!("{key} = {}\n", (*default)?))).collect()
}

/// The keys that the reader knows in a table, which it tells when it meets one that is like none.
fn known_in(table: &str) -> BTreeSet<String> {
    let report = parse("test.toml", table).unwrap_err();
    let mut notes = report.findings().iter().flat_map(|finding| &finding.notes);
    let known = notes.find_map(|note| note.strip_prefix("help: known here: ")).expect("it tells them");
    known.split(", ").map(String::from).collect()
}

fn keys(rows: &[(&str, Option<&str>)]) -> BTreeSet<String> {
    rows.iter().map(|(key, _)| key.to_string()).collect()
}

#[test]
fn every_key_of_the_host_has_the_default_that_is_told() {
    let rows = rows("\n## The host\n", "\n## ");
    assert_eq!(keys(&rows), known_in("[host]\nzzzzzzzzzzzz = 1"));
    let text = format!("[[component]]\nname = \"a\"\n[host]\n{}", defaults_of(&rows));
    assert_eq!(parse("manual", &text).unwrap_or_else(|report| panic!("{report}")).host, Host::DEFAULT);
}

#[test]
fn every_key_of_a_component_has_the_default_that_is_told() {
    let own = rows("What each says for itself:\n", "What `[defaults]`");
    let settings = rows("What `[defaults]` may say for all:\n", "\n### Devices");
    let limits = rows("\n### Limits\n", "\n## ");
    assert_eq!(keys(&settings), known_in("[defaults]\nzzzzzzzzzzzz = 1"));
    assert_eq!(&keys(&own) | &keys(&settings), known_in("[[component]]\nname = \"a\"\nzzzzzzzzzzzz = 1"));
    assert_eq!(keys(&limits), known_in("[[component]]\nname = \"a\"\nlimits = { zzzzzzzzzzzz = 1 }"));
    let text = format!(
        "[[component]]\nname = \"a\"\n{}{}[component.limits]\n{}",
        defaults_of(&own),
        defaults_of(&settings),
        defaults_of(&limits),
    );
    let name = Name::new("a").unwrap();
    let expected = Component::new(name.clone(), name);
    let description = parse("manual", &text).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(description.components[..], [expected]);
}

#[test]
fn every_key_of_shared_memory_has_the_default_that_is_told() {
    let rows = rows("\n## Shared memory\n", "\n## ");
    let components = "[[component]]\nname = \"a\"\n[[component]]\nname = \"b\"\n";
    assert_eq!(keys(&rows), known_in(&format!("{components}[[shared]]\nname = \"s\"\nzzzzzzzzzzzz = 1")));
    let text = format!("{components}[[shared]]\nname = \"s\"\nbetween = [\"a\", \"b\"]\n");
    let read = |text: &str| parse("manual", text).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(read(&text), read(&(text.clone() + &defaults_of(&rows))));
    assert_eq!(read(&text).shared[0].pages, Shared::DEFAULT_PAGES);
}

#[test]
fn every_key_of_devices_and_guests_is_told() {
    let component = "[[component]]\nname = \"a\"\ncapabilities = [\"guests\"]\n";
    let devices = known_in(&format!("{component}devices = [{{ zzzzzzzzzzzz = 1 }}]"));
    let selectors = keys(&rows("\n### Devices\n", "\n### "));
    let others = ["nth", "optional", "interrupt"].map(String::from);
    assert!(MANUAL.contains("`nth = 1`") && MANUAL.contains("`optional = true`"));
    assert_eq!(&selectors | &others.into(), devices);

    let guest = known_in(&format!(
        "{component}[[guest]]\nname = \"g\"\nkernel = \"k\"\nmemory = \"1 GiB\"\nzzzzzzzzzzzz = 1"
    ));
    let (_, guests) = MANUAL.split_once("\n## Guests\n").unwrap();
    for key in guest {
        assert!(guests.contains(&format!("`{key}`")), "{key} is told");
    }
}

#[test]
fn the_examples_are_right() {
    let mut examples =
        MANUAL.split("\n```toml\n").skip(1).map(|rest| rest.split("\n```").next().expect("an end"));
    let read = |text| -> Description { parse("manual", text).unwrap_or_else(|report| panic!("{report}")) };
    assert_eq!(read(examples.next().expect("the smallest")).components.len(), 1);
    let larger = read(examples.next().expect("a bit of everything"));
    assert_eq!((larger.components.len(), larger.guests.len()), (5, 1));
    assert_eq!(examples.next(), None);
}
