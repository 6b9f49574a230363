//! Another unikernel on the bridge: its frames come through memory that root keeps for both (`lib/cable`), so that neither end's
//! repair waits for the other.

use crate::machine::Machine;
use cable::{End, MAX_FRAME, Side};
use core::sync::atomic::AtomicU64;
use libos::Uk;
use libos::channel::Channel;
use network::Plane;
use network::switch::{BridgeName, Identity, PortConfig, Role};
use smoltcp::wire::EthernetAddress;

use crate::service::CABLE;

/// Frames that are taken in one turn, so that nobody else waits for long.
const AT_ONCE: usize = 32;

/// This program's end of the cable.
pub struct Cable {
    end: End<&'static [AtomicU64]>,
    peer: Channel,
}

impl Cable {
    /// Connects the unikernel at the other end of the cable in the memory `name` to the bridge, under its own address and no
    /// other.
    ///
    /// # Panics
    /// If this program shares no such memory with anybody: the description names it.
    pub fn connect(uk: &Uk, name: &str, plane: &mut Plane<'static>, bridge: BridgeName) -> Self {
        let memory = uk.shared(name);
        let found = memory.and_then(|memory| Some((memory, uk.channel(memory.others().next()?)?)));
        let Some((memory, peer)) = found else { panic!("nobody shares {name} with this program") };
        let side = if peer.peer() > uk.domid() { Side::First } else { Side::Second };
        let Some(end) = End::new(memory.words(), side) else { panic!("{name} is too small for a cable") };
        let mac = EthernetAddress(cable::mac(peer.peer().0));
        plane.connect_own(
            CABLE,
            PortConfig { bridge, role: Role::Guest(Identity::new(mac)), isolated: false },
        );
        log::info!("domain {} is on the bridge as {mac}", peer.peer().0);
        Self { end, peer }
    }

    /// Takes what the other end has sent. Whether there is more.
    pub fn take(&self, plane: &mut Plane<'static>, now_us: u64, machine: &mut Machine) -> bool {
        let mut frame = [0; MAX_FRAME];
        for _ in 0..AT_ONCE {
            let Some(length) = self.end.receive(&mut frame) else { return false };
            // Without room it is lost, as frames may be.
            let _ = plane.say(CABLE, now_us, &frame[..length], machine);
        }
        self.end.has_waiting()
    }

    /// Gives the other end what is for it.
    pub fn give(&self, plane: &mut Plane<'static>, machine: &Machine) {
        let mut frame = [0; MAX_FRAME];
        let mut has_given = false;
        while let Some(length) = plane.hear(CABLE, &mut frame, machine) {
            has_given |= self.end.send(&frame[..length]);
        }
        if has_given {
            self.peer.notify();
        }
    }

    /// The other end, which tells when it has sent something.
    pub const fn peer(&self) -> Channel {
        self.peer
    }
}
