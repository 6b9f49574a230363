//! Captures.

use switch::pcap::{FILE_HEADER, record_header};

#[test]
fn a_capture_begins_as_the_format_says() {
    let expected = [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 1, 0, 0, 0];
    assert_eq!(FILE_HEADER, expected);
    let record = record_header(3_000_007, 64, 1514);
    assert_eq!(record, [3, 0, 0, 0, 7, 0, 0, 0, 64, 0, 0, 0, 0xea, 5, 0, 0]);
}
