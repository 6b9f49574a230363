//! The table, and what is found in it.

use api::http::{Method, read_request};
use api::{Found, Operation, Problem, ROUTES, Status, find};

fn ask(line: &str) -> Result<Found, Problem> {
    let bytes = format!("{line} HTTP/1.1\r\n\r\n");
    find(&read_request(bytes.as_bytes()).unwrap().unwrap())
}

fn refused(line: &str) -> Status {
    ask(line).unwrap_err().status()
}

#[test]
fn every_row_is_found_by_its_own_path_and_by_no_other() {
    for (index, route) in ROUTES.iter().enumerate() {
        let path = route.path.replace("{name}", "web");
        let found = ask(&format!("{} {path}", route.method.name())).unwrap();
        assert_eq!(found.route.operation, route.operation);
        assert_eq!(found.name, if route.path.contains("{name}") { "web" } else { "" });
        let is_same = |other: &&api::routes::Route| {
            (other.method, other.path) == (route.method, route.path) || other.id == route.id
        };
        assert_eq!(ROUTES.iter().position(|other| is_same(&other)), Some(index));
        assert!(route.path.starts_with("/v1/"));
    }
}

#[test]
fn names_are_decoded() {
    assert_eq!(ask("GET /v1/vms/my%20vm%2f1").unwrap().name, "my vm/1");
    assert_eq!(refused("GET /v1/vms/%ff"), Status::BadRequest);
}

#[test]
fn what_is_not_there_is_refused() {
    for line in ["GET /", "GET /v1", "GET /v2/vms", "GET /v1/vms/", "GET /v1/vms/a/b", "GET /v1/vms//console"]
    {
        assert_eq!(refused(line), Status::NotFound, "{line}");
    }
    for line in ["DELETE /v1/vms", "PUT /v1/vms", "GET /v1/vms/web/pause", "OPTIONS /v1/metrics"] {
        assert_eq!(refused(line), Status::MethodNotAllowed, "{line}");
    }
}

#[test]
fn a_query_has_numbers_and_words() {
    let found = ask("POST /v1/components/net/fault?kind=null-store&argument=7&x").unwrap();
    assert_eq!(found.route.operation, Operation::InjectFault);
    assert_eq!(found.word("kind").as_deref(), Some("null-store"));
    assert_eq!(found.number("argument", 0), Ok(7));
    assert_eq!(found.number("seconds", 60), Ok(60));
    let status = ask("GET /v1/events?from=-1").unwrap().number("from", 1).unwrap_err().status();
    assert_eq!(status, Status::BadRequest);
}

#[test]
fn methods_have_their_names() {
    assert_eq!(
        Method::NAMES.map(|(name, method)| (name, method.name())),
        [("GET", "GET"), ("POST", "POST"), ("PUT", "PUT"), ("DELETE", "DELETE")]
    );
}
