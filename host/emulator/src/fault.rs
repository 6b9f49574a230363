//! The faults that can be injected, by the names that the console's commands use.

use strum::{Display, EnumString, VariantArray};
pub use uk_abi::fault::Fault;

/// A way for root itself to fail. (Root has no heap that could be overwritten.)
#[derive(Clone, Copy, Debug, Display, EnumString, Eq, Hash, PartialEq, VariantArray)]
#[strum(serialize_all = "kebab-case")]
pub enum RootFault {
    /// An undefined instruction.
    Ud2,
    /// A store to address 0.
    NullStore,
    /// A general protection fault: an address that is not canonical.
    Gp,
    /// A jump to an address that is not mapped.
    WildJump,
    /// Its initialised data overwritten.
    TrashData,
    /// Its zeroed data overwritten.
    TrashBss,
    /// Its stack overwritten.
    TrashStack,
    /// A Rust panic.
    Panic,
    /// A recursion that runs into the guard below the stack.
    StackOverflow,
    /// A stack pointer that leads nowhere.
    BadSp,
    /// A store to its own text, which is write-protected.
    StoreText,
    /// A loop that never yields.
    TightLoop,
    /// Waiting for an event that never comes.
    BlockForever,
}

impl RootFault {
    /// Every fault.
    pub const ALL: &'static [RootFault] = RootFault::VARIANTS;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back() {
        assert_eq!(RootFault::BlockForever.to_string(), "block-forever");
        for fault in RootFault::ALL {
            assert_eq!(fault.to_string().parse(), Ok(*fault));
        }
    }
}
