//! The text form: what is written is what is read, and nothing that is written makes the reader panic.

use crate::strategy::valid_description;
use crate::writer::write;
use description::text::{Report, parse};
use description::{
    Component, ComponentSet, Console, Description, DeviceSelector, Driver, Granularity, Host, Limits, Name,
    Rung,
};
use proptest::prelude::*;

const RVMM_TOML: &str = include_str!("../../../../rvmm.toml");

fn read(text: &str) -> Result<Description, Report> {
    parse("test.toml", text)
}

fn names(description: &Description) -> Vec<&str> {
    description.components.iter().map(|component| component.name.as_str()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read(description in valid_description()) {
        let text = write(&description);
        match read(&text) {
            Ok(read) => prop_assert_eq!(read, description),
            Err(report) => prop_assert!(false, "{report}"),
        }
    }

    #[test]
    fn rubbish_is_reported(text in any::<String>()) {
        if let Err(report) = read(&text) {
            prop_assert!(!report.findings().is_empty());
            prop_assert!(report.to_string().contains("test.toml:"));
        }
    }

    /// Each finding points into the text, whatever the text has become.
    #[test]
    fn mutilated_text_is_reported_where_it_is(
        cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..40usize, "[a-z0-9\\[\\]{}=\",.\n\t é]{0,6}"), 1..6),
    ) {
        let mut text = RVMM_TOML.to_string();
        for (at, length, put) in cuts {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.floor_char_boundary((start + length).min(text.len()));
            text.replace_range(start.min(end)..end, &put);
        }
        if let Err(report) = read(&text) {
            for finding in report.findings() {
                let line = text.split('\n').nth(finding.line - 1).expect("a line of the text");
                prop_assert!(finding.column <= line.chars().count() + 1);
            }
            prop_assert!(report.to_string().contains("error: "));
        }
    }
}

/// The description at the top of the repository.
#[test]
fn the_hosts_own_description_is_right() {
    let description = read(RVMM_TOML).unwrap_or_else(|report| panic!("{report}"));
    let all = ["xenstore.0", "xenstore.1", "xenstore.2", "net", "disk", "tool"];
    assert_eq!(names(&description), all);
    assert_eq!(description.boot_order().unwrap(), [0, 1, 2, 3, 4, 5]);
    let guests: Vec<_> = description.guests.iter().map(|guest| guest.name.as_str()).collect();
    assert_eq!(guests, ["web", "files"]);
    assert_eq!(description.host.console, Console::Commands);
    let select = |name| description.components[description.find(name).unwrap()].devices[0].select;
    assert_eq!(select("net"), DeviceSelector::Driver { driver: Driver::VirtioNet, nth: 0 });
    assert_eq!(select("disk"), DeviceSelector::Driver { driver: Driver::VirtioBlk, nth: 0 });
}

#[test]
fn what_is_left_out_has_its_default() {
    let description = read("[[component]]\nname = \"probe\"").unwrap();
    assert_eq!(description.host, Host::DEFAULT);
    let name = Name::new("probe").unwrap();
    assert_eq!(description.components[..], [Component::new(name.clone(), name)]);
    assert!(description.guests.is_empty());
}

#[test]
fn defaults_hold_where_a_component_is_silent_key_by_key() {
    let description = read(
        r#"
        [defaults]
        weight = 7
        policy = "fine"
        limits = { part-restart = 9, hold = 2 }

        [[component]]
        name = "a"

        [[component]]
        name = "b"
        weight = 8
        limits = { hold = 3 }
        "#,
    )
    .unwrap();
    let [a, b] = &description.components[..] else { panic!("two components") };
    assert_eq!((a.weight, a.policy, a.limits.hold), (7, Granularity::Fine, 2));
    assert_eq!((b.weight, b.policy, b.limits.hold), (8, Granularity::Fine, 3));
    assert_eq!(b.limits.attempts(Rung::PartRestart), 9);
    assert_eq!(b.limits.attempts(Rung::Rebuild), Limits::DEFAULT.attempts(Rung::Rebuild));
}

#[test]
fn patience_follows_the_deadlines() {
    let component =
        |text: &str| read(&format!("[[component]]\nname = \"a\"\n{text}")).unwrap().components[0].clone();
    let patient =
        component("heartbeat-deadline = \"3 s\"\nboot-deadline = \"5 s\"\nlimits = { window = \"50 s\" }");
    assert_eq!((patient.starved_deadline_us, patient.enough_cpu_us), (5_000_000, 2_000));
    let hasty =
        component("heartbeat-period = \"1 ms\"\nheartbeat-deadline = \"4 ms\"\nboot-deadline = \"4 ms\"");
    assert_eq!((hasty.starved_deadline_us, hasty.enough_cpu_us), (1_000_000, 2_000));
    let said = component("starved-deadline = \"2 s\"\nenough-cpu = \"500 us\"");
    assert_eq!((said.starved_deadline_us, said.enough_cpu_us), (2_000_000, 500));
}

#[test]
fn instances_are_components_of_their_own() {
    let description = read(
        r#"
        [[component]]
        name = "client"
        depends-on = ["store", "other.1"]

        [[component]]
        name = "store"
        image = "xenstore"
        instances = 3

        [[component]]
        name = "other"
        instances = 2
        depends-on = ["store.2"]
        "#,
    )
    .unwrap();
    assert_eq!(names(&description), ["client", "store.0", "store.1", "store.2", "other.0", "other.1"]);
    assert_eq!(description.components[0].depends_on, ComponentSet::from_bits(0b101110));
    assert_eq!(description.components[5].depends_on, ComponentSet::from_bits(0b1000));
    assert_eq!(description.components[2].image.as_str(), "xenstore");
    assert_eq!(description.components[4].image.as_str(), "other");
    assert_eq!(description.boot_order().unwrap(), [1, 2, 3, 4, 5, 0]);
}

#[test]
fn each_instance_takes_the_next_devices() {
    let description = read(
        r#"
        [[component]]
        name = "net"
        instances = 2
        dma = "64 KiB"
        devices = [{ class = "net" }, { class = "net", nth = 1 }, { driver = "nvme", nth = 4 }]
        "#,
    )
    .unwrap();
    let nths =
        |i: usize| description.components[i].devices.iter().map(|d| d.select.nth()).collect::<Vec<_>>();
    assert_eq!((nths(0), nths(1)), (vec![0, 1, 4], vec![2, 3, 5]));
}

#[test]
fn a_report_is_of_findings_in_the_order_of_the_text() {
    let report = read("[host]\nweight = -1\nmemory = \"1 MB\"\n").unwrap_err();
    let places: Vec<_> = report.findings().iter().map(|finding| (finding.line, finding.column)).collect();
    assert_eq!(places, [(1, 1), (2, 10), (3, 10)][1..]);
}
