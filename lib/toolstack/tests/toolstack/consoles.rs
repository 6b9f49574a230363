//! A guest's console in the hands of lives that end anywhere: no line is lost, none comes twice.

use ring::Page;
use ring::console::Console as Ring;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU32, Ordering};
use toolstack::console::{HEADER, Kept, LINE, NotTyped};
use uk_abi::Words;

const OWNER: u64 = 7;

/// Memory in which a life ends with the store of this number: it and those after it are not made.
struct Memory<'m> {
    words: &'m RefCell<Vec<u64>>,
    stores_left: &'m Cell<u64>,
}

impl Words for Memory<'_> {
    fn count(&self) -> usize {
        self.words.borrow().len()
    }

    fn load(&self, index: usize, _: Ordering) -> u64 {
        self.words.borrow()[index]
    }

    fn store(&self, index: usize, value: u64, _: Ordering) {
        if self.stores_left.get() > 0 {
            self.stores_left.set(self.stores_left.get() - 1);
            self.words.borrow_mut()[index] = value;
        }
    }
}

/// A guest's console page, and what is kept of it.
struct World {
    page: Page,
    words: RefCell<Vec<u64>>,
    stores_left: Cell<u64>,
    log: RefCell<Vec<String>>,
}

impl World {
    fn new() -> Self {
        let words = RefCell::new(vec![0; HEADER + 64]);
        let world = Self {
            page: [const { AtomicU32::new(0) }; 1024],
            words,
            stores_left: Cell::new(u64::MAX),
            log: RefCell::default(),
        };
        world.kept().begin(OWNER, 0);
        world
    }

    fn kept(&self) -> Kept<Memory<'_>> {
        Kept::new(Memory { words: &self.words, stores_left: &self.stores_left })
    }

    fn ring(&self) -> Ring<'_> {
        Ring::new(&self.page)
    }

    /// The guest writes as much as there is room for; answers how much.
    fn write(&self, bytes: &[u8]) -> usize {
        let writer = self.ring().output().writer();
        let count = bytes.len().min(writer.free().unwrap() as usize);
        writer.write(writer.position(), &bytes[..count]);
        writer.publish(writer.position().wrapping_add(count as u32));
        count
    }

    /// The guest reads all that it was given.
    fn read(&self) -> String {
        let reader = self.ring().input().reader();
        let mut bytes = vec![0; reader.available().unwrap() as usize];
        reader.peek(reader.position(), &mut bytes);
        reader.consume_to(reader.position().wrapping_add(bytes.len() as u32));
        String::from_utf8(bytes).unwrap()
    }

    /// What was shown, from the oldest byte on that is still there.
    fn recalled(&self) -> Vec<String> {
        let kept = self.kept();
        let (mut lines, mut position) = (Vec::new(), kept.oldest());
        while let Some((line, next)) = kept.recall(position) {
            lines.push(line);
            position = next;
        }
        lines
    }

    fn position(&self) -> u64 {
        self.log.borrow().len() as u64
    }

    /// A life that ends after so many stores, each of which it is aware of: the log takes a line only while it lives.
    fn live(&self, stores: u64, all: bool) {
        self.stores_left.set(stores);
        let kept = self.kept();
        kept.resume(self.position());
        loop {
            let consumed = self.ring().output().reader().position();
            let taken = kept.take(self.ring()).expect("the guest breaks nothing");
            if self.stores_left.get() == 0 {
                // The ring was told by a life that had ended.
                self.ring().output().reader().consume_to(consumed);
                return;
            }
            let mut shown = false;
            while kept.show(all, self.position(), |line| {
                let lives = self.stores_left.get() > 0;
                if lives {
                    self.log.borrow_mut().push(line.to_owned());
                    // This was a store too.
                    self.stores_left.set(self.stores_left.get() - 1);
                }
                lives
            }) {
                shown = true;
            }
            if taken == 0 && !shown {
                return;
            }
        }
    }
}

#[test]
fn lines_are_shown_as_they_were_written() {
    let world = World::new();
    let long = "y".repeat(LINE + 5);
    world.write(format!("one\r\n\ntwo\x1b[2J\n{long}\nhalf").as_bytes());
    world.live(u64::MAX, false);
    let lines = ["one", "", "two.[2J", &long[..LINE], &long[LINE..]];
    assert_eq!(*world.log.borrow(), lines);
    assert!(!world.kept().is_shown());
    world.live(u64::MAX, true);
    assert_eq!(world.log.borrow().last().map(String::as_str), Some("half"));
    assert!(world.kept().is_shown());
}

#[test]
fn no_line_is_lost_and_none_comes_twice() {
    let text: String = (0..60).map(|number| format!("line {number} of the guest\n")).collect();
    let expected: Vec<&str> = text.lines().collect();
    for stores in 1..120 {
        let world = World::new();
        let mut written = 0;
        for life in 0..2000 {
            written += world.write(&text.as_bytes()[written..]);
            world.live(stores + life % 7, false);
            if world.log.borrow().len() == expected.len() {
                break;
            }
        }
        world.live(u64::MAX, false);
        assert_eq!(*world.log.borrow(), expected, "{stores} stores in a life");
    }
}

#[test]
fn a_line_is_given_once_wherever_a_life_ends() {
    for stores in 0..4 {
        let world = World::new();
        let give = |number, line| world.kept().give(world.ring(), number, line).unwrap();
        give(1, "the first");
        let before = world.ring().input().writer().position();
        world.stores_left.set(stores);
        give(2, "the second");
        if world.stores_left.get() == 0 {
            // The ring was told by a life that had ended.
            world.ring().input().writer().publish(before);
        }
        world.stores_left.set(u64::MAX);
        give(2, "the second");
        let early = if stores % 2 == 0 { world.read() } else { String::new() };
        give(2, "the second");
        give(3, "the second");
        assert_eq!(early + &world.read(), "the first\nthe second\nthe second\n", "{stores} stores");
    }
}

#[test]
fn a_guest_that_does_not_read_is_given_no_more_than_there_is_room_for() {
    let world = World::new();
    let line = "x".repeat(99);
    for number in 1..=10 {
        assert_eq!(world.kept().give(world.ring(), number, &line), Ok(()));
    }
    let refused = Err(NotTyped::NoRoom { room: 24, asked: 100 });
    assert_eq!(world.kept().give(world.ring(), 11, &line), refused);
    assert_eq!(world.read().len(), 1000);
    assert_eq!(world.kept().give(world.ring(), 11, &line), Ok(()));
    world.ring().input().writer().publish(5000);
    assert_eq!(world.kept().give(world.ring(), 12, &line), Err(NotTyped::Broken));
}

#[test]
fn what_was_shown_is_shown_again_as_long_as_there_is_room() {
    let world = World::new();
    assert_eq!(world.recalled(), [""; 0]);
    world.write(b"one\ntwo\nhalf");
    world.live(u64::MAX, false);
    assert_eq!(world.recalled(), ["one", "two"]);
    for number in 0..60 {
        world.write(format!(" of a line {number:02}\n").as_bytes());
        world.live(u64::MAX, false);
    }
    // The oldest is cut where its room was needed.
    let recalled = world.recalled();
    assert_eq!(recalled.last().map(String::as_str), Some(" of a line 59"));
    assert_eq!(recalled.len(), 512usize.div_ceil(14));
    assert!(" of a line 23".ends_with(&recalled[0]), "{recalled:?}");
}

#[test]
fn a_guest_that_breaks_its_ring_is_told_from_one_that_is_silent() {
    let world = World::new();
    assert_eq!(world.kept().take(world.ring()), Some(0));
    world.ring().output().writer().publish(5000);
    assert_eq!(world.kept().take(world.ring()), None);
}

#[test]
fn bytes_are_there_from_the_oldest_on_wherever_the_stream_began() {
    for begin in [0, 1000, u32::MAX - 100] {
        let world = World::new();
        world.ring().output().writer().publish(begin);
        world.ring().output().reader().consume_to(begin);
        let kept = world.kept();
        kept.begin(OWNER, begin);
        let after = |count| begin.wrapping_add(count);
        assert_eq!(kept.bytes(begin, 10), (begin, Vec::new()));
        // A prompt is no line, and is there all the same.
        world.write(b"login: ");
        world.live(u64::MAX, false);
        assert_eq!(kept.bytes(begin, 100), (begin, b"login: ".to_vec()));
        assert_eq!(kept.bytes(after(3), 2), (after(3), b"in".to_vec()));
        assert_eq!(kept.bytes(after(7), 2), (after(7), Vec::new()));
        assert_eq!(kept.bytes(after(8), 2), (begin, b"lo".to_vec()));
        // 512 bytes have room: the first 8 are gone then, of those that were shown.
        world.write(&[b"root\n".as_slice(), &[b'x'; 507], b"\n"].concat());
        world.live(u64::MAX, false);
        assert_eq!(kept.bytes(begin, 4), (after(8), b"oot\n".to_vec()));
        assert_eq!(kept.bytes(after(519), 4), (after(519), b"\n".to_vec()));
    }
}

#[test]
fn memory_of_one_console_is_another_s_afterwards() {
    let world = World::new();
    world.write(b"of the first");
    world.live(u64::MAX, false);
    let kept = world.kept();
    assert_eq!(kept.owner(), OWNER);
    kept.end();
    assert_eq!(kept.owner(), 0);
    kept.begin(8, world.ring().output().reader().position());
    world.write(b"of the second\n");
    world.live(u64::MAX, false);
    assert_eq!(*world.log.borrow(), ["of the second"]);
}
