//! The last resort: a clean reboot of the host that says why.

use crate::console;
use core::fmt::{Arguments, Write};
use xen_abi::sched::ShutdownReason;

/// Prints `reason` on Xen's console and has Xen reboot the host.
pub(crate) fn reboot(reason: Arguments<'_>) -> ! {
    let mut line = heapless::String::<512>::new();
    // A reason that does not fit is cut; what fits is printed.
    let _ = write!(line, "[SD] - {} root reboot msg={reason}", crate::trap::now_us());
    console::write_line(&line);
    loop {
        pv::sched::shutdown(ShutdownReason::Reboot);
    }
}
