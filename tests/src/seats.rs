//! How many hosts run at a time: each emulated processor keeps one of this machine's busy.

use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// Seats for the processors of one host, given back when this is dropped.
#[derive(Debug)]
pub struct Seats(usize);

/// All seats there are.
fn total() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

impl Seats {
    /// Waits for `count` seats. Who wants more than there are gets all.
    pub fn take(count: usize) -> Self {
        let count = count.min(total());
        // The number is right between any two statements: a panic elsewhere does not spoil it.
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken + count > total() {
            taken = FREED.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += count;
        Seats(count)
    }
}

impl Drop for Seats {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= self.0;
        FREED.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn no_more_sit_than_there_are_seats() {
        let sitting = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..4 * total() {
                scope.spawn(|| {
                    let seats = Seats::take(1);
                    assert!(sitting.fetch_add(1, Ordering::SeqCst) < total());
                    thread::yield_now();
                    sitting.fetch_sub(1, Ordering::SeqCst);
                    drop(seats);
                });
            }
        });
        drop(Seats::take(usize::MAX));
    }
}
