//! Where Xen enters a PV kernel (`callback.h`).

use crate::VirtAddr;

numbers! {
    /// The command of `HYPERVISOR_callback_op`.
    pub enum CallbackOp: u32 {
        /// Takes a [`CallbackRegister`].
        Register = 0,
        /// Takes a [`CallbackUnregister`].
        Unregister = 1,
    }

    /// What a callback is called for.
    pub enum CallbackType: u16 {
        /// An event is pending and not masked.
        Event = 0,
        /// A segment register could not be loaded on return to the domain.
        Failsafe = 1,
        /// `syscall` from 64-bit user mode.
        Syscall = 2,
        /// `sysenter`, by its former number.
        SysenterDeprecated = 3,
        /// A non-maskable interrupt.
        Nmi = 4,
        /// `sysenter` from user mode.
        Sysenter = 5,
        /// `syscall` from 32-bit user mode.
        Syscall32 = 7,
    }
}

flags! {
    /// How a callback is entered.
    pub struct CallbackFlags: u16 {
        /// With events masked.
        const MASK_EVENTS = 1 << 0;
    }
}

structs! {
    /// Registers an entry point of the calling vCPU.
    pub struct CallbackRegister: 16 {
        /// A [`CallbackType`].
        pub kind: u16,
        /// How it is entered.
        pub flags: CallbackFlags,
        /// Zero.
        pub pad: u32,
        /// The entry point.
        pub address: VirtAddr,
    }

    /// Removes an entry point. That is possible for the NMI only; the others can be replaced.
    pub struct CallbackUnregister: 4 {
        /// A [`CallbackType`].
        pub kind: u16,
        /// Zero.
        pub pad: u16,
    }
}

impl CallbackRegister {
    /// Registers `address` for `kind`.
    pub fn new(kind: CallbackType, flags: CallbackFlags, address: VirtAddr) -> Self {
        Self { kind: kind.raw(), flags, pad: 0, address }
    }
}
