//! Which Xen this is.

use crate::hypercall::{Result, call};
use xen_abi::Hypercall;
use xen_abi::version::XenVersionOp;

/// Xen's version, as major and minor number.
///
/// # Errors
/// Xen's.
pub fn xen_version() -> Result<(u16, u16)> {
    // SAFETY: the operation has no argument.
    let packed = unsafe { call(Hypercall::XenVersion, [u64::from(XenVersionOp::Version.raw()), 0]) }?;
    Ok(((packed >> 16) as u16, packed as u16))
}
