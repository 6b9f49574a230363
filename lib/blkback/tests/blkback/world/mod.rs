//! A machine with guests, a disk and a disk uk, all in one thread and all by one seed.

pub(crate) mod disk;
pub(crate) mod frontend;
pub(crate) mod machine;
pub(crate) mod uk;

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;
use std::sync::Once;

/// Random numbers (splitmix64): the same for the same seed, on any machine.
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Whether something happens that happens `percent` times in a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// What the uk's death is to a test.
struct Died;

/// Burns down with everything that the uk does to the world outside of it. When it has burnt down the uk dies, at that very
/// point.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fuse(Rc<Cell<Option<u32>>>);

impl Fuse {
    /// Lets the uk do so many things more.
    pub(crate) fn light(&self, length: u32) {
        self.0.set(Some(length));
    }

    pub(crate) fn put_out(&self) {
        self.0.set(None);
    }

    /// The uk is about to do something that can be seen from outside.
    pub(crate) fn burn(&self) {
        match self.0.get() {
            None => {}
            Some(0) => {
                self.0.set(None);
                panic::panic_any(Died);
            }
            Some(length) => self.0.set(Some(length - 1)),
        }
    }

    /// Lets the uk do something; none if it has died of it.
    pub(crate) fn guard<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        static QUIET: Once = Once::new();
        QUIET.call_once(|| {
            let loud = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                if !info.payload().is::<Died>() {
                    loud(info);
                }
            }));
        });
        match panic::catch_unwind(AssertUnwindSafe(act)) {
            Ok(value) => Some(value),
            Err(payload) if payload.is::<Died>() => None,
            Err(payload) => panic::resume_unwind(payload),
        }
    }
}
