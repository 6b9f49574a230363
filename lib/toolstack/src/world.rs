//! What the toolstack needs besides XenStore and root.

use crate::console::NotTyped;
use crate::layout::End;
use alloc::string::String;
use core::future::Future;
use uk_abi::Words;
use xen_abi::Domid;
use xenstore_session::Doorbell;

/// Who is who on this host.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// The toolstack's own domain, which shows the consoles of guests.
    pub own: Domid,
    /// Who serves guests' rings to XenStore.
    pub store: Domid,
    /// Who serves network interfaces, if anybody does.
    pub net: Option<Domid>,
    /// Who serves disks, if anybody does.
    pub disk: Option<Domid>,
}

/// What the toolstack needs besides XenStore and root: files, time, consoles.
pub trait World {
    /// The event channel to XenStore.
    type StoreBell: Doorbell;
    /// The event channel to root.
    type RootBell: Doorbell;
    /// Memory that is shared with root.
    type Words: Words;

    /// Microseconds since Xen has booted.
    fn now_us(&self) -> u64;

    /// Waits until then.
    fn wait_until(&self, at_us: u64) -> impl Future<Output = ()>;

    /// The guests of the system description that are to start with the host.
    fn guests(&self) -> impl Iterator<Item = &str>;

    /// The configuration of a guest of the description, as `xl.cfg` says it.
    fn config(&self, guest: &str) -> Option<String>;

    /// The kernel of a guest of the description, an ELF image.
    fn kernel(&self, guest: &str) -> Option<&[u8]>;

    /// The ramdisk of a guest of the description.
    fn ramdisk(&self, guest: &str) -> Option<&[u8]>;

    /// Where in the boot archive bytes lie, if they come from there: root can copy them itself then.
    fn place(&self, bytes: &[u8]) -> Option<u64>;

    /// Shows a guest's console from now on, or goes on to show it.
    fn open_console(&self, domid: Domid, console: End);

    /// Shows again what is kept of what a domain has written to its console and was shown. Answers whether anything is kept of it.
    fn recall_console(&self, domid: Domid) -> bool;

    /// Has a guest read a line from its console. `number` is the line's own: to ask again for the same does nothing more.
    ///
    /// # Errors
    /// [`NotTyped`].
    fn type_into(&self, domid: Domid, number: u64, line: &str) -> Result<(), NotTyped>;

    /// A step of the journal begins or ends: where a life that is to end at one of them does so.
    fn step(&self) {}

    /// Takes what a guest that runs no more has still written, and lets go of its console.
    fn close_console(&self, domid: Domid);
}
