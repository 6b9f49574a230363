//! Batches of hypercalls (`xen.h`): one entry into Xen for many operations.

use crate::hypercall::Hypercall;

structs! {
    /// One call of a batch. `HYPERVISOR_multicall` takes an array of them, and its length.
    pub struct MulticallEntry: 64 {
        /// The hypercall's number.
        pub op: u64,
        /// Out: the call's answer.
        pub result: u64,
        /// The arguments; the unused ones are ignored.
        pub args: [u64; 6],
    }
}

impl MulticallEntry {
    /// A call with up to six arguments; the rest are zero.
    pub fn new<const N: usize>(hypercall: Hypercall, arguments: [u64; N]) -> Self {
        const { assert!(N <= 6, "a hypercall has at most six arguments") };
        let mut args = [0; 6];
        args[..N].copy_from_slice(&arguments);
        Self { op: hypercall.raw(), result: 0, args }
    }

    /// What the call answered, once the batch was issued.
    ///
    /// # Errors
    /// The call's own error. A batch answers 0 even if calls of it failed.
    pub fn result(&self) -> Result<u64, crate::XenError> {
        crate::XenError::check(self.result.cast_signed())
    }
}
