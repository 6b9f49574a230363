//! What root keeps for this unikernel: its recovery box, the memory that it shares, the register of domains.
//!
//! The pages are root's; this domain maps them, once in its life, before anything else; those of the boot archive, of which
//! there are many, when somebody asks for them. The kept map notes what is
//! mapped: it is the array of operations itself, and Xen writes the outcome of each when it has carried it out. So a
//! life that ends at any moment, be it in the middle of that one hypercall, leaves to the next what is to be known.

use crate::start;
use core::ops::Range;
use core::sync::atomic::AtomicU64;
use embassy_futures::yield_now;
use uk_abi::boot_info::BootInfo;
use uk_abi::kept::{SharedInfo, domains};
use uk_abi::layout::{KEPT_MAP_ENTRY, PAGE_SIZE};
use xen_abi::grant_table::{GrantStatus, MapFlags, MapGrantRef};
use xen_abi::{Domid, GrantRef};

const _: () = assert!(size_of::<MapGrantRef>() == KEPT_MAP_ENTRY);

/// Pages of the boot archive that are mapped at once: some milliseconds, in which nothing else runs and no heart beats.
const AT_ONCE: usize = 512;

/// The status of an operation that Xen has not carried out. Its own are zero or less.
const ASKED: i16 = 1;

/// Maps what is not mapped yet, but for the boot archive: a part of that is mapped when it is needed.
///
/// # Panics
/// If Xen refuses, or the kept map says what cannot be: a rebuild starts from nothing.
pub(crate) fn start(info: &BootInfo) {
    map(info, 0..(info.kept.pages - info.archive.pages) as usize);
}

/// Maps those of `pages` that are not mapped yet.
///
/// # Panics
/// As [`start`].
fn map(info: &BootInfo, pages: Range<usize>) {
    // SAFETY: boot info was validated: the area lies in RAM, apart from all that Rust manages, and has room for so many.
    // Root has cleared it, and zeros are operations. Nobody keeps a reference to it: this function hands none out, and
    // does not call itself.
    let map = unsafe {
        core::slice::from_raw_parts_mut(info.kept_map.va as *mut MapGrantRef, info.kept.pages as usize)
    };
    let mut rest = &mut map[pages.clone()];
    let mut page = pages.start;
    while let Some(first) = rest.iter().position(|op| !is_mapped(op)) {
        let run = rest[first..].iter().position(is_mapped).unwrap_or(rest.len() - first);
        let (now, behind) = rest[first..].split_at_mut(run);
        page += first;
        for (op, page) in now.iter_mut().zip(page..) {
            ask(op, info, page);
        }
        // SAFETY: the kept window is for these pages alone, and nothing is mapped where the map says so.
        if let Err(error) = unsafe { pv::grant::map(now) } {
            panic!("what root keeps cannot be mapped: {error}");
        }
        if let Some((op, reason)) = now.iter().find_map(|op| Some((op, GrantStatus::check(op.status).err()?)))
        {
            panic!("root's grant {} cannot be mapped: {reason}", op.grant_ref);
        }
        page += run;
        rest = behind;
    }
    let words = start::words(info.kept_map);
    let addresses = words.iter().step_by(KEPT_MAP_ENTRY / 8).skip(pages.start).take(pages.len());
    let mut wanted = pages.map(|page| info.kept.va + (page * PAGE_SIZE) as u64);
    let sound = addresses
        .into_iter()
        .all(|found| Some(found.load(core::sync::atomic::Ordering::Relaxed)) == wanted.next());
    assert!(sound, "the map of what root keeps is damaged");
}

/// Bytes of the boot archive, if it is lent to this unikernel and has so many. They are mapped now if they were not.
///
/// # Panics
/// As [`start`].
pub(crate) async fn archive(bytes: Range<usize>) -> Option<&'static [u8]> {
    let info = start::boot_info();
    if bytes.start > bytes.end || bytes.end as u64 > info.archive_bytes {
        return None;
    }
    let first = ((info.archive.va - info.kept.va) as usize) / PAGE_SIZE;
    let pages = first + bytes.start / PAGE_SIZE..first + bytes.end.div_ceil(PAGE_SIZE);
    for from in pages.clone().step_by(AT_ONCE) {
        map(info, from..pages.end.min(from + AT_ONCE));
        yield_now().await;
    }
    let address = info.archive.va as usize + bytes.start;
    // SAFETY: the range lies in the archive, all of it is mapped now and is never unmapped, and nobody writes to it:
    // root keeps it as Xen has loaded it.
    Some(unsafe { core::slice::from_raw_parts(address as *const u8, bytes.len()) })
}

fn is_mapped(op: &MapGrantRef) -> bool {
    op.host_addr != 0 && op.status == 0
}

/// Writes the operation that maps `page`. Its address comes last: without one it is no operation.
fn ask(op: &mut MapGrantRef, info: &BootInfo, page: usize) {
    let address = info.kept.va + (page * PAGE_SIZE) as u64;
    let mut flags = MapFlags::HOST_MAP;
    flags.set(MapFlags::READONLY, address >= info.writable_end());
    let grant_ref = GrantRef(info.kept_reference + page as u32);
    let operation =
        MapGrantRef { host_addr: 0, flags, grant_ref, dom: Domid::DOM0, status: ASKED, ..Default::default() };
    let op: *mut MapGrantRef = op;
    // SAFETY: one pointer to a live operation, and nobody else refers to it. Volatile, because a reset between the two
    // must find them in this order.
    unsafe {
        op.write_volatile(operation);
        (&raw mut (*op).host_addr).write_volatile(address);
    }
}

/// Memory that this unikernel shares with others. Root owns it, so it outlives every life and every domain of all of
/// them: what is found in it may be of any age, and was written by anybody who shares it.
#[derive(Clone, Copy, Debug)]
pub struct SharedMemory {
    info: &'static SharedInfo,
}

impl SharedMemory {
    pub(crate) fn find(name: &str) -> Option<Self> {
        start::boot_info().shared().iter().find(|info| info.name() == name).map(|info| Self { info })
    }

    /// Its name in the system description.
    pub fn name(&self) -> &'static str {
        self.info.name()
    }

    /// Its words.
    pub fn words(&self) -> &'static [AtomicU64] {
        start::words(self.info.area)
    }

    /// The others that share it, in the order of their numbers. Each can be reached by a
    /// [`Channel`](crate::channel::Channel).
    pub fn others(&self) -> impl Iterator<Item = Domid> + Clone + use<> {
        let own = start::boot_info().domid;
        domains(self.info.members).filter(move |domid| *domid != own).map(Domid)
    }
}
