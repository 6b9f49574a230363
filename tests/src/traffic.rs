//! Frames for the network's unikernel while something else happens.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use emulator::host::GUARD;
use emulator::lan::{Lan, LanError};

/// The address at which the network's unikernel of the tests' systems answers.
pub const NET_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 3, 2);

/// Sends echo requests to the network's unikernel, one after the other, as long as `work` takes. Returns what that returns, and the
/// longest time between two answers.
///
/// # Errors
/// When there is an answer too few, or no network.
pub fn under_traffic<T>(lan: &mut Lan, work: impl FnOnce() -> T) -> Result<(T, Duration), LanError> {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let traffic =
            scope.spawn(|| lan.longest_silence(NET_ADDRESS, GUARD, || done.load(Ordering::Relaxed)));
        let worked = {
            // The traffic ends even if `work` panics.
            let _end = SetOnDrop(&done);
            work()
        };
        match traffic.join() {
            Ok(silence) => Ok((worked, silence?)),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Sets a flag when it is dropped, also by a panic.
pub(crate) struct SetOnDrop<'a>(pub(crate) &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
