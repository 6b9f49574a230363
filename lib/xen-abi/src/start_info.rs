//! The page whose address a PV kernel finds in rsi when it starts (`xen.h`).

use crate::payload::Payload;
use crate::types::until_nul;
use crate::{Mfn, Pfn, Port, VirtAddr};

/// The most bytes of a kernel's command line, with its closing NUL.
pub const MAX_GUEST_CMDLINE: usize = 1024;

/// What [`StartInfo::magic`] starts with, before the version.
pub const MAGIC_PREFIX: &str = "xen-";

flags! {
    /// What kind of domain this is, and what its modules are.
    pub struct StartFlags: u32 {
        /// The domain may use privileged hypercalls.
        const PRIVILEGED = 1 << 0;
        /// The domain is dom0.
        const INITDOMAIN = 1 << 1;
        /// `mod_start` is a list of [`MultibootMod`].
        const MULTIBOOT_MOD = 1 << 2;
        /// `mod_start` is a frame, not an address.
        const MOD_START_PFN = 1 << 3;
        /// The p2m list is kept where tools read it by virtual address.
        const VIRT_P2M_4TOOLS = 1 << 4;
        /// Hints of power management.
        const PM_MASK = 0xff << 8;
    }
}

structs! {
    /// What a PV domain learns from its builder.
    pub struct StartInfo: 1168 {
        /// "xen-3.0-x86_64", with a closing NUL.
        pub magic: [u8; 32],
        /// The domain's memory, in pages.
        pub nr_pages: u64,
        /// The machine address (not frame) of the shared info page.
        pub shared_info: u64,
        /// What kind of domain this is.
        pub flags: StartFlags,
        /// Zero.
        pub pad0: u32,
        /// The frame of the ring to XenStore.
        pub store_mfn: Mfn,
        /// The port to XenStore.
        pub store_evtchn: Port,
        /// Zero.
        pub pad1: u32,
        /// A [`DomUConsole`], or a [`Dom0Console`] if the domain is dom0.
        pub console: Payload<2>,
        /// The address of the top page table.
        pub pt_base: VirtAddr,
        /// The count of frames with page tables, which follow `pt_base`.
        pub nr_pt_frames: u64,
        /// The address of the p2m list: the machine frame of each of the domain's pages.
        pub mfn_list: VirtAddr,
        /// The address (or frame, see the flags) of the module; 0 if none.
        pub mod_start: u64,
        /// The module's length in bytes.
        pub mod_len: u64,
        /// The command line, with a closing NUL.
        pub cmd_line: [u8; MAX_GUEST_CMDLINE],
        /// The first page of the p2m list, if the kernel asked for it to be mapped elsewhere.
        pub first_p2m_pfn: Pfn,
        /// The count of pages of the p2m list.
        pub nr_p2m_frames: u64,
    }

    /// The console of a domain other than dom0.
    pub struct DomUConsole: 16 {
        /// The frame of the ring.
        pub mfn: Mfn,
        /// The port.
        pub evtchn: Port,
        /// Zero.
        pub pad: u32,
    }

    /// Where dom0 finds the description of the screen, relative to the start info.
    pub struct Dom0Console: 8 {
        /// Offset in bytes.
        pub info_off: u32,
        /// Length in bytes.
        pub info_size: u32,
    }

    /// One module of several.
    pub struct MultibootMod: 16 {
        /// The address of the first byte.
        pub mod_start: u32,
        /// The address of the last byte.
        pub mod_end: u32,
        /// The address of the module's command line.
        pub cmdline: u32,
        /// Zero.
        pub pad: u32,
    }
}

impl StartInfo {
    /// Whether a PV builder wrote this page.
    pub fn has_magic(&self) -> bool {
        self.magic.starts_with(MAGIC_PREFIX.as_bytes())
    }

    /// The command line up to its NUL.
    pub fn command_line(&self) -> &[u8] {
        until_nul(&self.cmd_line)
    }
}
