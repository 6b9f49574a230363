//! The unions inside Xen's structures, as aligned bytes that any fitting structure goes into and comes out
//! of.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A union of `WORDS` 8-byte words.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Payload<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Payload<WORDS> {
    /// All zeroes: what an operation without an argument carries.
    pub const EMPTY: Self = Self([0; WORDS]);

    /// A union that holds `value`, and zeroes behind it. A value that does not fit does not compile.
    pub fn new<T: IntoBytes + Immutable>(value: &T) -> Self {
        const { assert!(size_of::<T>() <= WORDS * 8, "the value does not fit into the union") };
        let mut payload = Self::EMPTY;
        payload.0.as_mut_bytes()[..size_of::<T>()].copy_from_slice(value.as_bytes());
        payload
    }

    /// What the union holds, read as a `T`. A type that does not fit does not compile.
    pub fn get<T: FromBytes>(&self) -> T {
        const { assert!(size_of::<T>() <= WORDS * 8, "the type does not fit into the union") };
        let mut value = T::new_zeroed();
        // Every bit pattern is a T (FromBytes), and the assertion above leaves no way to fail.
        if let Ok((read, _)) = T::read_from_prefix(self.0.as_bytes()) {
            value = read;
        }
        value
    }
}

impl<const WORDS: usize> Default for Payload<WORDS> {
    fn default() -> Self {
        Self::EMPTY
    }
}
