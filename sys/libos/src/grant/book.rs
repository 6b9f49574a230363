//! The book of mappings: what is mapped where in the grant window, in memory that is as old as the domain.
//!
//! Xen keeps the mappings of a domain over a micro-reboot but does not tell about them, and without its handle a mapping
//! cannot be undone. The book lies behind the heap, where neither a micro-reboot nor the allocator writes. Each page of
//! the window has three words:
//!
//! ```text
//! who    domid (16) | access (16) | grant reference (32)
//! state  state (8) | check (24) | handle (32)               0: nothing is mapped
//! frame  the machine address of what is mapped, for devices; 0 while it is not known
//! ```
//!
//! One store of the second word makes an entry what it is, so a reset finds it before or after each step.

use crate::grant::Access;
use crate::start;
use core::sync::atomic::{AtomicU64, Ordering};
use uk_abi::boot_info::{Area, BootInfo};
use uk_abi::layout::PAGE_SIZE;
use xen_abi::types::GrantHandle;
use xen_abi::{Domid, GrantRef, MachineAddr};

/// What is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) from: Domid,
    pub(super) reference: GrantRef,
    pub(super) access: Access,
}

/// What the book says of a page of the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// Nothing is mapped.
    Free,
    /// Xen was being asked to map it: whether it is mapped is not known, nor its handle.
    Mapping(Who),
    /// It is mapped, and the machine has it there.
    Mapped(Who, GrantHandle, MachineAddr),
    /// Xen was being asked to unmap it.
    Unmapping(Who, GrantHandle),
}

/// The entry of a page says nothing that was ever written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged {
    pub(super) page: usize,
}

/// Words of an entry.
const WORDS: usize = 3;

const MAPPING: u64 = 1;
const MAPPED: u64 = 2;
const UNMAPPING: u64 = 3;

/// Where the book lies: at the end of what root calls the heap.
///
/// # Panics
/// If the heap is no larger than the book.
pub(crate) fn area(info: &BootInfo) -> Area {
    let pages = (info.grant_window.pages * (WORDS * 8) as u64).div_ceil(PAGE_SIZE as u64);
    assert!(pages < info.heap.pages, "a heap of {} pages, the book of grants takes {pages}", info.heap.pages);
    Area { va: info.heap.end() - pages * PAGE_SIZE as u64, pages }
}

fn words() -> &'static [AtomicU64] {
    start::words(area(start::boot_info()))
}

/// Makes every entry free.
pub(super) fn clear() {
    words().iter().for_each(|word| word.store(0, Ordering::Relaxed));
}

/// The pages whose entries are not free.
pub(super) fn used() -> impl Iterator<Item = usize> {
    let is_used = |(_, words): &(usize, &[AtomicU64])| words[1].load(Ordering::Acquire) != 0;
    words().chunks_exact(WORDS).enumerate().filter(is_used).map(|(page, _)| page)
}

/// The words of the entry of `page`.
fn entry(page: usize) -> &'static [AtomicU64] {
    &words()[page * WORDS..(page + 1) * WORDS]
}

/// The entry of `page`.
pub(super) fn read(page: usize) -> Result<Entry, Damaged> {
    let words = entry(page);
    let state = words[1].load(Ordering::Acquire);
    if state == 0 {
        return Ok(Entry::Free);
    }
    let (who, frame) = (words[0].load(Ordering::Relaxed), words[2].load(Ordering::Relaxed));
    let handle = GrantHandle((state >> 32) as u32);
    if state != seal(page, [who, frame], state & 0xff, handle) {
        return Err(Damaged { page });
    }
    let access = if who >> 16 & 1 == 0 { Access::ReadOnly } else { Access::ReadWrite };
    let who = Who { from: Domid(who as u16), reference: GrantRef((who >> 32) as u32), access };
    match state & 0xff {
        MAPPING => Ok(Entry::Mapping(who)),
        MAPPED => Ok(Entry::Mapped(who, handle, MachineAddr(frame))),
        UNMAPPING => Ok(Entry::Unmapping(who, handle)),
        _ => Err(Damaged { page }),
    }
}

/// Writes the entry of `page`. A reset between the frame and the state of what has just been mapped leaves a damaged entry, which
/// ends as one that was being mapped does: nobody has its handle.
pub(super) fn write(page: usize, new: Entry) {
    let words = entry(page);
    let (who, state, handle, frame) = match new {
        Entry::Free => return words[1].store(0, Ordering::Release),
        Entry::Mapping(who) => (who, MAPPING, GrantHandle(u32::MAX), 0),
        Entry::Mapped(who, handle, frame) => (who, MAPPED, handle, frame.0),
        Entry::Unmapping(who, handle) => (who, UNMAPPING, handle, words[2].load(Ordering::Relaxed)),
    };
    let access = u64::from(who.access == Access::ReadWrite);
    let who = u64::from(who.from.0) | access << 16 | u64::from(who.reference.0) << 32;
    // The same in every state of one mapping; where it changes, the entry is free.
    words[0].store(who, Ordering::Relaxed);
    words[2].store(frame, Ordering::Relaxed);
    words[1].store(seal(page, [who, frame], state, handle), Ordering::Release);
}

/// The second word of an entry.
fn seal(page: usize, rest: [u64; 2], state: u64, handle: GrantHandle) -> u64 {
    let mix = |sum: u64, word: u64| (sum ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31);
    let words = [page as u64, rest[0], rest[1], state, u64::from(handle.0)];
    let check = words.into_iter().fold(1, mix) & 0xff_ffff;
    state | check << 8 | u64::from(handle.0) << 32
}
