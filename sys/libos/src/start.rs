//! From `_start` to the executor.

use crate::{Uk, channel, executor, grant, heap, kept, log_ring};
use core::ops::Range;
use core::ptr::NonNull;
use core::sync::atomic::AtomicU64;
use pv::shared_info::SharedInfo;
use uk_abi::boot_info::{Area, BootInfo};
use uk_abi::device_info::DeviceInfo;
use uk_abi::health::{BootStage, HealthPage, WORDS};
use uk_abi::layout::{BOOT_INFO_VA, HEALTH_VA, SHARED_INFO_VA};

/// What root says about this life.
pub(crate) fn boot_info() -> &'static BootInfo {
    // SAFETY: root fills in this page before a life starts and changes nothing during it; it is
    // mapped read-only.
    unsafe { &*(BOOT_INFO_VA as *const BootInfo) }
}

/// The devices that root has given this unikernel.
pub(crate) fn devices() -> impl Iterator<Item = &'static DeviceInfo> {
    let info = boot_info();
    (0..usize::from(info.device_count)).filter_map(|index| info.device_info_va(index)).map(|va| {
        // SAFETY: root fills in a page for each device, mapped read-only behind boot info.
        unsafe { &*(va as *const DeviceInfo) }
    })
}

/// The words of the page that root watches.
pub(crate) fn health_words() -> &'static [AtomicU64; WORDS] {
    // SAFETY: the builder maps the page there, writable, and both sides use it by atomics.
    unsafe { &*(HEALTH_VA as *const [AtomicU64; WORDS]) }
}

/// The page that root watches.
pub(crate) fn health() -> HealthPage<'static> {
    HealthPage::new(health_words())
}

/// The page that Xen shares.
pub(crate) fn shared_info() -> SharedInfo {
    let address = NonNull::new(SHARED_INFO_VA as *mut _).unwrap_or(NonNull::dangling());
    // SAFETY: the builder maps the domain's shared_info there, writable.
    unsafe { SharedInfo::at(address) }
}

/// The addresses of the stack.
pub(crate) fn stack() -> Range<u64> {
    let stack = boot_info().stack;
    stack.va..stack.end()
}

/// What the allocator has: all that root calls the heap, but for the book of grant mappings at its end.
pub(crate) fn heap() -> Area {
    let heap = boot_info().heap;
    Area { va: heap.va, pages: heap.pages - grant::book_area(boot_info()).pages }
}

/// The words of an area that this unikernel shares with root or others.
pub(crate) fn words(area: Area) -> &'static [AtomicU64] {
    // SAFETY: boot info was validated: the areas lie in RAM or in the kept window, apart from each other
    // and from all that Rust manages; all sides use them by atomics.
    unsafe { core::slice::from_raw_parts(area.va as *const AtomicU64, (area.bytes() / 8) as usize) }
}

unsafe extern "Rust" {
    /// Made by [`crate::main!`].
    fn uk_main(spawner: crate::Spawner, uk: Uk);
}

/// Where `_start` arrives.
pub(crate) extern "C" fn start() -> ! {
    let health = health();
    // From here on an exception is this life's own.
    health.set_boot_wanted(false);
    health.set_stage(BootStage::Entered);
    let info = boot_info();
    if let Err(error) = info.validate() {
        panic!("{error}");
    }
    shared_info().mask_and_clear_all();
    log_ring::init();
    kept::start(info);
    grant::start(info);
    // SAFETY: root gives this area to nobody else, and the pages that other domains may still use are left out.
    unsafe { heap::init(heap(), &grant::inherited_pages()) };
    health.set_stage(BootStage::Memory);
    channel::start();
    health.set_stage(BootStage::Events);
    executor::run(|spawner| {
        health.set_stage(BootStage::Main);
        // SAFETY: the program defines it by `main!`, with this signature.
        unsafe { uk_main(spawner, Uk::new()) };
    })
}
