//! The description in the repository is that of the code.

use std::collections::BTreeSet;
use std::path::Path;

/// Set, the description in the repository is written anew.
const UPDATE: &str = "RVMM_UPDATE_OPENAPI";

#[test]
fn the_description_in_the_repository_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openapi.json");
    let described = serde_json::to_string_pretty(&api::openapi::description()).unwrap() + "\n";
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(&path, &described).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == described, "{} differs from the code: run this test with {UPDATE}=1", path.display());
}

#[test]
fn every_type_that_a_body_names_is_described_and_none_besides() {
    let described = api::openapi::description();
    let schemas: BTreeSet<&str> =
        described["components"]["schemas"].as_object().unwrap().keys().map(String::as_str).collect();
    let text = described.to_string();
    let mut named: BTreeSet<&str> = text.split("#/components/schemas/").skip(1).collect();
    named = named.into_iter().map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(named, schemas);
}
