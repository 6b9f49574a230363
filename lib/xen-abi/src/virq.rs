//! Virtual interrupts: events that Xen itself raises (`xen.h`).

numbers! {
    /// What an event channel can be bound to with [`crate::event_channel::BindVirq`].
    ///
    /// Those marked global exist once in the host and go to one domain: dom0, unless
    /// [`crate::domctl::SetVirqHandler`] names another. The others exist once for each vCPU.
    pub enum Virq: u32 {
        /// The calling vCPU's timer.
        Timer = 0,
        /// Somebody asked the domain, from Xen's console, to print its state.
        Debug = 1,
        /// Global: input for dom0 on Xen's console.
        Console = 2,
        /// Global: a domain shut down, crashed, or died.
        DomExc = 3,
        /// Global: the trace buffer has records.
        Tbuf = 4,
        /// Global: a domain is paused for the debugger.
        Debugger = 6,
        /// The profiler has samples.
        Xenoprof = 7,
        /// Global: Xen's console ring has new output.
        ConRing = 8,
        /// Global: a physical CPU went on- or offline.
        PcpuState = 9,
        /// Global: a memory event.
        MemEvent = 10,
        /// Global: a message through Argo.
        Argo = 11,
        /// Global: Xen is low on memory.
        Enomem = 12,
        /// A performance counter interrupt.
        Xenpmu = 13,
        /// Global: a machine check, on x86.
        Mca = 16,
    }
}

/// Virtual interrupts are numbered below this.
pub const NR_VIRQS: u32 = 24;
