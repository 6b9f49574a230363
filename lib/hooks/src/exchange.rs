//! One request and its answer, over a connection that is used for nothing else.

use alloc::vec;
use api::server::{Closed, Wire};
use httparse::{EMPTY_HEADER, Response, Status};
use thiserror::Error;

/// Bytes of an answer that are looked at: its head has to be among them.
pub const MAX_ANSWER: usize = 2048;

/// Headers that an answer may have.
const MAX_HEADERS: usize = 32;

/// Answers of this kind come before the one that counts.
const INTERIM: core::ops::Range<u16> = 100..200;

/// Those who answer so have what they were told.
const TAKEN: core::ops::Range<u16> = 200..300;

/// Why a receiver is not known to have what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Failure {
    /// There is no connection to it.
    #[error("it cannot be reached")]
    Unreachable,
    /// The connection ended before an answer.
    #[error("the connection has ended without an answer")]
    Closed,
    /// It takes too long.
    #[error("it has not answered in time")]
    Late,
    /// What came is no answer, or none whose head ends soon enough.
    #[error("what it answers is no HTTP, or begins with more than {MAX_ANSWER} bytes of headers")]
    Rubbish,
    /// It says something else than that it has it.
    #[error("it answers {0}")]
    Refused(u16),
}

impl From<Closed> for Failure {
    fn from(_: Closed) -> Self {
        Self::Closed
    }
}

/// Sends a request and waits for the head of the answer. What follows the head is not read.
///
/// # Errors
/// See [`Failure`]. Whether the receiver has it is not known then, and it is to be told again.
pub async fn exchange<W: Wire>(wire: &mut W, request: &[u8]) -> Result<(), Failure> {
    wire.write(request).await?;
    let (mut answer, mut filled) = (vec![0; MAX_ANSWER], 0);
    loop {
        while let Some((code, head)) = read(&answer[..filled])? {
            match code {
                code if INTERIM.contains(&code) => {
                    answer.copy_within(head..filled, 0);
                    filled -= head;
                }
                code if TAKEN.contains(&code) => return Ok(()),
                code => return Err(Failure::Refused(code)),
            }
        }
        if filled == MAX_ANSWER {
            return Err(Failure::Rubbish);
        }
        match wire.read(&mut answer[filled..]).await? {
            0 => return Err(Failure::Closed),
            count => filled += count,
        }
    }
}

/// The status of the answer that `bytes` begin with, and the bytes of its head; none while that is not complete.
fn read(bytes: &[u8]) -> Result<Option<(u16, usize)>, Failure> {
    let mut headers = [EMPTY_HEADER; MAX_HEADERS];
    let mut answer = Response::new(&mut headers);
    match answer.parse(bytes) {
        Ok(Status::Complete(head)) => Ok(answer.code.map(|code| (code, head))),
        Ok(Status::Partial) => Ok(None),
        Err(_) => Err(Failure::Rubbish),
    }
}
