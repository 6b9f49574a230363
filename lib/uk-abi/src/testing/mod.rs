//! Programs that die between any two things that others see, and the memory that they leave.

mod fuse;
mod memory;
mod mortal;

pub use fuse::Fuse;
pub use memory::Memory;
pub use mortal::Mortal;
