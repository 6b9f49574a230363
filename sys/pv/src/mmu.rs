//! Page tables, where a PV domain must ask Xen to change them.

use crate::hypercall::{Result, call};
use xen_abi::mmu::{Foreign, MmuUpdate, MmuextOp, Pte, UvmFlags};
use xen_abi::{Domid, GuestHandle, Hypercall, VirtAddr};

/// Applies `updates` to page tables; `foreign` says whose tables they are, and whose frames the new
/// entries have. Those before one that is refused stay done.
///
/// # Errors
/// Xen's, for the first entry that it refuses.
///
/// # Safety
/// No memory that is in use may change its meaning or lose its mapping.
pub unsafe fn update(updates: &[MmuUpdate], foreign: Foreign) -> Result {
    let args = [GuestHandle::to(updates).0, updates.len() as u64, 0, u64::from(foreign.raw())];
    // SAFETY: Xen reads the live slice; what the entries mean is the caller's promise.
    unsafe { call(Hypercall::MmuUpdate, args) }.map(|_| ())
}

/// Maps one page of this domain: the entry for `address` becomes `entry`.
///
/// # Errors
/// Xen's: there is no L1 table for the address, or the entry is refused.
///
/// # Safety
/// As [`update`].
pub unsafe fn update_va_mapping(address: VirtAddr, entry: Pte) -> Result {
    // SAFETY: the caller's promise.
    unsafe { call(Hypercall::UpdateVaMapping, [address.0, entry.0, UvmFlags::INVLPG.bits()]) }.map(|_| ())
}

/// Issues one extended MMU operation on page tables of `domain`.
///
/// # Errors
/// Xen's.
///
/// # Safety
/// As [`update`]: pinning, base pointers and flushes must leave used memory what it is.
pub unsafe fn ext_op(op: &MmuextOp, domain: Domid) -> Result {
    // SAFETY: Xen reads one live structure; the rest is the caller's promise.
    unsafe { call(Hypercall::MmuextOp, [GuestHandle::to(op).0, 1, 0, u64::from(domain.0)]) }.map(|_| ())
}
