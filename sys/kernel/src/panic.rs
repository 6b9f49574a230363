//! Panics: main's end a life of main, the kernel's own end the host.

use crate::{boot, call, reboot};
use core::fmt::Write;
use core::panic::PanicInfo;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    if boot::on_kernel_stack() {
        reboot::reboot(format_args!("root's recovery kernel panicked: {info}"));
    }
    let mut message = heapless::String::<{ crate::info::MESSAGE_LEN }>::new();
    // A message that does not fit is cut; what fits is kept.
    // The words in front of the place, on one line: they are what an operator needs.
    let _ = match info.location() {
        Some(place) => write!(message, "{} ({place})", info.message()),
        None => write!(message, "{}", info.message()),
    };
    call::panicked(&message)
}
