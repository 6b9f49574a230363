//! Either side dies between any two stores, and the next life goes on.

use broker::layout::{DATA_WORDS, WORDS};
use broker::{Answer, Client, Refusal, Request, Server};
use uk_abi::testing::Mortal;
use xen_abi::domctl::TscMode;
use xen_abi::{Domid, MachineAddr, Pfn};

const WRITE: Request = Request::Write { domain: Domid(9), at: MachineAddr(0x1000) };
const POPULATE: Request = Request::Populate { domain: Domid(9), first: Pfn(0), order: 9, count: 8 };

/// Root takes a request, carries it out and answers it, in as many lives as it takes: each dies after one store more
/// than the one before. Answers how often the request was carried out, and what each life found.
fn serve_in_many_lives(memory: &Mortal) -> (usize, Vec<Result<Request, Refusal>>) {
    let mut carried_out = 0;
    let mut found = Vec::new();
    for stores in 0.. {
        memory.die_after(stores);
        let server = Server::new(memory).unwrap();
        let Some(asked) = server.take(&mut [0; DATA_WORDS]) else { break };
        found.push(asked.request);
        // One that has died at the first store has not come to this.
        carried_out += usize::from(stores > 0 && asked.request.is_ok());
        server.answer(&asked, &asked.request.map(|_| Answer::Done));
        memory.revive();
    }
    memory.revive();
    (carried_out, found)
}

#[test]
fn root_dies_anywhere_and_does_once_what_cannot_be_done_twice() {
    let memory = Mortal::zeroed(WORDS);
    let mut client = Client::open(&memory).unwrap();
    let ticket = client.ask(&POPULATE, &[]).unwrap();
    let (carried_out, found) = serve_in_many_lives(&memory);
    assert_eq!(carried_out, 1, "{found:?}");
    assert_eq!(client.take(ticket), Ok(Err(Refusal::Interrupted)));
}

#[test]
fn root_dies_anywhere_and_does_again_what_can_be() {
    let memory = Mortal::zeroed(WORDS);
    let mut client = Client::open(&memory).unwrap();
    let ticket = client.ask(&WRITE, &[1, 2, 3]).unwrap();
    let (carried_out, found) = serve_in_many_lives(&memory);
    assert!(carried_out > 1 && found.iter().all(|request| *request == Ok(WRITE)), "{found:?}");
    assert_eq!(client.take(ticket), Ok(Ok(Answer::Done)));
}

/// The asker dies anywhere in a request: root sees all of it or nothing.
#[test]
fn an_asker_dies_anywhere() {
    for stores in 0.. {
        let memory = Mortal::zeroed(WORDS);
        let server = Server::new(&memory).unwrap();
        let mut first = Client::open(&memory).unwrap();
        let ticket = first.ask(&POPULATE, &[]).unwrap();
        let asked = server.take(&mut [0; DATA_WORDS]).unwrap();
        server.answer(&asked, &Ok(Answer::Done));
        first.take(ticket).unwrap().unwrap();

        memory.die_after(stores);
        let ticket = first.ask(&WRITE, &[7; 100]).unwrap();
        let was_dead = memory.revive();
        drop(ticket);

        let mut second = Client::open(&memory).unwrap();
        assert_eq!(second.is_settled(), !server.is_asked());
        let mut room = [0; DATA_WORDS];
        if let Some(asked) = server.take(&mut room) {
            assert_eq!((asked.request, asked.length), (Ok(WRITE), 100));
            assert!(room[..12].iter().all(|word| *word == 0x0707_0707_0707_0707));
            server.answer(&asked, &Ok(Answer::Done));
        }
        assert!(second.is_settled());
        let ticket = second.ask(&Request::Host, &[]).unwrap();
        assert!(!second.is_quiet() && second.is_settled());
        let asked = server.take(&mut room).unwrap();
        assert_eq!(asked.request, Ok(Request::Host));
        server.answer(&asked, &Err(Refusal::NoNumber));
        assert_eq!(second.take(ticket), Ok(Err(Refusal::NoNumber)));
        if !was_dead {
            return;
        }
    }
}

#[test]
fn what_cannot_be_repeated_is_known() {
    let domain = Domid(1);
    let repeatable = [
        Request::Host,
        Request::Info { domain },
        WRITE,
        Request::Destroy { domain },
        Request::SetWeight { domain, weight: 1 },
        Request::Component { index: 0 },
        Request::Event { from: 1 },
    ];
    let create = builder::steps::Create {
        handle: [1; 16],
        memory_kib: 1,
        vcpus: 1,
        tsc: TscMode::Default,
        tables: Default::default(),
    };
    let once = [
        Request::Create { create, weight: 256 },
        POPULATE,
        Request::AllocatePort { domain, remote: Domid(0) },
        Request::Pause { domain },
        Request::Unpause { domain },
        Request::Restart { index: 0, rung: 1 },
        Request::Inject { index: 0, fault: 1, argument: 0 },
    ];
    assert!(repeatable.iter().all(Request::is_repeatable));
    assert!(!once.iter().any(Request::is_repeatable));
}
