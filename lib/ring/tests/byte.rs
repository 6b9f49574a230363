//! The byte rings against a queue that is known to be right, and against a peer that lies.

use proptest::collection::vec;
use proptest::prelude::*;
use ring::Page;
use ring::byte::Broken;
use ring::console::Console;
use ring::xenstore::Interface;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use xen_abi::xs_wire::{Connection, ConnectionError, ServerFeatures};

fn page() -> Page {
    [const { AtomicU32::new(0) }; 1024]
}

/// Byte `index` of the page, as a C program would see it.
fn byte(page: &Page, index: usize) -> u8 {
    page[index / 4].load(Relaxed).to_le_bytes()[index % 4]
}

#[derive(Clone, Debug)]
enum Step {
    Write(Vec<u8>),
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![vec(any::<u8>(), 0..1500).prop_map(Step::Write), (0..1500_usize).prop_map(Step::Read)]
}

proptest! {
    #[test]
    fn what_goes_in_comes_out(start in any::<u32>(), steps in vec(step(), 1..40)) {
        let page = page();
        let ring = Console::new(&page).input();
        ring.reader().consume_to(start);
        ring.writer().publish(start);
        let (reader, writer) = (ring.reader(), ring.writer());
        let mut model = VecDeque::new();
        for step in steps {
            match step {
                Step::Write(bytes) => {
                    let free = writer.free().unwrap() as usize;
                    prop_assert_eq!(free, 1024 - model.len());
                    let bytes = &bytes[..bytes.len().min(free)];
                    writer.write(writer.position(), bytes);
                    prop_assert_eq!(reader.available().unwrap() as usize, model.len(), "not published yet");
                    writer.publish(writer.position().wrapping_add(bytes.len() as u32));
                    model.extend(bytes);
                }
                Step::Read(count) => {
                    let count = count.min(reader.available().unwrap() as usize);
                    let mut bytes = vec![0; count];
                    reader.peek(reader.position(), &mut bytes);
                    reader.consume_to(reader.position().wrapping_add(count as u32));
                    prop_assert_eq!(bytes, model.drain(..count).collect::<Vec<u8>>());
                }
            }
        }
    }

    #[test]
    fn indexes_that_contradict_each_other_are_told(consumed in any::<u32>(), produced in any::<u32>()) {
        let page = page();
        let ring = Interface::new(&page).requests();
        ring.reader().consume_to(consumed);
        ring.writer().publish(produced);
        let filled = produced.wrapping_sub(consumed);
        let expected = if filled <= 1024 { Ok(filled) } else { Err(Broken { consumed, produced, size: 1024 }) };
        prop_assert_eq!(ring.filled(), expected);
    }

    #[test]
    fn no_length_leaves_the_ring(position in any::<u32>(), length in 0..3000_usize) {
        let page = page();
        let interface = Interface::new(&page);
        interface.responses().writer().write(position, &vec![0xff; length]);
        prop_assert!((0..1024).all(|index| byte(&page, index) == 0), "requests are untouched");
        prop_assert!((2048..4096).all(|index| byte(&page, index) == 0), "indexes are untouched");
        let written = (1024..2048).filter(|&index| byte(&page, index) == 0xff).count();
        prop_assert_eq!(written, length.min(1024));
        let mut bytes = vec![0xee; length];
        interface.requests().reader().peek(position, &mut bytes);
        prop_assert!(bytes.iter().take(1024).all(|&byte| byte == 0));
        prop_assert!(bytes.iter().skip(1024).all(|&byte| byte == 0xee));
    }
}

#[test]
fn the_rings_lie_where_xens_headers_say() {
    let page = page();
    let interface = Interface::new(&page);
    interface.requests().writer().write(1, b"r");
    interface.responses().writer().write(1024 + 2, b"s");
    interface.requests().reader().consume_to(0x11);
    interface.requests().writer().publish(0x22);
    interface.responses().reader().consume_to(0x33);
    interface.responses().writer().publish(0x44);
    assert_eq!([byte(&page, 1), byte(&page, 1026)], *b"rs");
    assert_eq!([512, 513, 514, 515].map(|word| page[word].load(Relaxed)), [0x11, 0x22, 0x33, 0x44]);
}

#[test]
fn a_connection_is_reset_when_the_client_asks() {
    let page = page();
    let interface = Interface::new(&page);
    interface.set_features(ServerFeatures::RECONNECTION | ServerFeatures::ERROR);
    interface.requests().writer().publish(5000);
    interface.fail(ConnectionError::RingIndexes);
    assert_eq!(interface.error(), Some(ConnectionError::RingIndexes));
    interface.ask_for_reset();
    assert_eq!(interface.connection(), Some(Connection::Reconnect));
    interface.reset();
    assert_eq!(interface.connection(), Some(Connection::Connected));
    assert_eq!(interface.error(), Some(ConnectionError::None));
    assert_eq!(interface.requests().filled(), Ok(0));
    assert_eq!(interface.features(), ServerFeatures::RECONNECTION | ServerFeatures::ERROR);
    page[517].store(7, Relaxed);
    assert_eq!(interface.connection(), None, "a number that means nothing");
}
