//! Addresses, and what is none.

use hooks::{Address, NoAddress};
use proptest::prelude::*;
use std::net::Ipv4Addr;

#[test]
fn an_address_is_read_as_it_is_meant() {
    let text = "http://10.0.2.2:9000/rvmm/events?site=a";
    let address = Address::read(text).unwrap();
    let expected = Address { text, ip: Ipv4Addr::new(10, 0, 2, 2), port: 9000, path: "/rvmm/events?site=a" };
    assert_eq!(address, expected);
    assert_eq!(address.to_string(), text);
    let short = Address::read("http://192.0.2.1").unwrap();
    assert_eq!((short.port, short.path), (80, "/"));
}

#[test]
fn what_cannot_be_called_is_refused_with_the_reason() {
    for (text, reason) in [
        ("https://10.0.2.2/", NoAddress::Scheme),
        ("10.0.2.2:9000", NoAddress::Scheme),
        ("http://manager.example/events", NoAddress::Host),
        ("http://[::1]:80/", NoAddress::Host),
        ("http:///events", NoAddress::Host),
        ("http://user@10.0.2.2/", NoAddress::Host),
        ("http://10.0.2.2:/", NoAddress::Port),
        ("http://10.0.2.2:0/", NoAddress::Port),
        ("http://10.0.2.2:65536/", NoAddress::Port),
        ("http://10.0.2.2/a\r\nhost: other", NoAddress::Path),
        ("http://10.0.2.2/a b", NoAddress::Path),
        ("http://10.0.2.2/#part", NoAddress::Path),
    ] {
        assert_eq!(Address::read(text).unwrap_err(), reason, "{text}");
    }
}

proptest! {
    /// Nothing that is read as an address can end the line that it stands in.
    #[test]
    fn a_path_is_one_word(text in "http://10\\.0\\.0\\.1[:/ -~\r\n]{0,40}") {
        if let Ok(address) = Address::read(&text) {
            prop_assert!(address.path.bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }
}
