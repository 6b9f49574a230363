//! The state of a vCPU (`arch-x86/xen.h`, `arch-x86/xen-x86_64.h`).

use crate::{Mfn, VirtAddr};

/// Code segment of a PV kernel: 64-bit, ring 3. The one selector of Xen's GDT that `VcpuGuestContext` needs
/// as cs.
pub const FLAT_KERNEL_CS: u16 = 0xe033;
/// Data segment of a PV kernel.
pub const FLAT_KERNEL_DS: u16 = 0;
/// Stack segment of a PV kernel.
pub const FLAT_KERNEL_SS: u16 = 0xe02b;
/// Code segment of 64-bit user mode: the same, for the kernel runs in ring 3 as well.
pub const FLAT_USER_CS: u16 = 0xe033;
/// Code segment of 32-bit user mode.
pub const FLAT_USER_CS32: u16 = 0xe023;
/// Data segment of 64-bit user mode.
pub const FLAT_USER_DS: u16 = 0;
/// Stack segment of user mode.
pub const FLAT_USER_SS: u16 = 0xe02b;

/// cs for a `HYPERVISOR_iret` that stays in kernel mode. With 3 in the lowest two bits, Xen would switch to
/// user mode and its page tables.
pub const IRET_KERNEL_CS: u16 = 0xe030;

/// The first address of what Xen reserves.
pub const HYPERVISOR_VIRT_START: VirtAddr = VirtAddr(0xffff_8000_0000_0000);
/// Behind the last address of what Xen reserves.
pub const HYPERVISOR_VIRT_END: VirtAddr = VirtAddr(0xffff_8800_0000_0000);
/// Where the table from machine frames to pages is mapped, in kernel mode: an array of `u64`.
pub const MACH2PHYS_VIRT_START: VirtAddr = VirtAddr(0xffff_8000_0000_0000);
/// Behind its last address.
pub const MACH2PHYS_VIRT_END: VirtAddr = VirtAddr(0xffff_8040_0000_0000);

/// Entries of the GDT from this one on are Xen's.
pub const FIRST_RESERVED_GDT_ENTRY: u32 = 14 * 4096 / 8;

numbers! {
    /// The command of `HYPERVISOR_set_segment_base`.
    pub enum SegmentBase: u32 {
        /// The base of fs.
        Fs = 0,
        /// The base of gs in user mode.
        GsUser = 1,
        /// The base of gs in kernel mode.
        GsKernel = 2,
        /// Loads a selector into gs of user mode.
        GsUserSel = 3,
    }

    /// The command of `HYPERVISOR_vm_assist`.
    pub enum VmAssistCommand: u32 {
        /// Turns an assistance on.
        Enable = 0,
        /// Turns it off.
        Disable = 1,
    }

    /// An assistance.
    pub enum VmAssist: u32 {
        /// Full segments (32-bit).
        FourGbSegments = 0,
        /// A notice when they are used (32-bit).
        FourGbSegmentsNotify = 1,
        /// Page tables can be written as if they were writable.
        WritablePagetables = 2,
        /// A top page table above 4 GiB (32-bit).
        PaeExtendedCr3 = 3,
        /// The I/O privilege level is in the flags, as on hardware.
        ArchitecturalIopl = 4,
        /// [`crate::vcpu::RUNSTATE_UPDATE`] is used.
        RunstateUpdateFlag = 5,
        /// The table from machine frames to pages is not visible in user mode.
        M2pStrict = 32,
    }
}

flags! {
    /// What a vCPU's context holds and how it runs.
    pub struct ContextFlags: u64 {
        /// The floating-point state is valid.
        const I387_VALID = 1 << 0;
        /// The vCPU is in kernel mode.
        const IN_KERNEL = 1 << 2;
        /// The failsafe callback is entered with events masked.
        const FAILSAFE_DISABLES_EVENTS = 1 << 3;
        /// The syscall callback is.
        const SYSCALL_DISABLES_EVENTS = 1 << 4;
        /// The vCPU is up.
        const ONLINE = 1 << 5;
        /// In an [`IretContext`]: rcx and r11 need not be restored.
        const IN_SYSCALL = 1 << 8;
    }

    /// How an exception is delivered.
    pub struct TrapFlags: u8 {
        /// The privilege that `int` needs to raise it: 3 lets user mode do it.
        const DPL_MASK = 3;
        /// The handler is entered with events masked.
        const MASK_EVENTS = 1 << 2;
    }
}

structs! {
    /// The registers of a vCPU, in the order in which Xen keeps them.
    pub struct CpuUserRegs: 200 {
        /// General register.
        pub r15: u64,
        /// General register.
        pub r14: u64,
        /// General register.
        pub r13: u64,
        /// General register.
        pub r12: u64,
        /// General register.
        pub rbp: u64,
        /// General register.
        pub rbx: u64,
        /// General register.
        pub r11: u64,
        /// General register.
        pub r10: u64,
        /// General register.
        pub r9: u64,
        /// General register.
        pub r8: u64,
        /// General register.
        pub rax: u64,
        /// General register.
        pub rcx: u64,
        /// General register.
        pub rdx: u64,
        /// General register.
        pub rsi: u64,
        /// General register.
        pub rdi: u64,
        /// Private to Xen.
        pub error_code: u32,
        /// Private to Xen.
        pub entry_vector: u32,
        /// Instruction pointer.
        pub rip: u64,
        /// Code segment.
        pub cs: u16,
        /// Zero.
        pub pad0: u16,
        /// Whether events are masked.
        pub saved_upcall_mask: u8,
        /// Zero.
        pub pad1: [u8; 3],
        /// Flags.
        pub rflags: u64,
        /// Stack pointer.
        pub rsp: u64,
        /// Stack segment.
        pub ss: u16,
        /// Zero.
        pub pad2: [u16; 3],
        /// Segment.
        pub es: u16,
        /// Zero.
        pub pad3: [u16; 3],
        /// Segment.
        pub ds: u16,
        /// Zero.
        pub pad4: [u16; 3],
        /// Segment.
        pub fs: u16,
        /// Zero.
        pub pad5: [u16; 3],
        /// Segment.
        pub gs: u16,
        /// Zero.
        pub pad6: [u16; 3],
    }

    /// The handler of one exception. `HYPERVISOR_set_trap_table` takes an array that ends with an address of
    /// 0.
    pub struct TrapInfo: 16 {
        /// The exception.
        pub vector: u8,
        /// How it is delivered.
        pub flags: TrapFlags,
        /// The handler's code segment.
        pub cs: u16,
        /// Zero.
        pub pad: u32,
        /// The handler; 0 for none.
        pub address: VirtAddr,
    }

    /// All of a vCPU's state, as `setvcpucontext` sets it and `getvcpucontext` gets it.
    pub struct VcpuGuestContext: 5168 {
        /// The floating-point state, in the form of fxsave.
        pub fpu_ctxt: [u8; 512],
        /// What is valid, and the vCPU's mode.
        pub flags: ContextFlags,
        /// Registers.
        pub user_regs: CpuUserRegs,
        /// The handlers, by vector.
        pub trap_ctxt: [TrapInfo; 256],
        /// The LDT's address.
        pub ldt_base: VirtAddr,
        /// The LDT's count of entries.
        pub ldt_ents: u64,
        /// The GDT's frames.
        pub gdt_frames: [Mfn; 16],
        /// The GDT's count of entries.
        pub gdt_ents: u64,
        /// The stack segment that exceptions in user mode switch to.
        pub kernel_ss: u64,
        /// And the stack pointer.
        pub kernel_sp: VirtAddr,
        /// cr0 to cr7. cr3 is the L4 table's machine address, cr1 that of user mode (0 for none).
        pub ctrlreg: [u64; 8],
        /// db0 to db7.
        pub debugreg: [u64; 8],
        /// Entered when an event is pending.
        pub event_callback_eip: VirtAddr,
        /// Entered when a segment could not be loaded.
        pub failsafe_callback_eip: VirtAddr,
        /// Entered by `syscall` from user mode.
        pub syscall_callback_eip: VirtAddr,
        /// A mask of [`VmAssist`].
        pub vm_assist: u64,
        /// The base of fs.
        pub fs_base: u64,
        /// The base of gs in kernel mode.
        pub gs_base_kernel: u64,
        /// The base of gs in user mode.
        pub gs_base_user: u64,
    }

    /// What `HYPERVISOR_iret` finds on the stack, from rsp upwards.
    pub struct IretContext: 72 {
        /// General register.
        pub rax: u64,
        /// General register: restored unless [`ContextFlags::IN_SYSCALL`].
        pub r11: u64,
        /// General register: restored unless [`ContextFlags::IN_SYSCALL`].
        pub rcx: u64,
        /// Whether the return is from `syscall`.
        pub flags: ContextFlags,
        /// Where to.
        pub rip: u64,
        /// Code segment, whose lowest two bits tell user (3) from kernel mode (0).
        pub cs: u64,
        /// Flags; the interrupt flag unmasks events.
        pub rflags: u64,
        /// Stack pointer.
        pub rsp: u64,
        /// Stack segment.
        pub ss: u64,
    }
}

impl TrapInfo {
    /// Kernel-mode code at `address` handles `vector`.
    pub fn new(vector: u8, flags: TrapFlags, address: VirtAddr) -> Self {
        Self { vector, flags, cs: FLAT_KERNEL_CS, pad: 0, address }
    }
}

/// cr3 for an L4 table: its frame, in the form that Xen keeps it in a context.
pub const fn cr3_of(l4: Mfn) -> u64 {
    l4.addr().0
}
