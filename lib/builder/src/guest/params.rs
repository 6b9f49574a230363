//! What a guest is to have.

use core::fmt;

use xen_abi::{
    Domid,
    domctl::{DomainHandle, TscMode},
    start_info::MAX_GUEST_CMDLINE,
};

use super::error::GuestError;
use crate::steps::{MAX_VCPUS, TableSizes};

/// The most pages of a guest's memory: 1 TiB.
pub const MAX_MEMORY_PAGES: u64 = 1 << 28;

/// What a guest is to have besides its kernel.
#[derive(Clone, Copy)]
pub struct GuestParams<'a> {
    /// The kernel's command line, without a NUL.
    pub command_line: &'a [u8],
    /// The initial ramdisk; empty for none.
    pub initrd: &'a [u8],
    /// Its memory when it starts, in pages.
    pub memory_pages: u64,
    /// The most that it may grow to, in pages; no less than `memory_pages`.
    pub most_pages: u64,
    /// Its vCPUs, of which only the first starts: the kernel starts the others.
    pub vcpus: u32,
    /// Its UUID.
    pub handle: DomainHandle,
    /// How it sees the time-stamp counter.
    pub tsc: TscMode,
    /// The tables that Xen keeps for it.
    pub tables: TableSizes,
    /// The domain at the other end of its XenStore ring; none on a host without XenStore. Linux, which is told so by a
    /// port of 0, does not wait for it then.
    pub store: Option<Domid>,
    /// The domain at the other end of its console.
    pub console: Domid,
}

impl Default for GuestParams<'_> {
    /// No memory yet, one vCPU, everything else served by dom0 and as Xen has it by default.
    fn default() -> Self {
        Self {
            command_line: b"",
            initrd: b"",
            memory_pages: 0,
            most_pages: 0,
            vcpus: 1,
            handle: [0; 16],
            tsc: TscMode::Default,
            tables: TableSizes::default(),
            store: Some(Domid::DOM0),
            console: Domid::DOM0,
        }
    }
}

impl GuestParams<'_> {
    /// Checks what can be checked without a kernel.
    pub(super) fn check(&self) -> Result<(), GuestError> {
        // The last byte is for the NUL.
        let most = MAX_GUEST_CMDLINE - 1;
        if self.command_line.len() > most {
            return Err(GuestError::CommandLine { length: self.command_line.len(), most });
        }
        if let Some(offset) = self.command_line.iter().position(|byte| *byte == 0) {
            return Err(GuestError::CommandLineNul { offset });
        }
        if self.vcpus == 0 || self.vcpus > MAX_VCPUS {
            return Err(GuestError::Vcpus { asked: self.vcpus, most: MAX_VCPUS });
        }
        if self.most_pages > MAX_MEMORY_PAGES {
            return Err(GuestError::TooMuchMemory { asked: self.most_pages, most: MAX_MEMORY_PAGES });
        }
        if self.memory_pages > self.most_pages {
            return Err(GuestError::MostMemory { memory: self.memory_pages, most: self.most_pages });
        }
        if self.tables.grant_frames == 0 {
            return Err(GuestError::NoGrantTable);
        }
        for domid in self.store.into_iter().chain([self.console]) {
            if !domid.is_ordinary() {
                return Err(GuestError::Server { domid });
            }
        }
        Ok(())
    }
}

/// Says how long the ramdisk is, not what is in it.
impl fmt::Debug for GuestParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuestParams")
            .field("command_line", &self.command_line.escape_ascii())
            .field("initrd_bytes", &self.initrd.len())
            .field("memory_pages", &self.memory_pages)
            .field("most_pages", &self.most_pages)
            .field("vcpus", &self.vcpus)
            .field("tsc", &self.tsc)
            .field("tables", &self.tables)
            .field("store", &self.store)
            .field("console", &self.console)
            .finish_non_exhaustive()
    }
}
