//! A kernel for PV guests: the one of the builder's own tests.

#[expect(dead_code, reason = "the builder's tests make other files too")]
#[path = "../../../../builder/tests/plan/support/elf_writer.rs"]
mod elf_writer;
#[expect(dead_code, reason = "the builder's tests make other kernels too")]
#[path = "../../../../builder/tests/plan/support/kernel.rs"]
mod linux;

pub fn linux() -> Vec<u8> {
    linux::Kernel::linux().file()
}
