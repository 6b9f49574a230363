//! Where the parts of root's image lie, as `root.ld` placed them.

use core::ops::Range;
use core::sync::atomic::AtomicU64;
use xen_abi::Mfn;

unsafe extern "C" {
    static __image_start: u8;
    static __rodata_start: u8;
    static __kernel_start: u8;
    static __kernel_end: u8;
    static __data_start: u8;
    static __data_end: u8;
    static __data_copy: u8;
    static __bss_start: u8;
    static __bss_end: u8;
    static __stack_guard: u8;
    static __stack_bottom: u8;
    static __stack_top: u8;
    static __box_start: u8;
    static __box_end: u8;
    static __image_end: u8;
}

fn range(start: *const u8, end: *const u8) -> Range<u64> {
    start as u64..end as u64
}

/// Which of root's pages is at `address`: Xen's domain builder starts with the image.
pub(crate) fn pfn(address: u64) -> u64 {
    (address - text().start) / 4096
}

/// Code.
pub(crate) fn text() -> Range<u64> {
    range(&raw const __image_start, &raw const __rodata_start)
}

/// Constants.
pub(crate) fn rodata() -> Range<u64> {
    range(&raw const __rodata_start, &raw const __kernel_start)
}

/// The recovery kernel's own data.
pub(crate) fn kernel() -> Range<u64> {
    range(&raw const __kernel_start, &raw const __kernel_end)
}

/// Main's data.
pub(crate) fn data() -> Range<u64> {
    range(&raw const __data_start, &raw const __data_end)
}

/// Main's bss.
pub(crate) fn bss() -> Range<u64> {
    range(&raw const __bss_start, &raw const __bss_end)
}

/// Main's stack.
pub(crate) fn stack() -> Range<u64> {
    range(&raw const __stack_bottom, &raw const __stack_top)
}

/// The boot archive: the module that Xen loaded beside root.
pub fn archive() -> &'static [u8] {
    let archive = &crate::info().archive;
    // SAFETY: the range is Xen's, mapped read-only for both halves of root for as long as it runs.
    unsafe { core::slice::from_raw_parts(archive.start as *const u8, (archive.end - archive.start) as usize) }
}

/// The machine frames of the boot archive's pages.
pub(crate) fn archive_frames() -> &'static [Mfn] {
    let archive = &crate::info().archive;
    let pages = pfn(archive.start) as usize..pfn(archive.end.next_multiple_of(4096)) as usize;
    frames().get(pages).unwrap_or_default()
}

/// The machine frames of root's pages, by pfn.
pub(crate) fn frames() -> &'static [Mfn] {
    let frames = &crate::info().frames;
    // SAFETY: the list is Xen's, mapped read-only for both halves of root for as long as it runs, and nobody
    // has written to it.
    unsafe {
        core::slice::from_raw_parts(
            frames.start as *const Mfn,
            (frames.end - frames.start) as usize / size_of::<Mfn>(),
        )
    }
}

/// What main may write but for its stack: its data, its bss.
pub(crate) fn main_data() -> Range<u64> {
    range(&raw const __kernel_end, &raw const __stack_guard)
}

/// Main's stack and recovery box.
pub(crate) fn main_stack_and_box() -> Range<u64> {
    range(&raw const __stack_bottom, &raw const __image_end)
}

/// Where main's stack starts: its highest address.
pub(crate) fn stack_top() -> u64 {
    &raw const __stack_top as u64
}

/// Keeps main's data as the image brought it, for [`reset_main_data`].
///
/// # Safety
/// Once, at boot, before main has run.
pub(crate) unsafe fn keep_main_data() {
    let data = data();
    // SAFETY: the linker script reserves SIZEOF(.data) bytes at __data_copy, apart from .data.
    unsafe {
        core::ptr::copy_nonoverlapping(
            data.start as *const u8,
            (&raw const __data_copy).cast_mut(),
            (data.end - data.start) as usize,
        );
    }
}

/// Puts main's data back as the image brought it, and clears its bss.
///
/// # Safety
/// Main must not run, and nothing of what it held there may be used again.
pub(crate) unsafe fn reset_main_data() {
    let (data, bss) = (data(), bss());
    // SAFETY: the ranges are the linker script's, and the caller vouches for main.
    unsafe {
        core::ptr::copy_nonoverlapping(
            &raw const __data_copy,
            data.start as *mut u8,
            (data.end - data.start) as usize,
        );
        core::ptr::write_bytes(bss.start as *mut u8, 0, (bss.end - bss.start) as usize);
    }
}

/// Root's recovery box: the words that a restart of main keeps.
pub fn recovery_words() -> &'static [AtomicU64] {
    let words = range(&raw const __box_start, &raw const __box_end);
    // SAFETY: the linker script reserves the range for this alone, page-aligned; any bytes make
    // valid atomics, and nothing else refers to them.
    unsafe {
        core::slice::from_raw_parts(words.start as *const AtomicU64, ((words.end - words.start) / 8) as usize)
    }
}
