//! Requests to a host's API, inside its channel: as they should be, and anything else.
#![no_main]

use api::http::read_answer;
use api::limits::{MAX_ANSWER, MAX_BODY};
use api::routes::Body;
use api::server::{Closed, End, Host, Keys, Wire, serve};
use api::{Found, Problem, ROUTES, Role, Status};
use embassy_futures::block_on;
use libfuzzer_sys::fuzz_target;
use rvmm_fuzz::{byte, take};
use secure::{Handshake, LENGTH, MAX_RECORD, MAX_TEXT, Secret, Seed, Transport, record_length};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::Poll;

/// Headers and what stands between them.
const PIECES: [&str; 16] = [
    "content-length: 5\r\n",
    "content-length: 0\r\n",
    "content-length: 4097\r\n",
    "content-length: 65537\r\n",
    "content-length: +5\r\n",
    "transfer-encoding: chunked\r\n",
    "connection: close\r\n",
    "connection: keep-alive\r\n",
    "authorization: Bearer 00\r\n",
    "expect: 100-continue\r\n",
    "host: a\r\n",
    " folded: b\r\n",
    "\r\n",
    "\n\n",
    "GET /v1/vms HTTP/1.0\r\n",
    "\0",
];

fuzz_target!(|bytes: &[u8]| {
    let mut bytes = bytes;
    let mut cuts = take(&mut bytes, 8);
    let mut requests = Vec::new();
    let mut text = Vec::new();
    while !bytes.is_empty() {
        let request = request(&mut bytes);
        text.extend_from_slice(&request.text);
        requests.push(request);
    }
    let mut pieces = VecDeque::new();
    let mut rest = &text[..];
    while !rest.is_empty() {
        let size = if cuts.is_empty() { MAX_TEXT } else { usize::from(byte(&mut cuts)) << 3 };
        pieces.push_back(take(&mut rest, size).to_vec());
    }
    let host = World { now_us: Cell::new(0), done: RefCell::default() };
    let mut heard = Vec::new();
    let seed = |number| Seed::new([number; 32]);
    let handshake = Handshake::client(&secret().public_key(), seed(1)).expect("a good seed");
    let client = Client {
        handshake: Some(handshake),
        transport: None,
        pieces,
        sent: VecDeque::new(),
        heard: &mut heard,
    };
    let end = block_on(serve(client.begun(), &host, &Keys::new(secret()), seed(2)));
    assert!(end != End::Displaced && end != End::Late, "{end}");
    let done = host.done.take();
    let answers = answers(&heard);
    check(&requests, &answers, &done);
});

/// A request, and what must come of it; nothing is known of one that is no proper request.
struct Asked {
    text: Vec<u8>,
    proper: Option<Proper>,
    /// The highest role whose token stands in it.
    role: Option<Role>,
}

struct Proper {
    /// The name of what is to be done, and the body that it is to be done with; or why it is not done.
    outcome: Result<(&'static str, Vec<u8>), Status>,
    goes_on: bool,
}

fn request(bytes: &mut &[u8]) -> Asked {
    let (how, which, whom) = (byte(bytes), usize::from(byte(bytes)), byte(bytes) & 3);
    let role = usize::from(whom).checked_sub(1).map(|number| Role::NAMES[number]);
    let token = role.map_or("0".repeat(64), |(name, _)| secret().token(name).to_string());
    let role = role.map(|(_, role)| role);
    let size = usize::from(byte(bytes));
    let body = match (how & 15, ROUTES[which % ROUTES.len()].request) {
        (0, _) => vec![b'x'; MAX_BODY + 1],
        (_, Body::None) => Vec::new(),
        _ => take(bytes, size).to_vec(),
    };
    let route = &ROUTES[which % ROUTES.len()];
    let path = route.path.replace("{name}", ["web", "%2e%2e%2fa", "a%00"][usize::from(how >> 6).min(2)]);
    let query = ["", "?from=0&wait=-1", "?kind=%ff", "?"][usize::from(how >> 4 & 3)];
    let mut text = format!(
        "{} {path}{query} HTTP/1.1\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n",
        route.method.name(),
        body.len()
    )
    .into_bytes();
    let mut goes_on = true;
    let mut is_proper = true;
    // What else it has; most is not as it should be.
    for _ in 0..if how & 15 < 12 { 0 } else { how & 3 } {
        match byte(bytes) {
            number @ 0..16 => {
                let piece = PIECES[usize::from(number)];
                match piece {
                    "connection: close\r\n" => goes_on = false,
                    "host: a\r\n" | "expect: 100-continue\r\n" => {}
                    "connection: keep-alive\r\n" => {}
                    _ => is_proper = false,
                }
                text.extend_from_slice(piece.as_bytes());
            }
            at => {
                is_proper = false;
                let at = usize::from(at) % text.len();
                text[at] = byte(bytes);
            }
        }
    }
    text.extend_from_slice(b"\r\n");
    text.extend_from_slice(&body);
    let length = body.len();
    let outcome = match role {
        _ if body.len() > route.max_body() => Err(Status::TooLarge),
        None => Err(Status::Unauthorized),
        Some(role) if role < route.role => Err(Status::Forbidden),
        Some(_) => Ok((route.id, body)),
    };
    // Who shows no token, or sends more than it may, has to come again.
    let is_too_long = outcome.is_err() && length > MAX_BODY;
    let goes_on = goes_on && !is_too_long && !matches!(outcome, Err(Status::Unauthorized));
    Asked { text, proper: is_proper.then_some(Proper { outcome, goes_on }), role }
}

/// Nobody gets more than was asked for, and all proper requests get what is theirs.
fn check(requests: &[Asked], answers: &[u16], done: &[(&'static str, Vec<u8>)]) {
    let (mut answers, mut done) = (answers.iter(), done.iter());
    for request in requests {
        let Some(Proper { outcome, goes_on }) = &request.proper else {
            // What follows may be understood in any way, but nobody gets a role whose token he has not.
            let most = requests.iter().filter_map(|request| request.role).max();
            for (id, _) in done {
                let needed = ROUTES.iter().find(|route| route.id == *id).map(|route| route.role);
                assert!(most >= needed, "{id} was done for somebody who may not");
            }
            return;
        };
        let answer = answers.next().copied();
        match outcome {
            Ok((id, body)) => {
                assert_eq!(done.next(), Some(&(*id, body.clone())));
                let status = ROUTES.iter().find(|route| route.id == *id).map(|route| route.status.code());
                assert_eq!(answer, status);
            }
            // Its body is read to the end first where it is not too long.
            Err(status) => assert_eq!(answer, Some(status.code())),
        }
        if !goes_on {
            break;
        }
    }
    assert_eq!((answers.next(), done.next()), (None, None), "one answer for each request");
}

/// The statuses of all answers, each of which is whole.
fn answers(mut heard: &[u8]) -> Vec<u16> {
    let mut answers = Vec::new();
    while !heard.is_empty() {
        let (code, head, body) = read_answer(heard).expect("an answer").expect("a whole head");
        assert!(head + body <= heard.len() && body <= MAX_ANSWER, "a whole answer");
        if code >= 400 {
            let problem: Problem = serde_json::from_slice(&heard[head..head + body]).expect("why not");
            assert_eq!(problem.status, code);
        }
        answers.push(code);
        heard = &heard[head + body..];
    }
    answers
}

fn secret() -> Secret {
    Secret::new([5; 32])
}

/// A host whose time passes while somebody waits for it, and which does all that it is asked for.
struct World {
    now_us: Cell<u64>,
    done: RefCell<Vec<(&'static str, Vec<u8>)>>,
}

impl Host for World {
    fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    async fn wait_until(&self, at_us: u64) {
        poll_fn(|_| {
            if self.now_us.get() >= at_us {
                return Poll::Ready(());
            }
            self.now_us.set(self.now_us.get() + 1000);
            Poll::Pending
        })
        .await;
    }

    fn let_in(&self) -> bool {
        true
    }

    async fn carry_out(&self, found: &Found, body: &[u8]) -> Result<Vec<u8>, Problem> {
        assert!(body.len() <= found.route.max_body(), "a limit");
        // Whatever a query says can be asked for.
        for parameter in found.route.query {
            let _ = (found.word(parameter.name), found.number(parameter.name, 0));
        }
        self.done.borrow_mut().push((found.route.id, body.to_vec()));
        Ok(Vec::new())
    }
}

/// A client that says all it has to say when the handshake is done, and goes.
struct Client<'a> {
    handshake: Option<Handshake>,
    transport: Option<Transport>,
    pieces: VecDeque<Vec<u8>>,
    sent: VecDeque<u8>,
    heard: &'a mut Vec<u8>,
}

impl Client<'_> {
    fn begun(mut self) -> Self {
        let mut message = [0; LENGTH + MAX_RECORD];
        let handshake = self.handshake.as_mut().expect("it has not begun");
        let length = handshake.write(&mut message).expect("its turn");
        self.sent.extend(&message[..length]);
        self
    }
}

impl Wire for Client<'_> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Closed> {
        if let (true, Some(transport)) = (self.sent.is_empty(), &mut self.transport)
            && let Some(piece) = self.pieces.pop_front()
        {
            let mut sealed = [0; LENGTH + MAX_RECORD];
            let length = transport.seal(&piece, &mut sealed).expect("not too long");
            self.sent.extend(&sealed[..length]);
        }
        let count = self.sent.len().min(buffer.len());
        self.sent.drain(..count).zip(buffer).for_each(|(byte, place)| *place = byte);
        Ok(count)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        let (announced, record) = bytes.split_first_chunk::<LENGTH>().expect("a length");
        assert_eq!(record_length(*announced), Ok(record.len()));
        match (self.handshake.take(), &mut self.transport) {
            (Some(mut handshake), _) => {
                handshake.read(record).expect("an honest server");
                self.transport = Some(handshake.finish().expect("it is done"));
            }
            (None, Some(transport)) => {
                let mut text = [0; MAX_RECORD];
                let length = transport.open(record, &mut text).expect("an honest server");
                self.heard.extend_from_slice(&text[..length]);
            }
            (None, None) => unreachable!("it is one or the other"),
        }
        Ok(())
    }
}
