//! Heads of requests and answers: as much of HTTP/1.1 as an API needs, read by the crate `httparse`.
//!
//! What could be understood in two ways is refused: two lengths, a length and another encoding, headers that go on in the
//! next line.

use crate::limits::{MAX_CONTENT, MAX_HEAD, MAX_HEADERS};
use crate::problem::{Problem, Status};
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::str;
use httparse::{EMPTY_HEADER, Error, Header};
use secure::Token;

/// How something is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// To look.
    Get,
    /// To have something done.
    Post,
    /// To have something be as the body says, however often it is said.
    Put,
    /// To take something away.
    Delete,
}

impl Method {
    /// All of them, with their names.
    pub const NAMES: [(&'static str, Self); 4] =
        [("GET", Self::Get), ("POST", Self::Post), ("PUT", Self::Put), ("DELETE", Self::Delete)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.into_iter().find(|(_, method)| *method == self).map_or("", |(name, _)| name)
    }
}

/// The head of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request<'b> {
    /// The method; none if it is not used here.
    pub method: Option<Method>,
    /// The path, and behind a question mark the query.
    pub target: &'b str,
    /// The token that it shows; none if it shows none, or something that is no token.
    pub token: Option<Token>,
    /// Bytes of the head.
    pub head: usize,
    /// Bytes of the body, behind the head.
    pub body: usize,
    /// Whether another request may follow.
    pub goes_on: bool,
}

/// Reads the head of a request that `bytes` begin with; none while it is not complete.
///
/// # Errors
/// It is no request, or one that is too long, or cannot be served. Where the next one begins is not known then.
pub fn read_request(bytes: &[u8]) -> Result<Option<Request<'_>>, Problem> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let head = match request.parse(&bytes[..bytes.len().min(MAX_HEAD)]) {
        Ok(httparse::Status::Complete(head)) => head,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) => {
            return Err(Problem::new(Status::HeadTooLarge, format!("a head has at most {MAX_HEAD} bytes")));
        }
        Err(Error::TooManyHeaders) => {
            return Err(Problem::new(
                Status::HeadTooLarge,
                format!("a request has at most {MAX_HEADERS} headers"),
            ));
        }
        Err(error) => return Err(bad(format!("not a request: {error}"))),
    };
    let (method, target) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
    let method = Method::NAMES.into_iter().find(|(name, _)| *name == method).map(|(_, method)| method);
    if all(request.headers, "transfer-encoding").next().is_some() {
        return Err(Problem::new(Status::NotImplemented, "a body comes with its length, and whole"));
    }
    let body = body_length(request.headers)?;
    let wishes = |word: &str| {
        let mut values = all(request.headers, "connection").filter_map(|value| str::from_utf8(value).ok());
        values.any(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case(word)))
    };
    let goes_on = if request.version == Some(0) { wishes("keep-alive") } else { !wishes("close") };
    let mut shown = all(request.headers, "authorization");
    let token = shown.next().and_then(bearer).filter(|_| shown.next().is_none());
    Ok(Some(Request { method, target, token, head, body, goes_on }))
}

fn bad(message: impl Into<String>) -> Problem {
    Problem::new(Status::BadRequest, message)
}

fn all<'h, 'b>(headers: &'h [Header<'b>], name: &'h str) -> impl Iterator<Item = &'b [u8]> + 'h {
    headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
}

fn body_length(headers: &[Header<'_>]) -> Result<usize, Problem> {
    let mut lengths = all(headers, "content-length");
    let Some(length) = lengths.next() else { return Ok(0) };
    let is_number = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
    if !is_number || lengths.next().is_some() {
        return Err(bad("content-length: one number was expected"));
    }
    // More digits than a number has are a long body too.
    let length = str::from_utf8(length).ok().and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    match length {
        0..=MAX_CONTENT => Ok(length),
        _ => Err(too_large(MAX_CONTENT)),
    }
}

/// A body has more bytes than the most that makes sense.
pub(crate) fn too_large(most: usize) -> Problem {
    Problem::new(Status::TooLarge, format!("a body has at most {most} bytes"))
}

/// The token in a value such as `Bearer 0123...`.
fn bearer(value: &[u8]) -> Option<Token> {
    let (scheme, token) = str::from_utf8(value).ok()?.split_once(' ')?;
    token.trim().parse().ok().filter(|_| scheme.eq_ignore_ascii_case("bearer"))
}

/// The head of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head<'m> {
    /// Its status.
    pub status: Status,
    /// The media type of its body.
    pub media_type: &'m str,
    /// Bytes of its body.
    pub body: usize,
    /// Whether another request may follow.
    pub goes_on: bool,
}

impl fmt::Display for Head<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, media_type, body, goes_on } = self;
        write!(f, "HTTP/1.1 {} {}\r\n", status.code(), status.reason())?;
        write!(f, "content-type: {media_type}\r\ncontent-length: {body}\r\ncache-control: no-store\r\n")?;
        if *status == Status::Unauthorized {
            f.write_str("www-authenticate: Bearer\r\n")?;
        }
        write!(f, "connection: {}\r\n\r\n", if *goes_on { "keep-alive" } else { "close" })
    }
}

/// What a client makes of an answer's head: its status, bytes of the head and of the body; none while it is not complete.
///
/// # Errors
/// It is no answer of such a server.
pub fn read_answer(bytes: &[u8]) -> Result<Option<(u16, usize, usize)>, NotAnAnswer> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut answer = httparse::Response::new(&mut headers);
    match answer.parse(bytes) {
        Ok(httparse::Status::Complete(head)) => {
            let length = all(answer.headers, "content-length").next();
            let length = length.and_then(|value| str::from_utf8(value).ok()?.parse().ok());
            match (answer.code, length) {
                (Some(code), Some(length)) => Ok(Some((code, head, length))),
                _ => Err(NotAnAnswer),
            }
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(_) => Err(NotAnAnswer),
    }
}

/// What came is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnAnswer;

impl fmt::Display for NotAnAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what came is no answer of such a server")
    }
}

impl core::error::Error for NotAnAnswer {}
