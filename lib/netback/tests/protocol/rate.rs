//! Credit.

use netback::{Credit, Rate};
use proptest::prelude::*;

#[test]
fn rates_are_read_as_xl_writes_them() {
    assert_eq!("125000,100000".parse(), Ok(Rate { bytes: 125_000, period_us: 100_000 }));
    for wrong in ["", "1", "1,", ",1", "1,0", "0,1", "-1,1", "1,1,1", "99999999999,1"] {
        assert!(wrong.parse::<Rate>().is_err(), "{wrong}");
    }
}

#[test]
fn without_a_rate_nothing_counts() {
    let mut credit = Credit::new(None, 0);
    for _ in 0..1000 {
        assert_eq!(credit.take(0, 65_535), Ok(()));
    }
}

proptest! {
    /// Never more than the first credit and what time has earned; and whoever waits as long as it was told may send.
    #[test]
    fn nobody_sends_more_than_its_rate(
        bytes in 1..10_000_000_u64,
        period_us in 1..1_000_000_u64,
        frames in prop::collection::vec((14..65_536_usize, 0..20_000_u64), 1..200),
    ) {
        let mut credit = Credit::new(Some(Rate { bytes, period_us }), 0);
        let (mut now_us, mut sent) = (0, 0_u128);
        let first = u128::from(bytes.max(131_072));
        for (length, wait_us) in frames {
            now_us += wait_us;
            if let Err(at_us) = credit.take(now_us, length) {
                prop_assert!(at_us > now_us);
                now_us = at_us;
                prop_assert_eq!(credit.take(now_us, length), Ok(()));
            }
            sent += length as u128;
            let earned = u128::from(now_us) * u128::from(bytes) / u128::from(period_us);
            prop_assert!(sent <= first + earned);
        }
    }
}
