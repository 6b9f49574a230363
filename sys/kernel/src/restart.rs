//! Starting main, and starting it afresh.

use crate::entry::kernel_enter_main;
use crate::info::{Death, INFO};
use crate::{image, reboot, watchdog};

/// How often main may die before its first beat until the host is rebooted: what kills it that
/// early and that often lies in what a restart keeps, and no further restart will mend it.
const DEATHS_BEFORE_FIRST_BEAT: u32 = 5;

unsafe extern "C" {
    /// Made by [`crate::main!`].
    fn root_main() -> !;
}

/// Ends the life of main that `death` describes and starts the next.
///
/// # Safety
/// In kernel mode only; main's stack and data are gone afterwards.
pub(crate) unsafe fn restart(death: Death) -> ! {
    let (before_beat, too_many) = watchdog::count_death();
    if before_beat > DEATHS_BEFORE_FIRST_BEAT || too_many > 0 {
        reboot::reboot(format_args!(
            "root died {before_beat} times before its first beat, or more often than it may, last of {death}"
        ));
    }
    // SAFETY: in kernel mode, by the caller's promise, and no other reference to INFO lives.
    unsafe { INFO.get_mut() }.last_death = Some(death);
    // SAFETY: main does not run: its life has just ended.
    unsafe { start() }
}

/// Enters main with fresh data and an empty stack.
///
/// # Safety
/// In kernel mode only, with main's page tables in place.
pub(crate) unsafe fn start() -> ! {
    // SAFETY: as in `restart`.
    unsafe { INFO.get_mut() }.lives += 1;
    watchdog::arm();
    // SAFETY: nothing of main's last life is used again, and root_main is mapped for user mode.
    unsafe {
        image::reset_main_data();
        kernel_enter_main(root_main as *const () as u64, image::stack_top() - 8)
    }
}
