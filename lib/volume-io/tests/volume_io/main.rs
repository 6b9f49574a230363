//! What is asked is done, whoever dies; what is no message harms nobody.

use cable::Side;
use proptest::prelude::*;
use uk_abi::testing::Mortal;
use volume_io::{Answer, Asker, Heard, MAX_DATA, NoRoom, Refusal, Request, Server};

/// Words of the memory: three full messages each way.
const WORDS: usize = (256 << 10) / 8;

/// Bytes of the volume that all this is about.
const VOLUME: usize = 64;

const BYTES: usize = 16;

/// Who dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Asker,
    Server,
}

/// Two ends and a volume. One of the ends dies at one of its stores.
struct World<'m> {
    memory: &'m Mortal,
    victim: Victim,
    stores_left: usize,
    has_died: bool,
    life: u64,
    asker: Asker<&'m Mortal>,
    server: Server<&'m Mortal>,
    volume: [u8; VOLUME],
    /// How many requests the server has done.
    done: usize,
}

fn write(place: usize, value: u8) -> (Request, Vec<u8>) {
    let from = (place * BYTES) as u64;
    (Request::Write { volume: "disk0".into(), from }, vec![value; BYTES])
}

impl<'m> World<'m> {
    fn new(memory: &'m Mortal, victim: Victim, stores_left: usize) -> Self {
        let asker = Asker::new(memory, Side::First, 1).unwrap();
        let server = Server::new(memory, Side::Second).unwrap();
        let (life, volume) = (1, [0; VOLUME]);
        Self { memory, victim, stores_left, has_died: false, life, asker, server, volume, done: 0 }
    }

    /// Lets an end do something. None if it has died in it.
    fn act<T>(&mut self, who: Victim, act: impl FnOnce(&mut Self) -> T) -> Option<T> {
        if who != self.victim || self.has_died {
            return Some(act(self));
        }
        let (_, before) = self.memory.accesses();
        self.memory.die_after(self.stores_left);
        let done = act(self);
        let (_, after) = self.memory.accesses();
        self.memory.revive();
        let left = self.stores_left.checked_sub(after - before);
        self.has_died = left.is_none();
        self.stores_left = left.unwrap_or_default();
        left.map(|_| done)
    }

    fn serve(&mut self) {
        let Some(asked) = self.act(Victim::Server, |world| world.server.take()) else {
            return self.revive_server();
        };
        let Some(asked) = asked else { return };
        let asked = asked.unwrap();
        self.done += 1;
        let (answer, data) = match &asked.request {
            Request::Write { from, .. } => {
                let from = *from as usize;
                self.volume[from..from + asked.data.len()].copy_from_slice(&asked.data);
                (Answer::Done, Vec::new())
            }
            Request::Read { from, bytes, .. } => {
                let from = *from as usize;
                (Answer::Read, self.volume[from..from + *bytes as usize].to_vec())
            }
            _ => (Answer::Refused(Refusal::ReadOnly), Vec::new()),
        };
        if self.act(Victim::Server, |world| world.server.answer(&asked, answer, &data)).is_none() {
            self.revive_server();
        }
    }

    fn revive_server(&mut self) {
        self.server = Server::new(self.memory, Side::Second).unwrap();
    }

    /// Asks until it is answered. None if whoever asks has died: what it asked is nobody's then.
    fn ask(&mut self, request: &Request, data: &[u8]) -> Option<(Answer, Vec<u8>)> {
        let asked = self.act(Victim::Asker, |world| world.asker.ask(request.clone(), data));
        assert_ne!(asked, Some(Err(NoRoom)));
        let mut heard = asked.map(|_| Heard::Nothing);
        loop {
            match heard {
                Some(Heard::Nothing | Heard::AskedAgain) => {}
                Some(Heard::Answer(answer, data)) => return Some((answer, data)),
                Some(Heard::GivenUp) => panic!("it has died once"),
                None => {
                    self.life += 1;
                    self.asker = Asker::new(self.memory, Side::First, self.life).unwrap();
                    return None;
                }
            }
            self.serve();
            heard = self.act(Victim::Asker, |world| world.asker.hear());
        }
    }

    /// The same, and once more in the next life.
    fn insist(&mut self, request: &Request, data: &[u8]) -> (Answer, Vec<u8>) {
        self.ask(request, data).or_else(|| self.ask(request, data)).expect("it dies once")
    }
}

#[test]
fn what_is_answered_is_done_whichever_end_dies_at_whatever_store() {
    for victim in [Victim::Asker, Victim::Server] {
        for stores in 0.. {
            let memory = Mortal::zeroed(WORDS);
            let mut world = World::new(&memory, victim, stores);
            // The third is written twice: what came first must not come last.
            for (place, value) in [(0, 1), (1, 2), (2, 3), (2, 4), (3, 5)] {
                let (request, data) = write(place, value);
                assert_eq!(world.insist(&request, &data).0, Answer::Done);
                let from = place * BYTES;
                assert_eq!(world.volume[from..from + BYTES], data, "{victim:?} after {stores} stores");
                let read = Request::Read { volume: "disk0".into(), from: from as u64, bytes: BYTES as u32 };
                assert_eq!(world.insist(&read, &[]), (Answer::Read, data));
            }
            let expected: Vec<u8> = [1, 2, 4, 5].iter().flat_map(|value| [*value; BYTES]).collect();
            assert_eq!(world.volume[..], expected);
            if !world.has_died {
                break;
            }
        }
    }
}

#[test]
fn what_kills_whoever_does_it_is_given_up() {
    let memory = Mortal::zeroed(WORDS);
    let mut asker = Asker::new(&memory, Side::First, 1).unwrap();
    let mut server = Server::new(&memory, Side::Second).unwrap();
    asker.ask(write(0, 1).0, &[]).unwrap();
    for deaths in 0.. {
        assert!(deaths < 10);
        server.take().unwrap().unwrap();
        server = Server::new(&memory, Side::Second).unwrap();
        match asker.hear() {
            Heard::AskedAgain => {}
            heard => {
                assert_eq!((heard, deaths), (Heard::GivenUp, 4));
                break;
            }
        }
    }
    assert!(server.take().is_none());
    // The next is asked as if nothing had been.
    asker.ask(Request::Describe { index: 0 }, &[]).unwrap();
    let asked = server.take().unwrap().unwrap();
    server.answer(&asked, Answer::Volume(None), &[]);
    assert_eq!(asker.hear(), Heard::Answer(Answer::Volume(None), Vec::new()));
}

#[test]
fn an_answer_that_comes_late_is_nobodys() {
    let memory = Mortal::zeroed(WORDS);
    let mut asker = Asker::new(&memory, Side::First, 1).unwrap();
    let mut server = Server::new(&memory, Side::Second).unwrap();
    asker.ask(write(0, 1).0, &[1; MAX_DATA]).unwrap();
    let first = server.take().unwrap().unwrap();
    assert_eq!(first.data, [1; MAX_DATA]);
    asker.ask(Request::Describe { index: 0 }, &[]).unwrap();
    server.answer(&first, Answer::Done, &[]);
    assert_eq!(asker.hear(), Heard::Nothing);
    let second = server.take().unwrap().unwrap();
    server.answer(&second, Answer::Volume(None), &[]);
    assert_eq!(asker.hear(), Heard::Answer(Answer::Volume(None), Vec::new()));
}

#[test]
fn where_nobody_is_asked_nothing_piles_up() {
    let memory = Mortal::zeroed(WORDS);
    let mut asker = Asker::new(&memory, Side::First, 1).unwrap();
    let asked = (0..100).take_while(|_| asker.ask(write(0, 1).0, &[1; MAX_DATA]).is_ok()).count();
    assert_eq!(asked, 3);
    assert_eq!(asker.ask(Request::Describe { index: 0 }, &[1; MAX_DATA + 1]), Err(NoRoom));
    assert_eq!(asker.hear(), Heard::Nothing);
    // Who comes then takes them in their order.
    let mut server = Server::new(&memory, Side::Second).unwrap();
    assert_eq!(std::iter::from_fn(|| server.take()).filter(Result::is_ok).count(), 3);
}

#[test]
fn too_little_memory_is_refused() {
    assert!(Asker::new(&Mortal::zeroed(WORDS / 8), Side::First, 1).is_none());
    assert!(Server::new(&Mortal::zeroed(WORDS / 8), Side::Second).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn rubbish_harms_neither_end(words in prop::collection::vec(any::<u64>(), 0..600), noise in prop::collection::vec((0..8usize, any::<u64>()), 0..8)) {
        // Frames of rubbish, and rubbish in the indexes.
        let memory = Mortal::zeroed(WORDS);
        let rubbish: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        for side in [Side::First, Side::Second] {
            let end = cable::End::carrying(&memory, side, 1, MAX_DATA).unwrap();
            for frame in rubbish.chunks(97) {
                end.send(frame);
            }
        }
        noise.iter().for_each(|(index, mask)| memory.flip(*index, *mask));
        let mut asker = Asker::new(&memory, Side::First, 1).unwrap();
        let mut server = Server::new(&memory, Side::Second).unwrap();
        while server.take().is_some() {}
        asker.ask(Request::Describe { index: 7 }, &[]).unwrap();
        let asked = server.take().unwrap().unwrap();
        prop_assert_eq!(&asked.request, &Request::Describe { index: 7 });
        while asker.hear() != Heard::Nothing {}
        server.answer(&asked, Answer::Done, &[7; MAX_DATA]);
        prop_assert_eq!(asker.hear(), Heard::Answer(Answer::Done, vec![7; MAX_DATA]));
    }
}
