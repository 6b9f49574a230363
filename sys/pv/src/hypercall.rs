//! The hypercall instruction.
//!
//! `syscall` reaches Xen from the kernel mode of a PV domain with no hypercall page. From the user
//! mode of root it reaches the recovery kernel, which passes what it allows on to Xen: the same code
//! serves both.

use core::arch::asm;
use xen_abi::{Hypercall, XenError};

/// What a hypercall answers: a number that is not negative, or Xen's error.
pub type Result<T = ()> = core::result::Result<T, XenError>;

/// Issues hypercall `number` and returns what Xen left in `rax`.
///
/// # Safety
/// The arguments must be what the hypercall defines: pointers among them must be valid for what
/// Xen reads and writes, and the operation must not change memory, page tables or the control flow
/// of this domain behind the compiler's back.
#[inline(always)]
pub unsafe fn raw(number: u64, args: [u64; 5]) -> i64 {
    let result: i64;
    // SAFETY: Xen's calling convention: the number in rax, arguments in rdi, rsi, rdx, r10 and r8;
    // rax, rcx and r11 change. So do the arguments: where Xen interrupts a long operation it puts there
    // what is left to do, and issues it again. What the operation does is the caller's promise.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            inlateout("rdi") args[0] => _,
            inlateout("rsi") args[1] => _,
            inlateout("rdx") args[2] => _,
            inlateout("r10") args[3] => _,
            inlateout("r8") args[4] => _,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack)
        );
    }
    result
}

/// Issues `hypercall` with up to five arguments.
///
/// # Errors
/// Xen's, where the answer is negative.
///
/// # Safety
/// As [`raw`].
#[inline]
pub unsafe fn call<const N: usize>(hypercall: Hypercall, args: [u64; N]) -> Result<u64> {
    const { assert!(N <= 5) };
    let mut all = [0; 5];
    all[..N].copy_from_slice(&args);
    // SAFETY: passed on to the caller.
    XenError::check(unsafe { raw(hypercall.raw(), all) })
}

/// The address of `value`, as an argument through which Xen reads or writes.
pub fn arg<T: ?Sized>(value: &mut T) -> u64 {
    core::ptr::from_mut(value).expose_provenance() as u64
}
