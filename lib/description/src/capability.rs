//! What a component may ask root's broker for.

use bitflags::bitflags;
use serde::{Deserialize, Serialize};

bitflags! {
    /// What a component may ask root's broker for. Without any, a component has its memory, its devices, and what
    /// other domains grant it.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub struct Capabilities: u32 {
        /// Create domains, and lay out, run and destroy those that it created.
        const GUESTS = 1 << 0;
        /// Be handed the XenStore page and port of every guest.
        const XENSTORE = 1 << 1;
        /// Be handed the console page and port of every guest.
        const CONSOLES = 1 << 2;
        /// Read the host's state: components, their health, free memory, the event log.
        const INSPECT = 1 << 3;
        /// Restart and release components.
        const OPERATE = 1 << 4;
        /// Reboot the host or turn it off.
        const POWER = 1 << 5;
        /// Make components fail.
        const FAULTS = 1 << 6;
    }
}

impl Capabilities {
    /// Each capability by its name in `rvmm.toml`.
    pub const NAMES: [(&'static str, Self); 7] = [
        ("guests", Self::GUESTS),
        ("xenstore", Self::XENSTORE),
        ("consoles", Self::CONSOLES),
        ("inspect", Self::INSPECT),
        ("operate", Self::OPERATE),
        ("power", Self::POWER),
        ("faults", Self::FAULTS),
    ];
}
