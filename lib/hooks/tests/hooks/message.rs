//! What a receiver gets.

use api::types::{Event, Notification};
use hooks::{Address, Next, Sender, TOLD, is_told, signature};
use secure::Secret;

fn sender() -> Sender<'static> {
    let to = Address::read("http://10.0.2.2:9000/events").unwrap();
    Sender { host: "rack \"7\"", log: 0xab, to, key: Secret::new([3; 32]).signing_key(to.text) }
}

/// Head and body of a request, which fit each other.
fn request(next: &Next, last: u64) -> (String, Notification) {
    let request = String::from_utf8(sender().request(next, last).unwrap()).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    assert_eq!(signature(head), Some(sender().key.sign(body.as_bytes())));
    assert!(head.contains(&format!("\r\ncontent-length: {}\r\n", body.len())));
    (head.into(), serde_json::from_str(body).unwrap())
}

#[test]
fn an_event_is_told_as_the_api_has_it() {
    let event = Event { sequence: 17, at_us: 5, text: "net hold reason=exhausted".into() };
    let (head, told) = request(&Next::Tell(event.clone()), 12);
    let begin = "POST /events HTTP/1.1\r\nhost: 10.0.2.2:9000\r\ncontent-type: application/json\r\n";
    assert!(head.starts_with(begin), "{head}");
    let (host, log) = ("rack \"7\"".to_owned(), "00000000000000ab".to_owned());
    let expected = Notification { host, log, sequence: 17, after: 12, event: Some(event), lost_from: None };
    assert_eq!(told, expected);
}

#[test]
fn lines_that_are_lost_are_told_as_lost() {
    let (_, told) = request(&Next::TellLost(13, 40), 12);
    assert_eq!((told.sequence, told.after, told.event, told.lost_from), (40, 12, None, Some(13)));
    assert_eq!(sender().request(&Next::Pass(3), 0), None);
}

#[test]
fn the_signature_is_keyed_blake2s_as_every_library_has_it() {
    let key = Secret::new([3; 32]).signing_key("http://10.0.2.2:9000/events");
    assert_eq!(key.to_string(), "4f796f6dee56443246c36d388528be8ca92e7e74cdf231035c2afc6c4ad6729a");
    assert_eq!(
        key.sign(b"{}").to_string(),
        "65ee54e71eef452847eca16a66f47aae2c617fd158396ab88b28c874477b37bc"
    );
    // Whoever has the key of one receiver has no other's.
    assert_ne!(key, Secret::new([3; 32]).signing_key("http://10.0.2.2:9000/other"));
}

#[test]
fn a_line_is_told_by_its_kind_and_nothing_else() {
    for kind in TOLD {
        assert!(is_told(&format!("net {kind}")) && is_told(&format!("net {kind} reason=x")));
    }
    for text in [
        "",
        "hold",
        "net",
        "net log level=error msg=net hold",
        "net repaired rung=rebuild",
        "net hold reason=not-started",
    ] {
        assert!(!is_told(text), "{text}");
    }
}
