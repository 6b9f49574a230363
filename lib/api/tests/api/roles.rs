//! Tokens and roles.

use api::{Operation, ROUTES, Role, Tokens};
use secure::{Secret, Token};

#[test]
fn each_token_has_its_role_and_no_other() {
    let secret = Secret::new([3; 32]);
    let tokens = Tokens::of(&secret);
    for (name, role) in Role::NAMES {
        assert_eq!(tokens.role(&secret.token(name)), Some(role));
        assert_eq!(name.parse(), Ok(role));
        assert_eq!(tokens.role(&Secret::new([4; 32]).token(name)), None);
    }
    assert_eq!(tokens.role(&secret.token("root")), None);
    let nothing: Token = "0".repeat(64).parse().unwrap();
    assert_eq!(tokens.role(&nothing), None);
}

#[test]
fn who_may_more_may_all_that_others_may() {
    assert!(Role::Viewer < Role::Operator && Role::Operator < Role::Admin);
}

/// To look is for viewers; to change something is not, nor to learn something of what guests store.
#[test]
fn only_what_changes_nothing_is_for_viewers() {
    for route in ROUTES {
        let looks = route.method == api::http::Method::Get && route.operation != Operation::VolumeDigest;
        assert_eq!(route.role == Role::Viewer, looks, "{}", route.id);
    }
}
