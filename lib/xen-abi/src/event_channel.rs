//! Event channels (`event_channel.h`): each operation takes a pointer to its structure.

use crate::virq::Virq;
use crate::{Domid, Pfn, Port};

numbers! {
    /// The command of `HYPERVISOR_event_channel_op`.
    pub enum EventChannelOp: u32 {
        /// Takes a [`BindInterdomain`].
        BindInterdomain = 0,
        /// Takes a [`BindVirq`].
        BindVirq = 1,
        /// Takes a [`BindPirq`].
        BindPirq = 2,
        /// Takes a [`Close`].
        Close = 3,
        /// Takes a [`SendEvent`].
        Send = 4,
        /// Takes a [`Status`].
        Status = 5,
        /// Takes an [`AllocUnbound`].
        AllocUnbound = 6,
        /// Takes a [`BindIpi`].
        BindIpi = 7,
        /// Takes a [`BindVcpu`].
        BindVcpu = 8,
        /// Takes an [`Unmask`].
        Unmask = 9,
        /// Takes a [`Reset`].
        Reset = 10,
        /// Takes an [`InitControl`].
        InitControl = 11,
        /// Takes an [`ExpandArray`].
        ExpandArray = 12,
        /// Takes a [`SetPriority`].
        SetPriority = 13,
    }
}

structs! {
    /// Makes a port of `dom` that `remote_dom` may bind to. Only a privileged caller may name another `dom`.
    pub struct AllocUnbound: 8 {
        /// The owner of the port, or [`Domid::SELF`].
        pub dom: Domid,
        /// Who may bind to it.
        pub remote_dom: Domid,
        /// Out: the port.
        pub port: Port,
    }

    /// Binds a new port of the caller to an unbound port of another domain. The new port is pending at once.
    pub struct BindInterdomain: 12 {
        /// The other domain.
        pub remote_dom: Domid,
        /// Zero.
        pub pad: u16,
        /// Its port.
        pub remote_port: Port,
        /// Out: the caller's port.
        pub local_port: Port,
    }

    /// Binds a virtual interrupt to a new port. Each can be bound once (for each vCPU, unless it is global).
    pub struct BindVirq: 12 {
        /// A [`Virq`].
        pub virq: u32,
        /// The vCPU to notify: 0 for a global one.
        pub vcpu: u32,
        /// Out: the port.
        pub port: Port,
    }

    /// Binds a device interrupt that was mapped with [`crate::physdev::MapPirq`].
    pub struct BindPirq: 12 {
        /// The pirq.
        pub pirq: u32,
        /// Whether others may have it too.
        pub flags: BindPirqFlags,
        /// Out: the port.
        pub port: Port,
    }

    /// Makes a port by which the domain's vCPUs notify one of them.
    pub struct BindIpi: 8 {
        /// The vCPU to notify.
        pub vcpu: u32,
        /// Out: the port.
        pub port: Port,
    }

    /// Closes a port. The other end, if there is one, becomes unbound.
    pub struct Close: 4 {
        /// The port.
        pub port: Port,
    }

    /// Notifies the other end.
    pub struct SendEvent: 4 {
        /// The caller's port.
        pub port: Port,
    }

    /// What a port is bound to. [`Status::state`] makes sense of the answer.
    pub struct Status: 24 {
        /// In: the port's owner, or [`Domid::SELF`].
        pub dom: Domid,
        /// Zero.
        pub pad: u16,
        /// In: the port.
        pub port: Port,
        /// Out: a [`StatusKind`].
        pub status: u32,
        /// Out: the vCPU that is notified.
        pub vcpu: u32,
        /// Out: the other domain in the low half, or the pirq, or the virq.
        pub peer: u32,
        /// Out: the other domain's port.
        pub peer_port: Port,
    }

    /// Chooses the vCPU that a port notifies.
    pub struct BindVcpu: 8 {
        /// The port.
        pub port: Port,
        /// The vCPU.
        pub vcpu: u32,
    }

    /// Clears a port's mask bit, and makes the upcall that is due.
    pub struct Unmask: 4 {
        /// The port.
        pub port: Port,
    }

    /// Closes all ports of a domain.
    pub struct Reset: 2 {
        /// The domain, or [`Domid::SELF`].
        pub dom: Domid,
    }

    /// Gives a vCPU its control block: from the first on, the domain uses the FIFO interface.
    pub struct InitControl: 24 {
        /// The page of the control block.
        pub control_gfn: Pfn,
        /// Its offset there, in bytes.
        pub offset: u32,
        /// The vCPU.
        pub vcpu: u32,
        /// Out: the bits of a link.
        pub link_bits: u8,
        /// Zero.
        pub pad: [u8; 7],
    }

    /// Adds a page of event words.
    pub struct ExpandArray: 8 {
        /// The page.
        pub array_gfn: Pfn,
    }

    /// Sets the queue of a port under the FIFO interface.
    pub struct SetPriority: 8 {
        /// The port.
        pub port: Port,
        /// 0 (first) to 15.
        pub priority: u32,
    }
}

flags! {
    /// How a pirq is bound.
    pub struct BindPirqFlags: u32 {
        /// Other domains may bind the same interrupt.
        const WILL_SHARE = 1 << 0;
    }
}

numbers! {
    /// What kind of thing a port is bound to.
    pub enum StatusKind: u32 {
        /// The port is not in use.
        Closed = 0,
        /// It waits for a domain to bind to it.
        Unbound = 1,
        /// It is bound to another domain's port.
        Interdomain = 2,
        /// To a device interrupt.
        Pirq = 3,
        /// To a virtual interrupt.
        Virq = 4,
        /// To the domain's own vCPUs.
        Ipi = 5,
    }
}

/// What a port is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortState {
    /// Not in use.
    Closed,
    /// Waits for this domain to bind.
    Unbound(Domid),
    /// Bound to this domain's port.
    Interdomain(Domid, Port),
    /// Bound to this device interrupt.
    Pirq(u32),
    /// Bound to this virtual interrupt, a [`Virq`].
    Virq(u32),
    /// Bound to the domain's own vCPUs.
    Ipi,
}

impl Status {
    /// Asks about a port.
    pub fn of(dom: Domid, port: Port) -> Self {
        Self { dom, port, ..Self::default() }
    }

    /// What the answer says; none if it is of a kind that is not known.
    pub fn state(&self) -> Option<PortState> {
        let dom = Domid(self.peer as u16);
        Some(match StatusKind::from_raw(self.status)? {
            StatusKind::Closed => PortState::Closed,
            StatusKind::Unbound => PortState::Unbound(dom),
            StatusKind::Interdomain => PortState::Interdomain(dom, self.peer_port),
            StatusKind::Pirq => PortState::Pirq(self.peer),
            StatusKind::Virq => PortState::Virq(self.peer),
            StatusKind::Ipi => PortState::Ipi,
        })
    }
}

impl BindVirq {
    /// Binds `virq` of `vcpu`.
    pub fn new(virq: Virq, vcpu: u32) -> Self {
        Self { virq: virq.raw(), vcpu, port: Port(0) }
    }
}
