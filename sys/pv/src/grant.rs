//! Grant operations. Each structure of an array has a status of its own: see
//! [`GrantStatus`](xen_abi::grant_table::GrantStatus).

use crate::hypercall::{Result, call};
use xen_abi::grant_table::{self as abi, GrantTableOp};
use xen_abi::{Domid, GuestHandle, Hypercall, Mfn};

/// Issues `op` on an array of its structures.
///
/// # Safety
/// What the operation does to this domain's memory and mappings must be fine with whoever uses them.
unsafe fn op<T>(op: GrantTableOp, array: &mut [T]) -> Result {
    let args = [u64::from(op.raw()), GuestHandle::to_mut(array).0, array.len() as u64];
    // SAFETY: Xen reads and writes the live array; the rest is the caller's promise.
    unsafe { call(Hypercall::GrantTableOp, args) }.map(|_| ())
}

/// Gives this domain's grant table at least as many frames as `frames` has room for, and says which they are. Answers
/// the operation's status.
///
/// # Errors
/// Xen's.
pub fn setup_table(frames: &mut [Mfn]) -> Result<i16> {
    let mut setup = abi::SetupTable {
        dom: Domid::SELF,
        nr_frames: frames.len() as u32,
        frame_list: GuestHandle::to_mut(frames),
        ..Default::default()
    };
    // SAFETY: Xen writes the frames' numbers to the list, which has room for them, and maps nothing.
    unsafe { op(GrantTableOp::SetupTable, core::slice::from_mut(&mut setup)) }?;
    Ok(setup.status)
}

/// Maps pages that other domains have granted.
///
/// # Errors
/// Xen's, for the hypercall as a whole.
///
/// # Safety
/// Nothing may be mapped at the addresses, and nothing else may take them.
pub unsafe fn map(array: &mut [abi::MapGrantRef]) -> Result {
    // SAFETY: the caller's promise.
    unsafe { op(GrantTableOp::MapGrantRef, array) }
}

/// Unmaps such pages.
///
/// # Errors
/// Xen's, for the hypercall as a whole.
///
/// # Safety
/// Nobody may use the pages any more.
pub unsafe fn unmap(array: &mut [abi::UnmapGrantRef]) -> Result {
    // SAFETY: the caller's promise.
    unsafe { op(GrantTableOp::UnmapGrantRef, array) }
}

/// Copies between granted pages and pages of this domain.
///
/// # Errors
/// Xen's, for the hypercall as a whole.
///
/// # Safety
/// Sources of this domain must be readable, and destinations be writable with any bytes, without anybody minding.
pub unsafe fn copy(array: &mut [abi::GrantCopy]) -> Result {
    // SAFETY: the caller's promise.
    unsafe { op(GrantTableOp::Copy, array) }
}
