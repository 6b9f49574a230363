//! Heads of requests, honest and others.

use api::http::{Head, Method, read_answer, read_request};
use api::limits::{MAX_CONTENT, MAX_HEAD, MAX_HEADERS};
use api::{Problem, Status};
use proptest::prelude::*;
use secure::Secret;

fn refused(text: &str) -> Status {
    read_request(text.as_bytes()).unwrap_err().status()
}

#[test]
fn a_request_is_read() {
    let token = Secret::new([1; 32]).token("viewer");
    let text = format!(
        "POST /v1/vms?a=b HTTP/1.1\r\nHost: x\r\nAuthorization: bearer {token}\r\nContent-Length: 5\r\n\r\nhello"
    );
    let request = read_request(text.as_bytes()).unwrap().unwrap();
    assert_eq!((request.method, request.target), (Some(Method::Post), "/v1/vms?a=b"));
    assert_eq!(request.token, Some(token));
    assert_eq!(&text[request.head..], "hello");
    assert_eq!((request.body, request.goes_on), (5, true));
}

#[test]
fn a_client_says_whether_it_goes_on() {
    let goes_on = |text: &str| read_request(text.as_bytes()).unwrap().unwrap().goes_on;
    assert!(goes_on("GET / HTTP/1.1\r\n\r\n"));
    assert!(!goes_on("GET / HTTP/1.1\r\nConnection: upgrade, Close\r\n\r\n"));
    assert!(!goes_on("GET / HTTP/1.0\r\n\r\n"));
    assert!(goes_on("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"));
}

#[test]
fn what_could_be_understood_in_two_ways_is_refused() {
    let with = |headers: &str| format!("POST /v1/vms HTTP/1.1\r\n{headers}\r\n\r\n");
    assert_eq!(refused(&with("Transfer-Encoding: chunked")), Status::NotImplemented);
    assert_eq!(refused(&with("Content-Length: 3\r\nTransfer-Encoding: chunked")), Status::NotImplemented);
    for length in ["3\r\nContent-Length: 3", "3, 3", "+3", "-1", "0x3", "", "3 3"] {
        assert_eq!(refused(&with(&format!("Content-Length: {length}"))), Status::BadRequest, "{length}");
    }
    assert_eq!(refused(&with("Content-Length : 3")), Status::BadRequest);
    assert_eq!(refused(&with("A: b\r\n c: d")), Status::BadRequest);
    let twice = format!("Authorization: Bearer {0}\r\nAuthorization: Bearer {0}", "0".repeat(64));
    assert_eq!(read_request(with(&twice).as_bytes()).unwrap().unwrap().token, None);
}

#[test]
fn what_is_too_long_is_refused_before_it_is_there() {
    assert_eq!(refused(&"a".repeat(MAX_HEAD)), Status::HeadTooLarge);
    let many = "a: b\r\n".repeat(MAX_HEADERS + 1);
    assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{many}\r\n")), Status::HeadTooLarge);
    for length in [format!("{}", MAX_CONTENT + 1), "9".repeat(40)] {
        let text = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
        assert_eq!(refused(&text), Status::TooLarge);
    }
    let text = format!("POST / HTTP/1.1\r\nContent-Length: {MAX_CONTENT}\r\n\r\n");
    assert_eq!(read_request(text.as_bytes()).unwrap().unwrap().body, MAX_CONTENT);
}

#[test]
fn what_is_no_token_is_none() {
    for value in ["Basic 00", "Bearer", "Bearer 00", "Bearer  ", "bearer=00"] {
        let text = format!("GET / HTTP/1.1\r\nAuthorization: {value}\r\n\r\n");
        assert_eq!(read_request(text.as_bytes()).unwrap().unwrap().token, None, "{value}");
    }
}

#[test]
fn an_answer_is_read_as_it_is_written() {
    for status in [Status::Ok, Status::Created, Status::Unauthorized, Status::Unavailable] {
        let head = Head { status, media_type: "application/json", body: 7, goes_on: false };
        let text = format!("{head}{{\"a\":1}}");
        assert_eq!(read_answer(text.as_bytes()), Ok(Some((status.code(), text.len() - 7, 7))));
        assert_eq!(text.contains("www-authenticate"), status == Status::Unauthorized);
    }
    assert!(read_answer(b"SSH-2.0").is_err());
    assert!(read_answer(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
}

#[test]
fn a_problem_is_read_as_it_is_written() {
    let problem = Problem::new(Status::Conflict, "web is paused");
    let text = serde_json::to_string(&problem).unwrap();
    assert_eq!(text, r#"{"status":409,"message":"web is paused"}"#);
    assert_eq!(serde_json::from_str::<Problem>(&text).unwrap().status(), Status::Conflict);
}

proptest! {
    #[test]
    fn rubbish_is_refused_or_waited_for(bytes in prop::collection::vec(any::<u8>(), 0..4000)) {
        let _ = read_request(&bytes);
        let _ = read_answer(&bytes);
    }

    #[test]
    fn a_request_is_not_complete_before_its_end(cut in any::<prop::sample::Index>()) {
        let text = b"GET /v1/vms/web/console?from=12&wait=5 HTTP/1.1\r\nHost: host\r\nConnection: close\r\n\r\n";
        prop_assert_eq!(read_request(&text[..cut.index(text.len())]), Ok(None));
    }

    #[test]
    fn a_changed_request_is_refused_or_of_the_length_that_it_says(
        at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut text = b"POST /v1/vms HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n".to_vec();
        let at = at.index(text.len());
        text[at] = byte;
        if let Ok(Some(request)) = read_request(&text) {
            prop_assert!(request.head <= text.len() && request.body <= MAX_CONTENT);
        }
    }
}
