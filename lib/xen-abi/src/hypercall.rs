//! The hypercalls (`xen.h`).
//!
//! A PV kernel executes `syscall` with the number in rax and arguments in rdi, rsi, rdx, r10 and r8; Xen
//! answers in rax and clobbers rcx and r11. A negative answer is an error ([`crate::errno`]).

numbers! {
    /// The number of a hypercall.
    pub enum Hypercall: u64 {
        /// Registers the handlers of exceptions ([`crate::context::TrapInfo`]).
        SetTrapTable = 0,
        /// Writes page-table entries ([`crate::mmu::MmuUpdate`]).
        MmuUpdate = 1,
        /// Loads the GDT: an array of frames, and the count of entries.
        SetGdt = 2,
        /// Sets the stack (ss, rsp) that exceptions in user mode switch to.
        StackSwitch = 3,
        /// Registers the event, failsafe and syscall callbacks at once; [`Hypercall::CallbackOp`] does it
        /// singly.
        SetCallbacks = 4,
        /// Sets or clears CR0.TS.
        FpuTaskswitch = 5,
        /// The scheduler operations of before 3.1.
        SchedOpCompat = 6,
        /// Machine-wide settings for dom0: clock, microcode, firmware.
        PlatformOp = 7,
        /// Writes a debug register.
        SetDebugreg = 8,
        /// Reads a debug register.
        GetDebugreg = 9,
        /// Writes a descriptor of the GDT or LDT.
        UpdateDescriptor = 10,
        /// Reserves, releases and maps memory ([`crate::memory`]).
        MemoryOp = 12,
        /// A batch of hypercalls ([`crate::multicall::MulticallEntry`]).
        Multicall = 13,
        /// Writes the L1 entry that maps a virtual address.
        UpdateVaMapping = 14,
        /// Sets the one-shot timer of the calling vCPU, in ns of system time.
        SetTimerOp = 15,
        /// The event-channel operations of before 3.2.2.
        EventChannelOpCompat = 16,
        /// Xen's version, features and build ([`crate::version`]).
        XenVersion = 17,
        /// Reads and writes Xen's console ([`crate::console_io`]).
        ConsoleIo = 18,
        /// The device operations of before 3.2.2.
        PhysdevOpCompat = 19,
        /// Grant tables ([`crate::grant_table`]).
        GrantTableOp = 20,
        /// Turns deviations from real hardware on and off.
        VmAssist = 21,
        /// As [`Hypercall::UpdateVaMapping`], mapping another domain's frame.
        UpdateVaMappingOtherdomain = 22,
        /// Returns from an exception ([`crate::context::IretContext`] on the stack).
        Iret = 23,
        /// Operations on the domain's vCPUs ([`crate::vcpu`]).
        VcpuOp = 24,
        /// Sets the base of fs or gs ([`crate::context::SegmentBase`]).
        SetSegmentBase = 25,
        /// Pins page tables, flushes TLBs and more ([`crate::mmu::MmuextOp`]).
        MmuextOp = 26,
        /// Security policy.
        XsmOp = 27,
        /// Registers the NMI handler; [`Hypercall::CallbackOp`] does it too.
        NmiOp = 28,
        /// Yield, block, poll, shut down ([`crate::sched`]).
        SchedOp = 29,
        /// Registers entry points ([`crate::callback`]).
        CallbackOp = 30,
        /// Sampling profiler.
        XenoprofOp = 31,
        /// Event channels ([`crate::event_channel`]).
        EventChannelOp = 32,
        /// Interrupts and PCI devices ([`crate::physdev`]).
        PhysdevOp = 33,
        /// Parameters of hardware-virtualised domains.
        HvmOp = 34,
        /// Control of the host ([`crate::sysctl`]).
        Sysctl = 35,
        /// Control of a domain ([`crate::domctl`]).
        Domctl = 36,
        /// Loads and starts a crash kernel.
        KexecOp = 37,
        /// Transcendent memory, which Xen no longer has.
        TmemOp = 38,
        /// Message passing between domains.
        ArgoOp = 39,
        /// Performance counters.
        XenpmuOp = 40,
        /// Operations of a device model.
        DmOp = 41,
        /// The hypervisor file system.
        HypfsOp = 42,
        /// Machine-check handling, on x86.
        Arch0 = 48,
        /// Paging assistance, on x86.
        Arch1 = 49,
    }
}
