//! What guests of the tests do to their disks: the blocks that they write, for whoever looks at the disk from outside.

pub mod blocks;
