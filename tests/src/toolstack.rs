//! The toolstack of a test's host: what it is told, and what it says to that.

use std::thread::sleep;
use std::time::Duration;

use emulator::condition::component;
use emulator::event::What;

use crate::host::Host;

/// The toolstack.
pub const TOOLSTACK: &str = "tool";

/// What it says last when it says where each VM is.
const LISTED: &str = " VMs";

/// From one look at the list to the next: root prints so many lines of one component in a second, and no more.
const PACE: Duration = Duration::from_millis(300);

/// What it says before the number of XenStore's nodes.
const NODES: &str = "XenStore has ";

impl Host {
    /// Tells the toolstack something, and waits until it says that this has come to be. Begins a chapter.
    #[track_caller]
    pub fn tell_toolstack(&mut self, command: &str, comes_to: &str) {
        self.begin_chapter();
        self.tell(TOOLSTACK, command);
        self.wait_for(component(TOOLSTACK).logs(comes_to));
    }

    /// Waits until the toolstack's list says this, such as `web: running` or `0 VMs`. Begins chapters.
    #[track_caller]
    pub fn toolstack_comes_to_list(&mut self, state: &str) {
        loop {
            sleep(PACE);
            self.tell_toolstack("list", LISTED);
            if self.has_seen(&component(TOOLSTACK).logs(state)) {
                return;
            }
        }
    }

    /// How many nodes XenStore has. Begins a chapter.
    #[track_caller]
    pub fn count_nodes(&mut self) -> usize {
        self.begin_chapter();
        self.tell(TOOLSTACK, "nodes");
        let said = self.wait_for(component(TOOLSTACK).logs(NODES));
        let What::Log { msg, .. } = &said.what else { self.fail("a log record was waited for") };
        let number = msg.strip_prefix(NODES).and_then(|rest| rest.split(' ').next()?.parse().ok());
        number.unwrap_or_else(|| self.fail(format_args!("a number of nodes was expected, found {msg:?}")))
    }
}
