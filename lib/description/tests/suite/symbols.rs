//! Symbol tables.

use description::{Symbols, SymbolsError, encode_symbols};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[test]
fn an_address_lies_in_the_symbol_before_it() {
    let bytes =
        encode_symbols([(0x20_0100, "second"), (0x20_0000, "first"), (0x20_0180, "dritter_ß")], 0x20_0200);
    let symbols = Symbols::parse(&bytes).unwrap();
    assert_eq!(symbols.len(), 3);
    assert_eq!(symbols.lookup(0x1f_ffff), None);
    assert_eq!(symbols.lookup(0x20_0000), Some(("first", 0)));
    assert_eq!(symbols.lookup(0x20_00ff), Some(("first", 0xff)));
    assert_eq!(symbols.lookup(0x20_0100), Some(("second", 0)));
    assert_eq!(symbols.lookup(0x20_01ff), Some(("dritter_ß", 0x7f)));
    assert_eq!(symbols.lookup(0x20_0200), None);
    assert_eq!(symbols.lookup(u64::MAX), None);
}

#[test]
fn a_table_may_be_empty_and_lie_anywhere() {
    let bytes = encode_symbols([], 0);
    let symbols = Symbols::parse(&bytes).unwrap();
    assert!(symbols.is_empty());
    assert_eq!(symbols.lookup(0), None);

    let high = 0xffff_8000_0000_0000;
    let bytes = encode_symbols([(high, "kernel"), (high + 0x1_0000_0000, "out of reach")], u64::MAX);
    let symbols = Symbols::parse(&bytes).unwrap();
    assert_eq!(symbols.lookup(high + 5), Some(("kernel", 5)));
    assert_eq!(symbols.len(), 1);
}

#[test]
fn what_is_no_table_is_refused() {
    assert_eq!(Symbols::parse(b"SYMB").unwrap_err(), SymbolsError::NoHeader);
    assert_eq!(Symbols::parse(&[0; 100]).unwrap_err(), SymbolsError::NoHeader);
    let bytes = encode_symbols([(1, "one"), (2, "two")], 3);
    assert_eq!(Symbols::parse(&bytes[..39]).unwrap_err(), SymbolsError::Truncated { needed: 40, found: 39 });
}

#[test]
fn a_name_of_any_length_is_cut_at_a_character() {
    let name = "ß".repeat(40_000);
    let bytes = encode_symbols([(1, name.as_str()), (2, "next")], 3);
    let symbols = Symbols::parse(&bytes).unwrap();
    assert_eq!(symbols.lookup(1), Some((&name[..65_534], 0)));
    assert_eq!(symbols.lookup(2), Some(("next", 0)));
}

proptest! {
    #[test]
    fn lookup_agrees_with_a_map(
        symbols in prop::collection::vec((0..2_000u64, "\\PC{0,12}"), 0..40),
        base: u32, end in 0..2_500u64, asked in prop::collection::vec(0..3_000u64, 20),
    ) {
        let base = u64::from(base);
        let bytes = encode_symbols(symbols.iter().map(|(at, name)| (base + at, name.as_str())), base + end);
        let table = Symbols::parse(&bytes).unwrap();
        let mut map = BTreeMap::new();
        for (at, name) in symbols.iter().filter(|(at, _)| *at < end) {
            map.entry(*at).or_insert(name.as_str());
        }
        prop_assert_eq!(table.len(), map.len());
        for at in asked {
            let expected = map.range(..=at).next_back().filter(|_| at < end).map(|(start, name)| (*name, at - start));
            prop_assert_eq!(table.lookup(base + at), expected);
        }
    }

    #[test]
    fn rubbish_answers_nothing_worse_than_rubbish(
        mut bytes in prop::collection::vec(any::<u8>(), 0..400), addresses in any::<[u64; 8]>(), header: bool,
    ) {
        if header && bytes.len() >= 8 {
            let fits = (bytes.len() / 16) as u32;
            bytes[..4].copy_from_slice(b"SYMB");
            bytes[4..8].copy_from_slice(&fits.to_le_bytes());
        }
        if let Ok(symbols) = Symbols::parse(&bytes) {
            let base = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
            for address in addresses.into_iter().chain(addresses.map(|a| base.wrapping_add(a >> 32))) {
                if let Some((name, _)) = symbols.lookup(address) {
                    prop_assert!(name.len() <= bytes.len());
                }
            }
        }
    }
}
