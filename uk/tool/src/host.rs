//! This host, as the toolstack sees it.

use crate::consoles::Consoles;
use crate::files::Files;
use alloc::string::String;
use core::cell::Cell;
use core::sync::atomic::AtomicU64;
use libos::channel::Channel;
use libos::clock;
use libos::event::Event;
use libos::fault;
use libos::time::{Instant, Timer};
use libos::xen_abi::Domid;
use toolstack::World;
use toolstack::console::NotTyped;
use toolstack::layout::End;

/// Files, time, consoles, and how this life may be wanted to end.
pub struct ThisHost {
    /// What the boot archive has.
    pub files: Files,
    /// Guests' consoles.
    pub consoles: Consoles,
    /// How many beginnings and ends of steps of the journal there are before the one at which this life is to end, if it is.
    pub steps_left: Cell<Option<u64>>,
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

    fn recall_console(&self, domid: Domid) -> bool {
        self.consoles.recall(domid)
    }

    fn type_into(&self, domid: Domid, number: u64, line: &str) -> Result<(), NotTyped> {
        self.consoles.give(domid, number, line)
    }

    fn step(&self) {
        match self.steps_left.get() {
            Some(0) => fault::crash(),
            left => self.steps_left.set(left.map(|left| left - 1)),
        }
    }

    fn close_console(&self, domid: Domid) {
        self.consoles.close(domid);
    }
}
