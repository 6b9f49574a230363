//! Whatever the text: a configuration or a mistake in it, at a place that there is.

use proptest::{collection::vec, prelude::*, sample::select};
use xlcfg::{Config, Disk, Vif};

/// Pieces that configurations are made of.
fn pieces() -> impl Strategy<Value = String> {
    let words = vec![
        "name",
        "memory",
        "kernel",
        "vcpus",
        "disk",
        "vif",
        "uuid",
        "type",
        "=",
        "=",
        "=",
        "[",
        "]",
        ",",
        ";",
        "\n",
        "\n",
        "'",
        "\"",
        "\\",
        "#",
        "1",
        "0x",
        "'pv'",
        "'k'",
        "'/d,,xvda'",
        "'mac=00:16:3e:00:00:01'",
        " ",
        "é",
        "\t",
    ];
    vec(prop_oneof![9 => select(words).prop_map(str::to_owned), 1 => "\\PC{0,4}"], 0..60)
        .prop_map(|pieces| pieces.concat())
}

fn assert_placed(text: &str) -> Result<(), TestCaseError> {
    if let Err(mistake) = Config::read(text) {
        let place = mistake.place;
        let line = text.split('\n').nth(place.line - 1);
        // Behind the last character of a line something can be missing.
        let columns = line.map(|line| line.chars().count() + 1);
        prop_assert!(columns.is_some_and(|columns| (1..=columns).contains(&place.column)), "{mistake}");
    }
    Ok(())
}

proptest! {
    #[test]
    fn pieces_of_configurations_are_read_or_refused(text in pieces()) {
        assert_placed(&text)?;
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        assert_placed(&text)?;
    }

    #[test]
    fn any_disk_and_interface_is_read_or_refused(value in "[a-z0-9,=:/ .]{0,40}") {
        assert_placed(&format!("name='n';kernel='k';memory=1;disk=['{value}']"))?;
        assert_placed(&format!("name='n';kernel='k';memory=1;vif=['{value}']"))?;
    }

    /// What is written comes back, whatever it is.
    #[test]
    fn a_quoted_text_comes_back(text in "[^\r]{0,30}") {
        let mut quoted = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        quoted = quoted.replace('\t', "\\t");
        let config = Config::read(&format!("name='n';kernel='k';memory=1;extra=\"{quoted}\"")).unwrap();
        prop_assert_eq!(config.cmdline, text);
    }

    /// What is written of an interface or a disk says the same as what was read.
    #[test]
    fn rates_and_targets_come_back(
        number in prop_oneof![any::<u64>(), 0..u64::MAX / 1_000_000_000, 0..100_u64],
        unit in select(vec!["GB", "MB", "KB", "Gb", "Mb", "Kb"]),
        target in "(raw:|phy:)? {0,2}/[a-z:= ]{0,9}",
    ) {
        if let Ok(vif) = format!("rate={number}{unit}/s").parse::<Vif>() {
            prop_assert_eq!(vif.to_string().parse(), Ok(vif));
        }
        let disk: Disk = format!("vdev=xvda,{target}").parse().unwrap();
        prop_assert_eq!(disk.to_string().parse(), Ok(disk));
    }
}
