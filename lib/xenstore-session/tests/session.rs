//! The session over a ring whose other end is XenStore's engine.

use core::cell::{Cell, RefCell};
use core::future::{Future, poll_fn};
use core::pin::pin;
use core::task::{Context, Poll, Waker};
use ring::Page;
use ring::xenstore::Interface;
use std::sync::atomic::AtomicU32;
use xen_abi::Domid;
use xenstore_session::{
    ConnectionLost, Doorbell, Errno, Error, Event, Kind, Outcome, Permission, Session, Transaction,
};

const DOMAIN: Domid = Domid(1);
const NONE: Transaction = Transaction::NONE;

/// The other end, which takes a turn whenever it is told to look.
struct Server<'a> {
    store: xenstore_ring::testing::Server<'a>,
    /// It does not look.
    sleeps: bool,
}

impl<'a> Server<'a> {
    fn new(page: &'a Page) -> RefCell<Self> {
        let store = xenstore_ring::testing::Server::new(Interface::new(page), DOMAIN);
        RefCell::new(Self { store, sleeps: false })
    }

    fn turn(&mut self) {
        if !self.sleeps {
            self.store.turn();
        }
    }
}

/// What wakes the server.
struct Bell<'s, 'a>(&'s RefCell<Server<'a>>);

impl Doorbell for Bell<'_, '_> {
    fn ring(&self) {
        self.0.borrow_mut().turn();
    }

    async fn wait(&self) {
        poll_fn(|_| match self.0.borrow_mut().store.take_news() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

fn page() -> Page {
    [const { AtomicU32::new(0) }; 1024]
}

/// What becomes of a future in one go; none if it still waits for something.
fn poll<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn done<F: Future>(future: F) -> F::Output {
    poll(future).expect("the server answers at once")
}

fn connect<'a, 's>(server: &'s RefCell<Server<'a>>) -> Session<'a, Bell<'s, 'a>> {
    let interface = server.borrow().store.interface();
    done(Session::connect(interface, Bell(server), core::future::pending))
}

fn event(path: &str, token: &str) -> Event {
    Event { path: path.into(), token: token.into() }
}

fn refused(asked: Kind, path: &str, errno: Errno) -> Error {
    Error::Refused { asked, path: path.into(), errno }
}

#[test]
fn what_is_written_is_read() {
    let page = page();
    let server = Server::new(&page);
    let mut session = connect(&server);
    done(session.write(NONE, "/a/b", b"\0one\xff")).unwrap();
    done(session.mkdir(NONE, "/a/c")).unwrap();
    assert_eq!(done(session.read(NONE, "/a/b")), Ok(b"\0one\xff".to_vec()));
    assert_eq!(done(session.find(NONE, "/a/c")), Ok(Some(Vec::new())));
    assert_eq!(done(session.directory(NONE, "/a")), Ok(vec!["b".into(), "c".into()]));
    assert_eq!(done(session.directory(NONE, "/a/c")), Ok(Vec::new()));
    done(session.remove(NONE, "/a/b")).unwrap();
    assert_eq!(done(session.find(NONE, "/a/b")), Ok(None));
    assert_eq!(done(session.read(NONE, "/a/b")), Err(refused(Kind::Read, "/a/b", Errno::NotFound)));
    assert_eq!(done(session.read(NONE, "/a/b")).unwrap_err().to_string(), "Read /a/b: ENOENT",);
}

#[test]
fn permissions_are_for_those_whom_they_name() {
    let page = page();
    let server = Server::new(&page);
    let mut session = connect(&server);
    done(session.write(NONE, "/a", b"")).unwrap();
    let permissions = [Permission::owner(Domid(7)), Permission::reader(Domid(3))];
    assert_eq!(permissions.map(|permission| permission.to_string()), ["n7", "r3"]);
    done(session.set_permissions(NONE, "/a", &permissions)).unwrap();
    assert_eq!(
        done(session.set_permissions(NONE, "/b", &permissions)),
        Err(refused(Kind::SetPerms, "/b", Errno::NotFound)),
    );
}

#[test]
fn a_directory_may_be_larger_than_a_message() {
    let page = page();
    let server = Server::new(&page);
    let mut session = connect(&server);
    let names: Vec<String> = (0..900).map(|number| format!("child-{number:04}")).collect();
    for name in &names {
        done(session.mkdir(NONE, &format!("/a/{name}"))).unwrap();
    }
    assert_eq!(done(session.directory(NONE, "/a")), Ok(names));
}

#[test]
fn events_wait_in_their_order_while_requests_are_made() {
    let page = page();
    let server = Server::new(&page);
    let mut session = connect(&server);
    done(session.watch("/a", "first")).unwrap();
    done(session.watch("/b", "second")).unwrap();
    done(session.write(NONE, "/b/c", b"1")).unwrap();
    done(session.write(NONE, "/a", b"1")).unwrap();
    for expected in
        [event("/a", "first"), event("/b", "second"), event("/b/c", "second"), event("/a", "first")]
    {
        assert_eq!(done(session.event()), Ok(expected));
    }
    assert_eq!(session.try_event(), Ok(None));
    assert_eq!(poll(session.event()), None);
    done(session.write(NONE, "/a", b"2")).unwrap();
    done(session.write(NONE, "/b", b"2")).unwrap();
    done(session.unwatch("/a", "first")).unwrap();
    assert_eq!(done(session.event()), Ok(event("/b", "second")));
    assert_eq!(session.try_event(), Ok(None));
    assert_eq!(done(session.unwatch("/a", "first")), Err(refused(Kind::Unwatch, "/a", Errno::NotFound)));
}

#[test]
fn a_transaction_is_done_as_a_whole_or_not_at_all() {
    let page = page();
    let server = Server::new(&page);
    let mut session = connect(&server);
    let (first, second) = (done(session.begin()).unwrap(), done(session.begin()).unwrap());
    assert_ne!(first, second);
    for transaction in [first, second] {
        assert_eq!(done(session.find(transaction, "/sum")), Ok(None));
        done(session.write(transaction, "/sum", b"1")).unwrap();
    }
    assert_eq!(done(session.end(first, true)), Ok(Outcome::Committed));
    assert_eq!(done(session.end(second, true)), Ok(Outcome::Conflict));
    let dropped = done(session.begin()).unwrap();
    done(session.write(dropped, "/sum", b"2")).unwrap();
    assert_eq!(done(session.end(dropped, false)), Ok(Outcome::Committed));
    assert_eq!(done(session.read(NONE, "/sum")), Ok(b"1".to_vec()));
}

#[test]
fn a_domain_is_introduced_and_released() {
    let page = page();
    let server = Server::new(&page);
    let mut session = connect(&server);
    assert_eq!(done(session.is_introduced(Domid(9))), Ok(false));
    done(session.introduce(Domid(9), 77, 3)).unwrap();
    assert_eq!(done(session.is_introduced(Domid(9))), Ok(true));
    done(session.release(Domid(9))).unwrap();
    assert_eq!(done(session.is_introduced(Domid(9))), Ok(false));
}

#[test]
fn the_answer_to_a_request_that_was_dropped_is_passed_over() {
    let page = page();
    let server = Server::new(&page);
    let mut session = connect(&server);
    done(session.watch("/a", "token")).unwrap();
    server.borrow_mut().sleeps = true;
    assert_eq!(poll(session.write(NONE, "/a", b"dropped")), None);
    server.borrow_mut().sleeps = false;
    assert_eq!(done(session.read(NONE, "/a")), Ok(b"dropped".to_vec()));
    assert_eq!(done(session.event()), Ok(event("/a", "token")));
    assert_eq!(done(session.event()), Ok(event("/a", "token")));
    assert_eq!(session.try_event(), Ok(None));
}

#[test]
fn a_new_life_begins_anew() {
    let page = page();
    let server = Server::new(&page);
    let mut session = connect(&server);
    done(session.watch("/a", "token")).unwrap();
    // It ends with a part of a request in the ring.
    server.borrow_mut().sleeps = true;
    assert_eq!(poll(session.write(NONE, "/a", &[1; 2000])), None);
    let interface = server.borrow().store.interface();
    let pauses = Cell::new(0);
    let connecting = Session::connect(interface, Bell(&server), async || {
        pauses.set(pauses.get() + 1);
        server.borrow_mut().sleeps = pauses.get() < 3;
    });
    let mut session = done(connecting);
    assert_eq!(pauses.get(), 3);
    assert_eq!(done(session.find(NONE, "/a")), Ok(None));
    assert_eq!(session.try_event(), Ok(None));
    done(session.watch("/a", "token")).unwrap();
}

#[test]
fn what_does_not_fit_the_protocol_is_refused_before_it_is_sent() {
    let page = page();
    let server = Server::new(&page);
    let mut session = connect(&server);
    server.borrow_mut().sleeps = true;
    assert_eq!(done(session.write(NONE, "/a\0b", b"")), Err(refused(Kind::Write, "/a\0b", Errno::Invalid)));
    assert_eq!(done(session.write(NONE, "/a", &[0; 4094])), Err(refused(Kind::Write, "/a", Errno::TooBig)));
}

#[test]
fn a_connection_that_is_lost_can_be_begun_anew() {
    let page = page();
    let server = Server::new(&page);
    let mut session = connect(&server);
    let responses = server.borrow().store.interface().responses().writer();
    responses.write(responses.position(), &[0xff; 16]);
    responses.publish(responses.position().wrapping_add(16));
    let lost = done(session.read(NONE, "/a")).unwrap_err();
    assert!(matches!(lost, Error::Lost(ConnectionLost::Message(_))), "{lost}");
    done(session.reconnect(core::future::pending));
    assert_eq!(done(session.find(NONE, "/a")), Ok(None));
}
