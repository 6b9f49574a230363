//! Why something is not done.

use alloc::string::String;
use core::fmt;
use serde::{Deserialize, Serialize};

/// What an answer's status line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is done.
    Ok,
    /// It is done, and something new is there.
    Created,
    /// It is begun.
    Accepted,
    /// The request is none, or asks for what makes no sense.
    BadRequest,
    /// There is no token, or none that is known.
    Unauthorized,
    /// The token's role may not do that.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// There is such a thing, but that cannot be done to it.
    MethodNotAllowed,
    /// It cannot be done where things stand.
    Conflict,
    /// The body is longer than any that makes sense.
    TooLarge,
    /// The head is longer than any that makes sense.
    HeadTooLarge,
    /// This server does not do that.
    NotImplemented,
    /// What would do it is not there now.
    Unavailable,
}

impl Status {
    /// Each with its number and its words.
    const NAMES: [(Self, u16, &'static str); 13] = [
        (Self::Ok, 200, "OK"),
        (Self::Created, 201, "Created"),
        (Self::Accepted, 202, "Accepted"),
        (Self::BadRequest, 400, "Bad Request"),
        (Self::Unauthorized, 401, "Unauthorized"),
        (Self::Forbidden, 403, "Forbidden"),
        (Self::NotFound, 404, "Not Found"),
        (Self::MethodNotAllowed, 405, "Method Not Allowed"),
        (Self::Conflict, 409, "Conflict"),
        (Self::TooLarge, 413, "Content Too Large"),
        (Self::HeadTooLarge, 431, "Request Header Fields Too Large"),
        (Self::NotImplemented, 501, "Not Implemented"),
        (Self::Unavailable, 503, "Service Unavailable"),
    ];

    fn row(self) -> (Self, u16, &'static str) {
        Self::NAMES.into_iter().find(|(status, ..)| *status == self).unwrap_or(Self::NAMES[0])
    }

    /// Its number.
    pub fn code(self) -> u16 {
        self.row().1
    }

    /// The status of this number, if it is one that is used here.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::NAMES.into_iter().find(|(_, known, _)| *known == code).map(|(status, ..)| status)
    }

    /// Its words.
    pub fn reason(self) -> &'static str {
        self.row().2
    }

    /// Whether what was asked for is done, or begun.
    pub fn is_success(self) -> bool {
        self.code() < 300
    }
}

/// The body of every answer that says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
pub struct Problem {
    /// The number of the status.
    pub status: u16,
    /// Why, for people: what was asked for and what was found.
    pub message: String,
}

impl Problem {
    /// A problem.
    pub fn new(status: Status, message: impl Into<String>) -> Self {
        Self { status: status.code(), message: message.into() }
    }

    /// Its status.
    pub fn status(&self) -> Status {
        Status::from_code(self.status).unwrap_or(Status::Unavailable)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (status {})", self.message, self.status)
    }
}

impl core::error::Error for Problem {}
