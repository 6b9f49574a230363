//! What the builder's tests share.

pub(crate) mod elf_writer;
pub(crate) mod expect;
pub(crate) mod guest;
pub(crate) mod kernel;
pub(crate) mod machine;
pub(crate) mod xen;
