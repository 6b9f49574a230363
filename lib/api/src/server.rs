//! One connection, from the handshake to its end.
//!
//! Whoever is at the other end is nobody until it has finished the handshake, and then whoever its token says. It has a time for
//! everything it does, and room for one request; what it does wrong ends its own connection.

use crate::http::{Head, Request, read_request, too_large};
use crate::limits::{HANDSHAKE_S, IDLE_S, MAX_BODY, MAX_HEAD, REQUEST_S};
use crate::problem::{Problem, Status};
use crate::rate::Bucket;
use crate::role::Tokens;
use crate::routes::{Found, find};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::future::Future;
use embassy_futures::select::{Either, select};
use embassy_futures::yield_now;
use secure::{Broken, Handshake, LENGTH, MAX_RECORD, MAX_TEXT, Secret, Seed, Transport, record_length};

/// Bytes that come and go in order.
pub trait Wire {
    /// Waits for some bytes and puts them into `buffer`; answers how many, 0 when the other end sends no more.
    fn read(&mut self, buffer: &mut [u8]) -> impl Future<Output = Result<usize, Closed>>;

    /// Sends all of `bytes`.
    fn write(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), Closed>>;
}

/// The other end is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed;

/// Who does what is asked for.
pub trait Host {
    /// The time, in microseconds.
    fn now_us(&self) -> u64;

    /// Waits until then.
    fn wait_until(&self, at_us: u64) -> impl Future<Output = ()>;

    /// Whoever is at the other end has shown a token of this host. Answers whether the connection may go on: it may have been given up
    /// meanwhile, and only until then.
    fn let_in(&self) -> bool;

    /// Does what is asked for by somebody who may; answers with the body. To be waited for to its end.
    fn carry_out(&self, found: &Found, body: &[u8]) -> impl Future<Output = Result<Vec<u8>, Problem>>;
}

/// What a host's API is protected by.
#[derive(Debug)]
pub struct Keys {
    secret: Secret,
    tokens: Tokens,
}

impl Keys {
    /// What comes from the host's secret.
    pub fn new(secret: Secret) -> Self {
        Self { tokens: Tokens::of(&secret), secret }
    }

    /// The secret.
    pub const fn secret(&self) -> &Secret {
        &self.secret
    }
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The client went, or was told to.
    Over,
    /// The other end does not know the host's key, or what it sent was changed.
    Broken,
    /// It has taken too long for the handshake, a request or an answer, or has said nothing for too long.
    Late,
    /// It had not shown a token, and there was no connection left for somebody else.
    Displaced,
}

impl From<Closed> for End {
    fn from(_: Closed) -> Self {
        Self::Over
    }
}

impl From<Broken> for End {
    fn from(_: Broken) -> Self {
        Self::Broken
    }
}

/// Serves one connection to its end. `seed` is for this one alone.
pub async fn serve<W: Wire, H: Host>(wire: W, host: &H, keys: &Keys, seed: Seed) -> End {
    let mut connection = match Connection::accept(wire, host, keys, seed).await {
        Ok(connection) => connection,
        Err(end) => return end,
    };
    loop {
        match connection.serve_one(keys).await {
            Ok(true) => {}
            Ok(false) => return End::Over,
            Err(end) => return end,
        }
    }
}

struct Connection<'h, W, H> {
    wire: W,
    host: &'h H,
    transport: Transport,
    /// Text that has come and is not served yet.
    text: Vec<u8>,
    bucket: Bucket,
}

/// Waits for `done`, but not for longer than until `late_us`.
async fn in_time<H: Host, T>(
    host: &H,
    late_us: u64,
    done: impl Future<Output = Result<T, End>>,
) -> Result<T, End> {
    match select(done, host.wait_until(late_us)).await {
        Either::First(done) => done,
        Either::Second(()) => Err(End::Late),
    }
}

async fn read_exact<W: Wire>(wire: &mut W, mut bytes: &mut [u8]) -> Result<(), End> {
    while !bytes.is_empty() {
        match wire.read(bytes).await? {
            0 => return Err(End::Over),
            count => bytes = &mut bytes[count..],
        }
    }
    Ok(())
}

/// Reads a record, or a message of the handshake.
async fn read_record<W: Wire>(wire: &mut W) -> Result<Vec<u8>, End> {
    let mut announced = [0; LENGTH];
    read_exact(wire, &mut announced).await?;
    let mut record = vec![0; record_length(announced)?];
    read_exact(wire, &mut record).await?;
    Ok(record)
}

impl<'h, W: Wire, H: Host> Connection<'h, W, H> {
    async fn accept(mut wire: W, host: &'h H, keys: &Keys, seed: Seed) -> Result<Self, End> {
        let late_us = host.now_us() + HANDSHAKE_S * 1_000_000;
        let mut handshake = Handshake::server(&keys.secret, seed)?;
        let exchange = async {
            // Each of the three steps computes for a while, in which nobody else is served.
            yield_now().await;
            handshake.read(&read_record(&mut wire).await?)?;
            yield_now().await;
            let mut message = [0; LENGTH + 256];
            let length = handshake.write(&mut message)?;
            Ok(wire.write(&message[..length]).await?)
        };
        in_time(host, late_us, exchange).await?;
        Ok(Self { wire, host, transport: handshake.finish()?, text: Vec::new(), bucket: Bucket::new() })
    }

    /// Serves one request. Answers whether another one may follow.
    async fn serve_one(&mut self, keys: &Keys) -> Result<bool, End> {
        if self.text.is_empty() {
            let idle_us = self.host.now_us() + IDLE_S * 1_000_000;
            self.read_more(0, idle_us).await?;
        }
        let late_us = self.host.now_us() + REQUEST_S * 1_000_000;
        let (request, body) = match self.read_request(keys, late_us).await? {
            Ok(complete) => complete,
            // Where the next request begins is not known.
            Err(problem) => return self.refuse(&problem, false).await,
        };
        loop {
            let now_us = self.host.now_us();
            match self.bucket.take(now_us) {
                0 => break,
                wait_us => self.host.wait_until(now_us + wait_us).await,
            }
        }
        let (found, goes_on) = match request {
            Ok(asked) => asked,
            Err((problem, goes_on)) => return self.refuse(&problem, goes_on).await,
        };
        let found = match found.allowed(keys) {
            Ok(()) => found.found,
            // Who shows wrong tokens has to come again for each.
            Err(problem) => {
                let goes_on = goes_on && problem.status() != Status::Unauthorized;
                if problem.status() != Status::Unauthorized && !self.host.let_in() {
                    return Err(End::Displaced);
                }
                return self.refuse(&problem, goes_on).await;
            }
        };
        if !self.host.let_in() {
            return Err(End::Displaced);
        }
        match self.host.carry_out(&found, &body).await {
            Ok(bytes) => {
                let route = found.route;
                self.answer(route.status, route.answer.media_type(), &bytes, goes_on).await
            }
            Err(problem) => self.refuse(&problem, goes_on).await,
        }
    }

    /// Reads the next request and its body, and takes both off the text.
    async fn read_request(
        &mut self,
        keys: &Keys,
        late_us: u64,
    ) -> Result<Result<(Read, Vec<u8>), Problem>, End> {
        let (read, head, length) = loop {
            match read_request(&self.text) {
                Ok(Some(request)) => {
                    let (head, body) = (request.head, request.body);
                    break (read(&request), head, body);
                }
                Ok(None) => self.read_more(MAX_HEAD + MAX_BODY, late_us).await?,
                Err(problem) => return Ok(Err(problem)),
            }
        };
        if let Err(problem) = has_room(&read, length, keys) {
            return Ok(Err(problem));
        }
        while self.text.len() < head + length {
            self.read_more(MAX_HEAD + MAX_BODY.max(length), late_us).await?;
        }
        let body = self.text[head..head + length].to_vec();
        self.text.drain(..head + length);
        Ok(Ok((read, body)))
    }

    /// Reads more text, if there are not more than `most` bytes of it already.
    async fn read_more(&mut self, most: usize, late_us: u64) -> Result<(), End> {
        let Self { wire, host, transport, text, .. } = self;
        let record = in_time(*host, late_us, read_record(wire)).await?;
        // Whoever sends more than a request before it is answered waits in the network.
        if text.len() > most {
            return Err(End::Broken);
        }
        let from = text.len();
        text.resize(from + MAX_TEXT, 0);
        let length = transport.open(&record, &mut text[from..])?;
        text.truncate(from + length);
        Ok(())
    }

    async fn refuse(&mut self, problem: &Problem, goes_on: bool) -> Result<bool, End> {
        let body = serde_json::to_vec(problem).unwrap_or_default();
        self.answer(problem.status(), "application/json", &body, goes_on).await
    }

    async fn answer(
        &mut self,
        status: Status,
        media_type: &str,
        body: &[u8],
        goes_on: bool,
    ) -> Result<bool, End> {
        let late_us = self.host.now_us() + REQUEST_S * 1_000_000;
        let mut text = format!("{}", Head { status, media_type, body: body.len(), goes_on }).into_bytes();
        text.extend_from_slice(body);
        let Self { wire, host, transport, .. } = self;
        let send = async {
            let mut sealed = vec![0; LENGTH + MAX_RECORD];
            for piece in text.chunks(MAX_TEXT) {
                let length = transport.seal(piece, &mut sealed)?;
                wire.write(&sealed[..length]).await?;
            }
            Ok(goes_on)
        };
        in_time(*host, late_us, send).await
    }
}

/// What a request asks for, and whether another may follow; or why it asks for nothing.
type Read = Result<(Asked, bool), (Problem, bool)>;

/// What is asked for, and by whom: that is not known yet.
struct Asked {
    found: Found,
    token: Option<secure::Token>,
}

/// What a request asks for, apart from the memory that it lies in.
fn read(request: &Request<'_>) -> Read {
    match find(request) {
        Ok(found) => Ok((Asked { found, token: request.token.clone() }, request.goes_on)),
        // What there is and what there is not is no secret: it stands in the description.
        Err(problem) => Err((problem, request.goes_on)),
    }
}

impl Asked {
    /// Whether whoever asks may.
    fn allowed(&self, keys: &Keys) -> Result<(), Problem> {
        let role = self.token.as_ref().and_then(|token| keys.tokens.role(token));
        let Some(role) = role else {
            return Err(Problem::new(Status::Unauthorized, "a token of this host was expected"));
        };
        let needed = self.found.route.role;
        if role < needed {
            let message = format!("{} is for the role {needed}, not for {role}", self.found.route.id);
            return Err(Problem::new(Status::Forbidden, message));
        }
        Ok(())
    }
}

/// Whether a body of so many bytes is waited for: a long one only from somebody who may send it.
fn has_room(read: &Read, length: usize, keys: &Keys) -> Result<(), Problem> {
    let most = read.as_ref().map_or(MAX_BODY, |(asked, _)| asked.found.route.max_body());
    match read {
        _ if length > most => Err(too_large(most)),
        Ok((asked, _)) if length > MAX_BODY => asked.allowed(keys),
        _ => Ok(()),
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Over => "it is over",
            Self::Broken => "the other end does not speak the channel's protocol, or has not the key",
            Self::Late => "the other end took too long",
            Self::Displaced => "somebody else has come, and it had not shown a token",
        })
    }
}
