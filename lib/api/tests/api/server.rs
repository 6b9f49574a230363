//! A connection as a whole, against clients of all kinds, with a clock that runs as fast as everybody waits.

use api::http::read_answer;
use api::limits::{BURST, HANDSHAKE_S, IDLE_S, MAX_BODY, MAX_CONTENT, MAX_HEAD, REQUEST_S, REQUESTS_PER_S};
use api::server::{Closed, End, Host, Keys, Wire, serve};
use api::{Found, Problem, Role, Status};
use futures::FutureExt;
use futures::executor::block_on;
use futures::future::{join, poll_fn};
use proptest::prelude::*;
use secure::{Handshake, LENGTH, MAX_RECORD, MAX_TEXT, Secret, Seed, Transport, record_length};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Poll;

/// One direction of a wire.
#[derive(Clone, Default)]
struct Pipe(Rc<RefCell<(VecDeque<u8>, bool)>>);

impl Pipe {
    fn write(&self, bytes: &[u8]) {
        self.0.borrow_mut().0.extend(bytes);
    }

    fn close(&self) {
        self.0.borrow_mut().1 = true;
    }

    async fn read(&self, buffer: &mut [u8]) -> usize {
        poll_fn(|context| {
            let (bytes, is_closed) = &mut *self.0.borrow_mut();
            let count = bytes.len().min(buffer.len());
            if count == 0 && !*is_closed {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            bytes.drain(..count).zip(buffer.iter_mut()).for_each(|(byte, place)| *place = byte);
            Poll::Ready(count)
        })
        .await
    }
}

struct Server {
    from: Pipe,
    to: Pipe,
}

impl Wire for Server {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Closed> {
        Ok(self.from.read(buffer).await)
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        self.to.write(bytes);
        Ok(())
    }
}

/// A host that answers what it was asked, and whose time passes while somebody waits for it: so much with each look.
struct World {
    step_us: u64,
    now_us: Cell<u64>,
    asked: RefCell<Vec<String>>,
    /// Whether there is room for whoever has shown a token.
    has_room: bool,
}

impl Host for World {
    fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    async fn wait_until(&self, at_us: u64) {
        poll_fn(|context| {
            if self.now_us.get() >= at_us {
                return Poll::Ready(());
            }
            self.now_us.set(self.now_us.get() + self.step_us);
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn let_in(&self) -> bool {
        self.has_room
    }

    async fn carry_out(&self, found: &Found, body: &[u8]) -> Result<Vec<u8>, Problem> {
        let asked = format!("{} {} {}", found.route.id, found.name, String::from_utf8_lossy(body));
        self.asked.borrow_mut().push(asked.clone());
        match found.name.as_str() {
            "nobody" => Err(Problem::new(Status::NotFound, "there is no VM nobody")),
            _ => Ok(asked.into_bytes()),
        }
    }
}

fn secret() -> Secret {
    Secret::new([5; 32])
}

struct Client {
    from: Pipe,
    to: Pipe,
    transport: Transport,
    text: Vec<u8>,
}

impl Client {
    async fn connect(from: Pipe, to: Pipe) -> Self {
        let mut handshake = Handshake::client(&secret().public_key(), Seed::new([1; 32])).unwrap();
        let mut message = [0; LENGTH + MAX_RECORD];
        let length = handshake.write(&mut message).unwrap();
        to.write(&message[..length]);
        handshake.read(&read_record(&from).await.unwrap()).unwrap();
        Client { from, to, transport: handshake.finish().unwrap(), text: Vec::new() }
    }

    fn say(&mut self, text: &[u8]) {
        let mut sealed = vec![0; LENGTH + MAX_RECORD];
        for piece in text.chunks(MAX_TEXT) {
            let length = self.transport.seal(piece, &mut sealed).unwrap();
            self.to.write(&sealed[..length]);
        }
    }

    /// The next answer; none if the server has gone.
    async fn hear(&mut self) -> Option<(u16, String)> {
        loop {
            if let Some((code, head, body)) = read_answer(&self.text).unwrap()
                && self.text.len() >= head + body
            {
                let body = String::from_utf8(self.text[head..head + body].to_vec()).unwrap();
                self.text.drain(..head + body.len());
                return Some((code, body));
            }
            let record = read_record(&self.from).await?;
            let mut text = vec![0; MAX_TEXT];
            let length = self.transport.open(&record, &mut text).unwrap();
            self.text.extend(&text[..length]);
        }
    }

    async fn ask(&mut self, line: &str, role: &str, body: &str) -> Option<(u16, String)> {
        let (token, length) = (secret().token(role), body.len());
        self.say(
            format!(
                "{line} HTTP/1.1\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{body}"
            )
            .as_bytes(),
        );
        self.hear().await
    }
}

async fn read_record(from: &Pipe) -> Option<Vec<u8>> {
    let mut announced = [0; LENGTH];
    for place in &mut announced {
        from.read(std::slice::from_mut(place)).map(|count| (count > 0).then_some(())).await?;
    }
    let mut record = vec![0; record_length(announced).unwrap()];
    let mut filled = 0;
    while filled < record.len() {
        filled += match from.read(&mut record[filled..]).await {
            0 => return None,
            count => count,
        };
    }
    Some(record)
}

/// Has `client` speak to a server; answers how the connection ended, after how many seconds, and what the server was asked.
fn meet<F: Future<Output = ()>>(client: impl FnOnce(Pipe, Pipe) -> F) -> (End, u64, Vec<String>) {
    meet_in_steps(1000, client)
}

fn meet_in_steps<F: Future<Output = ()>>(
    step_us: u64,
    client: impl FnOnce(Pipe, Pipe) -> F,
) -> (End, u64, Vec<String>) {
    meet_in(World { step_us, now_us: Cell::default(), asked: RefCell::default(), has_room: true }, client)
}

fn meet_in<F: Future<Output = ()>>(
    world: World,
    client: impl FnOnce(Pipe, Pipe) -> F,
) -> (End, u64, Vec<String>) {
    let (there, back) = (Pipe::default(), Pipe::default());
    let keys = Keys::new(secret());
    let server = async {
        let wire = Server { from: there.clone(), to: back.clone() };
        let end = serve(wire, &world, &keys, Seed::new([2; 32])).await;
        back.close();
        end
    };
    let client = async {
        client(back.clone(), there.clone()).await;
    };
    let (end, ()) = block_on(join(server, client));
    (end, world.now_us.get() / 1_000_000, world.asked.into_inner())
}

/// The same for a client that shakes hands, and goes when it is done.
fn talk(client: impl AsyncFnOnce(&mut Client)) -> (End, u64, Vec<String>) {
    meet(|from, to| async move {
        let mut connected = Client::connect(from, to).await;
        client(&mut connected).await;
        connected.to.close();
    })
}

#[test]
fn requests_follow_each_other() {
    let (end, _, asked) = talk(async |client| {
        assert_eq!(client.ask("GET /v1/vms", "viewer", "").await, Some((200, "listVms  ".into())));
        assert_eq!(client.ask("POST /v1/vms", "operator", "name = 1").await.unwrap().0, 201);
        let (code, problem) = client.ask("GET /v1/vms/nobody", "admin", "").await.unwrap();
        assert_eq!((code, problem.as_str()), (404, r#"{"status":404,"message":"there is no VM nobody"}"#));
        assert_eq!(client.ask("GET /v1/nothing", "admin", "").await.unwrap().0, 404);
        assert_eq!(client.ask("PUT /v1/vms", "admin", "").await.unwrap().0, 405);
        assert_eq!(client.ask("GET /v1/host", "viewer", "").await.unwrap().0, 200);
    });
    assert_eq!(end, End::Over);
    assert_eq!(asked, ["listVms  ", "createVm  name = 1", "vm nobody ", "host  "]);
}

#[test]
fn several_requests_may_come_at_once_and_one_in_pieces() {
    let (.., asked) = talk(async |client| {
        let token = secret().token("viewer");
        let text = format!("GET /v1/host HTTP/1.1\r\nauthorization: Bearer {token}\r\n\r\n");
        client.say(text.repeat(2).as_bytes());
        for byte in text.as_bytes() {
            client.say(&[*byte]);
        }
        for _ in 0..3 {
            assert_eq!(client.hear().await.unwrap().0, 200);
        }
    });
    assert_eq!(asked.len(), 3);
}

#[test]
fn nothing_is_done_for_who_may_not() {
    for route in api::ROUTES {
        let line = format!("{} {}", route.method.name(), route.path.replace("{name}", "web"));
        for (name, role) in Role::NAMES {
            let (.., asked) = talk(async |client| {
                let (code, _) = client.ask(&line, name, "").await.unwrap();
                let expected = if role < route.role { 403 } else { route.status.code() };
                assert_eq!(code, expected, "{line} as {name}");
            });
            assert_eq!(asked.len(), usize::from(role >= route.role));
        }
        let (end, _, asked) = talk(async |client| {
            assert_eq!(client.ask(&line, "nobody", "").await.unwrap().0, 401);
            // A wrong token ends the connection.
            assert_eq!(client.hear().await, None);
        });
        assert_eq!((end, asked), (End::Over, Vec::new()));
    }
}

#[test]
fn without_a_token_nothing_is_done() {
    let (.., asked) = talk(async |client| {
        client.say(b"GET /v1/vms HTTP/1.1\r\n\r\n");
        assert_eq!(client.hear().await.unwrap().0, 401);
    });
    assert!(asked.is_empty());
}

#[test]
fn who_has_not_the_key_gets_no_answer() {
    let (end, ..) = meet(|from, to| async move {
        let other = Secret::new([6; 32]).public_key();
        let mut handshake = Handshake::client(&other, Seed::new([1; 32])).unwrap();
        let mut message = [0; LENGTH + MAX_RECORD];
        let length = handshake.write(&mut message).unwrap();
        to.write(&message[..length]);
        assert_eq!(read_record(&from).await, None);
    });
    assert_eq!(end, End::Broken);
}

#[test]
fn nothing_is_done_on_a_connection_that_was_given_up() {
    let world = World { step_us: 1000, now_us: Cell::default(), asked: RefCell::default(), has_room: false };
    let (end, _, asked) = meet_in(world, |from, to| async move {
        let mut client = Client::connect(from, to).await;
        assert_eq!(client.ask("GET /v1/vms", "admin", "").await, None);
    });
    assert_eq!((end, asked), (End::Displaced, Vec::new()));
}

#[test]
fn a_client_that_says_nothing_is_late() {
    assert_eq!(meet(|_, _| async {}).0, End::Late);
    let (end, seconds, _) = meet(|_, to| async move { to.write(&[0]) });
    assert_eq!((end, seconds), (End::Late, HANDSHAKE_S));
    let (end, seconds, _) = meet(|from, to| async move {
        Client::connect(from, to).await;
    });
    assert_eq!((end, seconds), (End::Late, IDLE_S));
}

/// Byte after byte, just often enough never to be idle.
#[test]
fn a_client_that_dawdles_is_late() {
    let (end, seconds, asked) = meet(|from, to| async move {
        let mut client = Client::connect(from, to).await;
        client.say(b"GET /v1/vms HTTP/1.1\r\n");
        for _ in 0..1000 {
            client.say(b"a");
            let mut is_first = true;
            poll_fn(|context| {
                context.waker().wake_by_ref();
                if std::mem::take(&mut is_first) { Poll::Pending } else { Poll::Ready(()) }
            })
            .await;
        }
    });
    assert_eq!((end, seconds, asked), (End::Late, REQUEST_S, Vec::new()));
}

#[test]
fn too_much_is_refused_and_ends_the_connection() {
    for (text, status) in [
        (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(MAX_HEAD)), Status::HeadTooLarge),
        (format!("POST /v1/vms HTTP/1.1\r\ncontent-length: {}\r\n\r\n", MAX_BODY + 1), Status::TooLarge),
        ("rubbish\r\n\r\n".into(), Status::BadRequest),
        ("POST /v1/vms HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n".into(), Status::NotImplemented),
    ] {
        let (end, _, asked) = talk(async |client| {
            client.say(text.as_bytes());
            assert_eq!(client.hear().await.unwrap().0, status.code());
            assert_eq!(client.hear().await, None);
        });
        assert_eq!((end, asked), (End::Over, Vec::new()));
    }
}

#[test]
fn a_long_body_is_read_from_who_may_send_it_and_from_nobody_else() {
    let (.., asked) = talk(async |client| {
        for length in [MAX_CONTENT, MAX_BODY + 1] {
            let body = "x".repeat(length);
            let line = "PUT /v1/volumes/disk0%2Fp1/content?from=0&sha256=0";
            assert_eq!(client.ask(line, "operator", &body).await.unwrap().0, 200);
        }
        assert_eq!(client.ask("GET /v1/host", "viewer", "").await.unwrap().0, 200);
    });
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0], format!("writeVolume disk0/p1 {}", "x".repeat(MAX_CONTENT)));
    for (role, length, status) in [
        ("viewer", MAX_CONTENT, Status::Forbidden),
        ("nobody", MAX_CONTENT, Status::Unauthorized),
        ("operator", MAX_CONTENT + 1, Status::TooLarge),
    ] {
        // The answer comes before the body does.
        let (end, _, asked) = talk(async |client| {
            let token = secret().token(role);
            let head = format!(
                "PUT /v1/volumes/disk0/content HTTP/1.1\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n"
            );
            client.say(head.as_bytes());
            assert_eq!(client.hear().await.unwrap().0, status.code());
            assert_eq!(client.hear().await, None);
        });
        assert_eq!((end, asked), (End::Over, Vec::new()), "{role}");
    }
}

#[test]
fn who_asks_too_often_waits() {
    let most = BURST + 3 * REQUESTS_PER_S;
    // Time hardly passes for anything else.
    let (_, seconds, asked) = meet_in_steps(10, |from, to| async move {
        let mut client = Client::connect(from, to).await;
        for _ in 0..most {
            assert_eq!(client.ask("GET /v1/vms", "viewer", "").await.unwrap().0, 200);
        }
        client.to.close();
    });
    assert_eq!((asked.len(), seconds), (most as usize, 3));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn rubbish_ends_the_connection_and_does_nothing(rubbish in prop::collection::vec(any::<u8>(), 0..400)) {
        let (end, _, asked) = meet(|_, to| async move {
            to.write(&rubbish);
            to.close();
        });
        prop_assert!(end != End::Late && asked.is_empty());
    }

    #[test]
    fn rubbish_inside_the_channel_does_nothing(rubbish in prop::collection::vec(any::<u8>(), 0..6000)) {
        let (.., asked) = talk(async |client| client.say(&rubbish));
        prop_assert!(asked.is_empty());
    }
}
