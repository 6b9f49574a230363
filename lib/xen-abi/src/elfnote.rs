//! What a kernel's ELF notes tell the domain builder (`elfnote.h`). The notes' owner is [`OWNER`].

/// The owner's name of Xen's notes.
pub const OWNER: &str = "Xen";

numbers! {
    /// The type of a note. Values are strings or integers of 4 or 8 bytes.
    pub enum ElfNote: u32 {
        /// Free text.
        Info = 0,
        /// The virtual address of the entry point.
        Entry = 1,
        /// The virtual address of the page that Xen fills with hypercall stubs.
        HypercallPage = 2,
        /// The virtual address that the domain's memory is mapped from.
        VirtBase = 3,
        /// What is subtracted from the ELF's physical addresses.
        PaddrOffset = 4,
        /// The interface's version: "xen-3.0".
        XenVersion = 5,
        /// The kernel's name.
        GuestOs = 6,
        /// The kernel's version.
        GuestVersion = 7,
        /// The loader's kind: "generic".
        Loader = 8,
        /// Whether a 32-bit kernel uses PAE.
        PaeMode = 9,
        /// Features, as words such as `writable_page_tables`, with `!` where required.
        Features = 10,
        /// Whether a BSD symbol table is to be loaded.
        BsdSymtab = 11,
        /// The lowest address that Xen may use (32-bit).
        HvStartLow = 12,
        /// How the kernel recognises invalid L1 entries.
        L1MfnValid = 13,
        /// Whether the kernel can cancel a suspend.
        SuspendCancel = 14,
        /// Where the p2m list is to be mapped.
        InitP2m = 15,
        /// Whether the module is given by frame instead of by address.
        ModStartPfn = 16,
        /// The features the kernel supports: a mask of [`crate::version::Features`].
        SupportedFeatures = 17,
        /// The physical entry point of a PVH kernel.
        Phys32Entry = 18,
        /// Where a PVH kernel may be moved to. Known from Xen 4.20 on.
        Phys32Reloc = 19,
        /// Crash note: Xen's information.
        CrashInfo = 0x100_0001,
        /// Crash note: registers.
        CrashRegs = 0x100_0002,
        /// Core dump: no data.
        DumpcoreNone = 0x200_0000,
        /// Core dump: header.
        DumpcoreHeader = 0x200_0001,
        /// Core dump: Xen's version.
        DumpcoreXenVersion = 0x200_0002,
        /// Core dump: version of the format.
        DumpcoreFormatVersion = 0x200_0003,
    }
}
