//! embassy-time on the clock of Xen, in microseconds.

use crate::clock;
use core::cell::RefCell;
use core::task::Waker;
use critical_section::Mutex;
use embassy_time_driver::Driver;
use embassy_time_queue_utils::Queue;

struct XenTime {
    queue: Mutex<RefCell<Queue>>,
}

embassy_time_driver::time_driver_impl!(
    static DRIVER: XenTime = XenTime { queue: Mutex::new(RefCell::new(Queue::new())) }
);

impl Driver for XenTime {
    fn now(&self) -> u64 {
        clock::now_us()
    }

    fn schedule_wake(&self, at: u64, waker: &Waker) {
        // The executor asks for the next expiry before it waits, so there is no alarm to set.
        critical_section::with(|cs| self.queue.borrow_ref_mut(cs).schedule_wake(at, waker));
    }
}

/// Wakes what waits for a time up to `now_us`. Answers when the next will be due.
pub(crate) fn wake_expired(now_us: u64) -> u64 {
    critical_section::with(|cs| DRIVER.queue.borrow_ref_mut(cs).next_expiration(now_us))
}
