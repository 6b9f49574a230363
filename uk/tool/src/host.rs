//! This host, as the toolstack sees it.

use crate::consoles::Consoles;
use crate::files::Files;
use alloc::string::String;
use core::sync::atomic::AtomicU64;
use libos::channel::Channel;
use libos::clock;
use libos::event::Event;
use libos::time::{Instant, Timer};
use libos::xen_abi::Domid;
use toolstack::World;
use toolstack::layout::End;

/// Files, time and consoles.
pub struct ThisHost {
    /// What the boot archive has.
    pub files: Files,
    /// Guests' consoles.
    pub consoles: Consoles,
}

impl World for ThisHost {
    type StoreBell = Channel;
    type RootBell = Event;
    type Words = &'static [AtomicU64];

    fn now_us(&self) -> u64 {
        clock::now_us()
    }

    async fn wait_until(&self, at_us: u64) {
        Timer::at(Instant::from_micros(at_us)).await;
    }

    fn guests(&self) -> impl Iterator<Item = &str> {
        self.files.guests().map(|guest| guest.name.as_str())
    }

    fn config(&self, guest: &str) -> Option<String> {
        self.files.guest(guest)?.config.clone()
    }

    fn kernel(&self, guest: &str) -> Option<&[u8]> {
        self.files.guest(guest)?.kernel
    }

    fn ramdisk(&self, guest: &str) -> Option<&[u8]> {
        self.files.guest(guest)?.ramdisk
    }

    fn place(&self, bytes: &[u8]) -> Option<u64> {
        self.files.place(bytes)
    }

    fn open_console(&self, domid: Domid, console: End) {
        self.consoles.open(domid, console);
    }

    fn close_console(&self, domid: Domid) {
        self.consoles.close(domid);
    }
}
