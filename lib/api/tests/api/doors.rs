//! Who makes room for whom.

use api::Doors;
use proptest::prelude::*;

#[test]
fn who_has_been_nobody_for_longest_makes_room() {
    let mut doors = Doors::<4>::new();
    assert_eq!(doors.arrive(2, 10), None);
    assert_eq!(doors.arrive(0, 20), None);
    assert!(doors.let_in(2));
    assert_eq!(doors.arrive(1, 30), None);
    // The last one that is free is taken.
    assert_eq!(doors.arrive(3, 40), Some(0));
    assert!(!doors.let_in(0), "it is too late for its token");
    doors.leave(0);
    assert_eq!(doors.arrive(0, 50), Some(1));
}

#[test]
fn who_has_shown_a_token_stays() {
    let mut doors = Doors::<3>::new();
    for at in 0..2 {
        assert_eq!(doors.arrive(at, at as u64), None);
        assert!(doors.let_in(at));
    }
    // Nor does whoever has just come go.
    assert_eq!(doors.arrive(2, 3), None);
}

proptest! {
    /// Whatever strangers do: as long as not all connections are those of known clients, there is a free one for the next, or one that
    /// becomes free, or only the newest stranger keeps the last one.
    #[test]
    fn strangers_alone_never_keep_others_out(
        moves in prop::collection::vec((0..4_usize, any::<bool>()), 0..200)
    ) {
        let mut doors = Doors::<4>::new();
        let mut free = [true; 4];
        for (time, (at, shows_token)) in moves.into_iter().enumerate() {
            if !free[at] {
                doors.leave(at);
                free[at] = true;
                continue;
            }
            free[at] = false;
            let displaced = doors.arrive(at, time as u64);
            if let Some(other) = displaced {
                prop_assert!(other != at && !doors.let_in(other));
                doors.leave(other);
                free[other] = true;
            }
            if shows_token {
                prop_assert!(doors.let_in(at), "whoever has just come is let in");
            }
        }
    }
}
