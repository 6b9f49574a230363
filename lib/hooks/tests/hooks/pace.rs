//! How long is waited.

use hooks::{FIRST_US, LONGEST_US, Pace};

#[test]
fn waits_double_up_to_the_longest() {
    let mut pace = Pace::new();
    let waits: Vec<u64> = (0..20).map(|_| pace.fail()).collect();
    assert_eq!(waits[0], FIRST_US);
    assert!(waits.windows(2).all(|pair| pair[1] == (2 * pair[0]).min(LONGEST_US)));
    assert_eq!(waits[19], LONGEST_US);
}
