//! The page of a connection to XenStore, in the hands of a client that writes what it likes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ring::Page;
use ring::xenstore::Interface;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

fuzz_target!(|bytes: &[u8]| {
    let page: Page = [const { AtomicU32::new(0) }; 1024];
    // The indexes first, because they are what matters.
    let words = bytes.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    let places = (512..519).chain(0..512);
    places.zip(words).for_each(|(place, word)| page[place].store(word, Relaxed));

    let interface = Interface::new(&page);
    let _ = (interface.connection(), interface.error(), interface.features());
    let requests = interface.requests().reader();
    if let Ok(available) = requests.available() {
        assert!(available <= 1024);
        let mut taken = vec![0; available as usize];
        requests.peek(requests.position(), &mut taken);
        requests.consume_to(requests.position().wrapping_add(available));
        assert_eq!(requests.available(), Ok(0));
    }
    let responses = interface.responses().writer();
    if let Ok(free) = responses.free() {
        let position = responses.position();
        let answer: Vec<u8> = (0..free).map(|index| index as u8).collect();
        responses.write(position, &answer);
        responses.publish(position.wrapping_add(free));
        assert_eq!(responses.free(), Ok(0));
        let mut read = vec![0; answer.len()];
        interface.responses().reader().peek(position, &mut read);
        assert_eq!(read, answer);
    }
});
