//! Frames for the network's unikernel while something else happens.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use emulator::lan::Lan;

/// The address at which the network's unikernel of the tests' systems answers.
pub const NET_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 2);

/// How long one answer is waited for before it is seen whether there is to be an end.
const PATIENCE: Duration = Duration::from_millis(100);

/// Sends echo requests to the network's unikernel, one after the other, as long as `work` takes, and returns what that returns. An
/// answer that does not come is nobody's fault yet.
pub fn under_traffic<T>(lan: &mut Lan, work: impl FnOnce() -> T) -> T {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = lan.ping(NET_ADDRESS, PATIENCE);
            }
        });
        // The traffic ends even if `work` panics.
        let _end = SetOnDrop(&done);
        work()
    })
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
