//! Critical sections: there is one vCPU, and no event interrupts it. Nothing needs to be held off.

struct SingleVcpu;
critical_section::set_impl!(SingleVcpu);

// SAFETY: upcalls stay masked for the life of a unikernel and it has one vCPU, so that code between
// acquire and release is never interrupted by other code of the same domain.
unsafe impl critical_section::Impl for SingleVcpu {
    unsafe fn acquire() {}
    unsafe fn release(_token: ()) {}
}
