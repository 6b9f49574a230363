//! What happens when the backend itself is made anew, while guests, switch, shadow and driver go on.
//!
//! The new devices know from their records how far the rings are, and take again what is not answered. What the old ones
//! had on the way to guests is dropped: its senders still have it, and it is sent again; but what came from a card is handed on. What a card
//! has, or will have, is not dropped either: it is on its way and the new device *adopts* it, so that it is not sent twice.

use crate::Plane;
use alloc::vec::Vec;
use netback::{Device, FrameId, Owner, Pages};
use switch::PortId;

impl<'a> Plane<'a> {
    /// Puts new devices, made by [`Device::resume`], in the place of the old ones, all at once.
    pub fn reborn(
        &mut self,
        devices: impl IntoIterator<Item = (PortId, Device<'a>)>,
        now_us: u64,
        pages: &impl Pages,
    ) {
        let with_cards = self.only_with_cards();
        // Nobody is told of anything else any more.
        let owned: Vec<(FrameId, Owner)> = self.pool.owned().collect();
        for (frame, owner) in owned {
            if !with_cards.contains(&(frame, owner)) {
                self.pool.disown_frame(frame);
            }
        }
        for (port, device) in devices {
            let old = self.replace_device(port, device);
            for &(_, owner) in with_cards.iter().filter(|(_, owner)| usize::from(owner.vif) == port.index()) {
                if let Some(device) = self.device_mut(port) {
                    device.adopt(owner);
                }
            }
            if let Some(old) = old {
                let mut finished = Vec::new();
                let arrivals = old.abandon(&mut self.pool, |owner| finished.push(owner));
                finished.into_iter().for_each(|owner| self.finish(owner));
                arrivals.into_iter().for_each(|frame| self.give(now_us, port, frame, pages));
            }
        }
    }

    /// How many frames nobody has any more, after [`reborn`](Self::reborn). There are none, unless the old backend died in
    /// the middle of something: then everything has to be made anew.
    pub fn strays(&self) -> usize {
        let mut is_had = alloc::vec![false; self.pool.capacity()];
        for frame in self.pool.in_use().filter(|frame| self.is_had(*frame)) {
            let mut next = Some(frame);
            while let Some(frame) = next {
                is_had[usize::from(frame.0)] = true;
                next = self.pool.parent(frame);
            }
        }
        self.pool.in_use().filter(|frame| !is_had[usize::from(frame.0)]).count()
    }

    /// Guests' frames that only a card still needs.
    fn only_with_cards(&self) -> Vec<(FrameId, Owner)> {
        let is_with_card = |frame| {
            let ports = (0..switch::MAX_PORTS).filter_map(PortId::new);
            ports.filter_map(|port| self.uplink(port)).any(|uplink| uplink.has(frame))
        };
        let sole = self.pool.owned().filter(|(frame, _)| self.pool.references(*frame) == 1);
        sole.filter(|(frame, _)| is_with_card(*frame)).collect()
    }
}
