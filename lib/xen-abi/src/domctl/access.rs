//! What of the machine a domain may touch. Access that is taken away stays in mappings that exist already.

use crate::Mfn;

structs! {
    /// Lets a domain have a device interrupt, or not.
    pub struct IrqPermission: 8 {
        /// The pirq of the caller.
        pub pirq: u32,
        /// Not 0 to allow.
        pub allow_access: u8,
        /// Zero.
        pub pad: [u8; 3],
    }

    /// Lets a domain map device memory, or not.
    pub struct IomemPermission: 24 {
        /// The first frame.
        pub first_mfn: Mfn,
        /// How many.
        pub nr_mfns: u64,
        /// Not 0 to allow.
        pub allow_access: u8,
        /// Zero.
        pub pad: [u8; 7],
    }

    /// Lets a domain use I/O ports, or not.
    pub struct IoportPermission: 12 {
        /// The first port.
        pub first_port: u32,
        /// How many.
        pub nr_ports: u32,
        /// Not 0 to allow.
        pub allow_access: u8,
        /// Zero.
        pub pad: [u8; 3],
    }
}
