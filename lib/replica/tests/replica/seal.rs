//! Sealed words show every flipped bit.

use replica::seal::{VALUE_MAX, open, seal};

#[test]
fn up_to_three_flipped_bits_are_seen() {
    for value in [0, 1, 0xdead_beef_cafe, VALUE_MAX] {
        let word = seal(1, value);
        assert_eq!(open(1, word), Some(value));
        assert_eq!(open(2, word), None);
        for first in 0..64 {
            for second in first..64 {
                for third in second..64 {
                    let flipped = word ^ (1 << first | 1 << second | 1 << third);
                    assert_eq!(open(1, flipped), None, "{value:#x}: bits {first}, {second}, {third}");
                }
            }
        }
    }
}

#[test]
fn fresh_memory_holds_nothing() {
    for tag in 0..=255 {
        assert_eq!(open(tag, 0), None);
    }
}
