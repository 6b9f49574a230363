//! Sequences of steps, made from a seed: mostly sensible, so that they reach far, and wrong in every field now and then.

use fastrand::Rng;
use peers::State;
use xenstore_client::wire::{Kind, PAYLOAD_MAX};

use crate::step::{Action, Request, Seat, Step, Transaction};

/// The guests.
pub const GUESTS: [u32; 3] = [1, 2, 3];
/// How many sockets there are.
pub const SOCKETS: usize = 3;
/// A domid that no guest ever has.
const NOBODY: u32 = 99;

/// How often each kind of request is made.
const KINDS: [(Kind, u32); 20] = [
    (Kind::Write, 18),
    (Kind::Read, 12),
    (Kind::Directory, 8),
    (Kind::DirectoryPart, 3),
    (Kind::Mkdir, 7),
    (Kind::Rm, 7),
    (Kind::GetPerms, 6),
    (Kind::SetPerms, 9),
    (Kind::Watch, 9),
    (Kind::Unwatch, 4),
    (Kind::TransactionStart, 5),
    (Kind::TransactionEnd, 6),
    (Kind::GetDomainPath, 1),
    (Kind::IsDomainIntroduced, 2),
    (Kind::ResetWatches, 1),
    (Kind::Introduce, 2),
    (Kind::Release, 1),
    (Kind::Resume, 1),
    (Kind::SetTarget, 1),
    (Kind::Control, 1),
];

/// Makes one sequence.
#[derive(Debug)]
pub struct Generator {
    rng: Rng,
    /// Labels of the transactions that each seat has started, the newest last.
    started: Vec<(Seat, u32)>,
    labels: u32,
}

/// A sequence of `length` steps after the setting up: every guest is there, is introduced, and owns its part of the store.
pub fn sequence(seed: u64, length: usize) -> Vec<Step> {
    let mut generator = Generator { rng: Rng::with_seed(seed), started: Vec::new(), labels: 0 };
    let mut steps = Vec::new();
    for domid in GUESTS {
        steps.push(Step { seat: Seat::Guest(domid), action: Action::Create });
        let path = format!("/local/domain/{domid}");
        for request in [
            introduction(domid),
            Request::new(Kind::Mkdir, format!("{path}\0")),
            Request::new(Kind::SetPerms, format!("{path}\0n{domid}\0")),
        ] {
            steps.push(Step { seat: Seat::Socket(0), action: Action::Request(request) });
        }
    }
    steps.extend((0..length).map(|_| generator.step()));
    steps
}

/// The request that a toolstack introduces a guest with.
fn introduction(domid: u32) -> Request {
    Request::new(Kind::Introduce, format!("{domid}\0{}\0{}\0", 1000 + domid, 10 + domid))
}

impl Generator {
    fn step(&mut self) -> Step {
        let guest = Seat::Guest(self.guest());
        match self.rng.u32(..1000) {
            0..8 => Step { seat: guest, action: Action::Create },
            8..14 => Step { seat: guest, action: Action::Change(self.state()) },
            14..20 => Step { seat: guest, action: Action::Destroy },
            20..28 => Step { seat: Seat::Socket(self.socket()), action: Action::Reconnect },
            28..33 => Step { seat: self.seat(), action: Action::Broken { length: self.too_long() } },
            33..70 => {
                let seat = self.seat();
                let count = self.rng.usize(2..5);
                Step { seat, action: Action::Batch((0..count).map(|_| self.request(seat)).collect()) }
            }
            70..100 => {
                let seat = self.seat();
                let pieces = [1, 3, 15, 16, 17, 40][self.rng.usize(..6)];
                Step { seat, action: Action::Pieces(self.request(seat), pieces) }
            }
            _ => {
                let seat = self.seat();
                Step { seat, action: Action::Request(self.request(seat)) }
            }
        }
    }

    fn guest(&mut self) -> u32 {
        GUESTS[self.rng.usize(..GUESTS.len())]
    }

    fn socket(&mut self) -> usize {
        self.rng.usize(..SOCKETS)
    }

    fn seat(&mut self) -> Seat {
        if self.rng.bool() { Seat::Socket(self.socket()) } else { Seat::Guest(self.guest()) }
    }

    fn state(&mut self) -> State {
        [State::Shutdown, State::Crashed, State::Dying, State::Running][self.rng.usize(..4)]
    }

    fn too_long(&mut self) -> u32 {
        [4097, 5000, 0x7fff_ffff, u32::MAX][self.rng.usize(..4)]
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.rng.u32(..count) == 0
    }

    fn request(&mut self, seat: Seat) -> Request {
        let sum: u32 = KINDS.iter().map(|(_, weight)| weight).sum();
        let mut point = self.rng.u32(..sum);
        let kind = KINDS.iter().find(|(_, weight)| {
            let here = point < *weight;
            point = point.saturating_sub(*weight);
            here
        });
        let kind = kind.map_or(Kind::Read, |(kind, _)| *kind);
        let mut request = Request::new(kind, self.payload(kind, seat));
        request.transaction = self.transaction(kind, seat);
        if kind == Kind::TransactionStart {
            self.labels += 1;
            request.label = self.labels;
            if request.transaction == Transaction::None {
                self.started.push((seat, self.labels));
            }
        }
        if self.one_in(60) {
            request.kind = [15, 16, 20, 23, 0xffff, u32::MAX][self.rng.usize(..6)];
        }
        if self.one_in(25) {
            self.mangle(&mut request.payload);
        }
        // What is longer is the business of [`Action::Broken`].
        request.payload.truncate(PAYLOAD_MAX);
        request
    }

    /// Mostly none; else one that this seat has started, or a number that nobody knows.
    fn transaction(&mut self, kind: Kind, seat: Seat) -> Transaction {
        let own: Vec<u32> =
            self.started.iter().filter(|(who, _)| *who == seat).map(|(_, label)| *label).collect();
        let ends = kind == Kind::TransactionEnd;
        if self.one_in(50) || (ends && own.is_empty()) {
            return Transaction::Bogus([7777, 0x7fff_ffff, u32::MAX][self.rng.usize(..3)]);
        }
        let starts = kind == Kind::TransactionStart;
        let inside = if starts { self.one_in(30) } else { self.rng.u32(..100) < 40 };
        match own.last() {
            Some(last) if ends || inside => {
                let label = if self.one_in(8) { own[self.rng.usize(..own.len())] } else { *last };
                if ends {
                    self.started.retain(|(_, one)| *one != label);
                }
                Transaction::Label(label)
            }
            _ => Transaction::None,
        }
    }

    fn payload(&mut self, kind: Kind, seat: Seat) -> Vec<u8> {
        let text = match kind {
            Kind::Write => {
                let mut payload = self.path(seat).into_bytes();
                payload.push(0);
                payload.extend(self.value());
                return payload;
            }
            Kind::Read | Kind::Directory | Kind::Mkdir | Kind::Rm | Kind::GetPerms => {
                format!("{}\0", self.path(seat))
            }
            Kind::DirectoryPart => format!("{}\0{}\0", self.path(seat), self.offset()),
            Kind::SetPerms => format!("{}\0{}", self.path(seat), self.permissions()),
            Kind::Watch => {
                let depth = if self.one_in(12) { format!("{}\0", self.offset()) } else { String::new() };
                format!("{}\0{}\0{depth}", self.watch_path(seat), self.token())
            }
            Kind::Unwatch => format!("{}\0{}\0", self.watch_path(seat), self.token()),
            Kind::TransactionStart | Kind::ResetWatches => "\0".to_owned(),
            Kind::TransactionEnd => {
                ["T\0", "T\0", "T\0", "F\0", "F\0", "x\0", "TF\0"][self.rng.usize(..7)].to_owned()
            }
            Kind::GetDomainPath | Kind::IsDomainIntroduced | Kind::Release | Kind::Resume => {
                format!("{}\0", self.domid())
            }
            Kind::Introduce if !self.one_in(6) => return introduction(self.guest()).payload,
            Kind::Introduce => format!("{}\0{}\0{}\0", self.domid(), self.offset(), self.offset()),
            // The C daemon dies of a domain that is its own target, and serves a target until the last that has it is gone.
            Kind::SetTarget if !self.one_in(4) => format!("{}\0{}\0", self.rng.u32(2..4), self.rng.u32(..2)),
            Kind::SetTarget => format!("{NOBODY}\0{}\0", self.domid()),
            Kind::Control => {
                ["check\0", "print\0hello\0", "help\0", "nonsense\0", "\0"][self.rng.usize(..5)].to_owned()
            }
            Kind::WatchEvent | Kind::Error => String::new(),
        };
        text.into_bytes()
    }

    /// A path: few of them, so that clients meet.
    fn path(&mut self, seat: Seat) -> String {
        if self.one_in(14) {
            return self.bad_path();
        }
        let base = match (self.rng.u32(..10), seat) {
            (0..4, Seat::Guest(domid)) => format!("/local/domain/{domid}"),
            (4..6, Seat::Guest(_)) => String::new(),
            (0..3, _) => format!("/local/domain/{}", self.guest()),
            (3, _) => "/tool".to_owned(),
            (4, _) => String::new(),
            _ => "/s".to_owned(),
        };
        let relative = base.is_empty();
        let depth = self.rng.usize(usize::from(relative)..4);
        let names: Vec<_> = (0..depth).map(|_| ["a", "b", "c", "Name-1_@"][self.rng.usize(..4)]).collect();
        match (relative, depth) {
            (true, _) => names.join("/"),
            (false, 0) => base,
            (false, _) => format!("{base}/{}", names.join("/")),
        }
    }

    fn bad_path(&mut self) -> String {
        match self.rng.u32(..16) {
            0 => String::new(),
            1 => "/".to_owned(),
            2 => "//".to_owned(),
            3 => "/s//a".to_owned(),
            4 => "/s/a/".to_owned(),
            5 => ["/s/a b", "/s/a:b", "/s/a.b"][self.rng.usize(..3)].to_owned(),
            6 => "/s/\u{7f}".to_owned(),
            7 => "/s/\u{e9}".to_owned(),
            8 => "@releaseDomain".to_owned(),
            9 => "@introduceDomain".to_owned(),
            10 => "@nothing".to_owned(),
            11 => format!("/{}", "x".repeat(3070)),
            12 => format!("/{}", "x".repeat(2047)),
            13 => "x".repeat(2048),
            14 => "x".repeat(2049),
            _ => "s/".to_owned(),
        }
    }

    fn watch_path(&mut self, seat: Seat) -> String {
        match self.rng.u32(..12) {
            0 => "@releaseDomain".to_owned(),
            1 => "@introduceDomain".to_owned(),
            2 => "/".to_owned(),
            3 => "/s".to_owned(),
            _ => self.path(seat),
        }
    }

    fn token(&mut self) -> String {
        match self.rng.u32(..20) {
            0 => String::new(),
            1 => "t".repeat(500),
            number => format!("token{}", number % 4),
        }
    }

    fn value(&mut self) -> Vec<u8> {
        match self.rng.u32(..24) {
            0 => Vec::new(),
            1 => vec![b'v'; 2000],
            2 => vec![b'v'; 2040 + self.rng.usize(..12)],
            3 => (0..=255).collect(),
            4 => vec![b'v'; 900],
            number => format!("value{number}").into_bytes(),
        }
    }

    fn permissions(&mut self) -> String {
        if self.one_in(12) {
            let bad = ["", "n\0", "q1\0", "n-1\0", "r70000\0", "r1x\0", "1\0", "n1\0r\0", "n1", "rw1\0"];
            return bad[self.rng.usize(..bad.len())].to_owned();
        }
        let count = if self.one_in(15) { self.rng.usize(4..8) } else { self.rng.usize(1..4) };
        (0..count)
            .map(|_| {
                let letter = ["n", "r", "w", "b"][self.rng.usize(..4)];
                let domid = if self.one_in(20) { NOBODY } else { self.rng.u32(..4) };
                format!("{letter}{domid}\0")
            })
            .collect()
    }

    fn domid(&mut self) -> String {
        match self.rng.u32(..20) {
            0 => "0".to_owned(),
            1 => NOBODY.to_string(),
            2 => "32752".to_owned(),
            3 => "-1".to_owned(),
            4 => "x".to_owned(),
            5 => String::new(),
            6 => "1x".to_owned(),
            7 => " 2".to_owned(),
            8 => "4294967297".to_owned(),
            _ => self.guest().to_string(),
        }
    }

    fn offset(&mut self) -> String {
        ["0", "0", "1", "2", "5", "100", "-1", "x", ""][self.rng.usize(..9)].to_owned()
    }

    fn mangle(&mut self, payload: &mut Vec<u8>) {
        match self.rng.u32(..6) {
            0 => payload.clear(),
            1 => drop(payload.pop()),
            2 => payload.extend(b"extra\0"),
            3 => payload.extend(b"\0"),
            4 => payload.retain(|byte| *byte != 0),
            _ => {
                let length = self.rng.usize(..300);
                *payload = (0..length).map(|_| self.rng.u8(..)).collect();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_names_one_sequence() {
        assert_eq!(sequence(7, 200), sequence(7, 200));
        assert_ne!(sequence(7, 200), sequence(8, 200));
    }

    #[test]
    fn every_kind_of_request_and_of_step_comes_up() {
        let steps: Vec<Step> = (0..40).flat_map(|seed| sequence(seed, 200)).collect();
        for (kind, _) in KINDS {
            let is_there =
                steps.iter().flat_map(|step| step.action.requests()).any(|request| request.is(kind));
            assert!(is_there, "{kind:?}");
        }
        for is_there in [
            |action: &Action| matches!(action, Action::Batch(_)),
            |action: &Action| matches!(action, Action::Pieces(..)),
            |action: &Action| matches!(action, Action::Broken { .. }),
            |action: &Action| matches!(action, Action::Reconnect),
            |action: &Action| matches!(action, Action::Create),
            |action: &Action| matches!(action, Action::Change(_)),
            |action: &Action| matches!(action, Action::Destroy),
        ] {
            assert!(steps.iter().any(|step| is_there(&step.action)));
        }
    }
}
