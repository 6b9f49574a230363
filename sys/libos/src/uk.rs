//! What a unikernel's main is given.

use crate::boot_archive::BootArchive;
use crate::channel::Channel;
use crate::event::{Event, TooManyPorts};
use crate::kept::SharedMemory;
use crate::start;
use core::sync::atomic::AtomicU64;
use recovery_box::{OpenReport, RecoveryBox, TooSmall};
use uk_abi::boot_info::{BootInfo, BootReason};
use uk_abi::device_info::DeviceInfo;
use uk_abi::health::HealthPage;
use uk_abi::register::Register;
use xen_abi::{Domid, Port};

/// A unikernel's recovery box.
pub type Records<const SLOTS: usize, const PAYLOAD: usize> =
    RecoveryBox<&'static [AtomicU64], SLOTS, PAYLOAD>;

/// This unikernel, as root has set it up. There is one.
#[derive(Debug)]
pub struct Uk(());

impl Uk {
    pub(crate) const fn new() -> Self {
        Self(())
    }

    /// What root says about this life.
    pub fn info(&self) -> &'static BootInfo {
        start::boot_info()
    }

    /// Why this life began.
    pub fn boot_reason(&self) -> BootReason {
        // Boot info was validated at the start.
        self.info().boot_reason().unwrap_or(BootReason::First)
    }

    /// The number of this domain.
    pub fn domid(&self) -> Domid {
        Domid(self.info().domid)
    }

    /// The page that root watches: progress counters, part restarts, figures for tests.
    pub fn health(&self) -> HealthPage<'static> {
        start::health()
    }

    /// A line that the operator has for this unikernel and that was not taken yet, and its number. Root rings the doorbell when there is
    /// one.
    pub fn told(&self) -> Option<(u64, heapless::String<{ uk_abi::health::TOLD_MAX }>)> {
        self.health().told()
    }

    /// Takes the line of this number: no life sees it again.
    pub fn take_told(&self, number: u64) {
        self.health().take_told(number);
    }

    /// The event channel to root.
    ///
    /// # Errors
    /// [`TooManyPorts`].
    pub fn doorbell(&self) -> Result<Event, TooManyPorts> {
        Event::listen(Port(self.info().doorbell_port))
    }

    /// The words of the recovery box, which outlive every life and every domain of this unikernel. A program that divides them into
    /// several boxes starts from here.
    pub fn recovery_words(&self) -> &'static [AtomicU64] {
        start::words(self.info().recovery_box)
    }

    /// Opens the recovery box as one box of at most `SLOTS` records of `PAYLOAD` bytes, and says what was found in it.
    /// To be called once in a life.
    ///
    /// # Errors
    /// [`TooSmall`]: the description gives this unikernel fewer pages than such a box takes.
    pub fn recovery_box<const SLOTS: usize, const PAYLOAD: usize>(
        &self,
    ) -> Result<(Records<SLOTS, PAYLOAD>, OpenReport), TooSmall> {
        RecoveryBox::open(self.recovery_words())
    }

    /// The memory that is called `name` in the system description, if this unikernel shares it.
    pub fn shared(&self, name: &str) -> Option<SharedMemory> {
        SharedMemory::find(name)
    }

    /// The channel to the unikernel in the domain `peer`, if they share memory.
    pub fn channel(&self, peer: Domid) -> Option<Channel> {
        Channel::to(peer)
    }

    /// The register of domains, if the system description lets this unikernel read it. Root rings the doorbell when it
    /// has changed.
    pub fn register(&self) -> Option<Register<&'static [AtomicU64]>> {
        Some(self.info().register)
            .filter(|area| area.pages > 0)
            .and_then(|area| Register::new(start::words(area)))
    }

    /// The words in which this unikernel asks root's broker for something, if the system description lets it: for
    /// `broker::Client`. Root rings the doorbell when it has answered.
    pub fn broker(&self) -> Option<&'static [AtomicU64]> {
        Some(self.info().broker).filter(|area| area.pages > 0).map(start::words)
    }

    /// The boot archive, if the system description gives this unikernel guests to start from it.
    pub fn boot_archive(&self) -> Option<BootArchive> {
        BootArchive::find()
    }

    /// The devices that root has given this unikernel.
    pub fn devices(&self) -> impl Iterator<Item = &'static DeviceInfo> {
        start::devices()
    }
}
