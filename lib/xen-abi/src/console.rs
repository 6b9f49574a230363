//! A domain's console (`io/console.h`): the page that it shares with whoever shows it.

structs! {
    /// The page of a console; the rest of it is unused. Indexes run freely, modulo 2^32.
    pub struct ConsoleInterface: 3088 {
        /// The bytes of input.
        pub input: [u8; 1024],
        /// The bytes of output.
        pub out: [u8; 2048],
        /// How far the domain has read.
        pub in_cons: u32,
        /// How far the backend has written.
        pub in_prod: u32,
        /// How far the backend has read.
        pub out_cons: u32,
        /// How far the domain has written.
        pub out_prod: u32,
    }
}
