//! What outlives this life of guests' interfaces: in the recovery box.

use heapless::String;
use libos::recovery_box::Record;
use libos::xen_abi::Domid;
use libos::{Records, Uk};
use network::netback::{Answers, DeviceKeys, Keep, MAX_QUEUES, Rate, RingKind, RingName, Saved};
use network::switch::EthernetAddress;
use serde::{Deserialize, Serialize};

/// Records: of each interface two, and one for each of its rings. Most guests have one or two queues.
const SLOTS: usize = 160;

/// Bytes of the largest record: what a device with the longest of all key tables says.
const PAYLOAD: usize = 704;

const _: () = assert!(PAYLOAD >= Answers::MAX_BYTES);

/// What the toolstack has said of an interface, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    domid: u16,
    /// The guest's number for it.
    pub handle: u32,
    mac: [u8; 6],
    /// The bridge that it is on.
    pub bridge: String<15>,
    rate: Option<(u64, u64)>,
}

impl Record for Interface {
    const TYPE: u16 = 0x4e49;
    const VERSION: u16 = 1;
}

impl Interface {
    /// The interface `handle` of `domid`, on `bridge` if `keys` name no other.
    pub fn new(domid: Domid, handle: u32, keys: &DeviceKeys, bridge: &String<15>) -> Self {
        Self {
            domid: domid.0,
            handle,
            mac: keys.mac.0,
            bridge: keys.bridge.clone().unwrap_or_else(|| bridge.clone()),
            rate: keys.rate.map(|rate| (rate.bytes, rate.period_us)),
        }
    }

    /// Whose it is.
    pub const fn domid(&self) -> Domid {
        Domid(self.domid)
    }

    /// Its address.
    pub const fn mac(&self) -> EthernetAddress {
        EthernetAddress(self.mac)
    }

    /// What it may send.
    pub fn rate(&self) -> Option<Rate> {
        self.rate.map(|(bytes, period_us)| Rate { bytes, period_us })
    }
}

/// The recovery box.
pub struct Keeper {
    records: Records<SLOTS, PAYLOAD>,
}

impl Keeper {
    /// Opens the box.
    ///
    /// # Panics
    /// If the description gives this program too small a box.
    pub fn open(uk: &Uk) -> Self {
        let (mut records, report) = match uk.recovery_box() {
            Ok(opened) => opened,
            Err(error) => panic!("the recovery box: {error}"),
        };
        if report.lost > 0 {
            // An interface whose records are lost is connected anew from what XenStore says.
            log::error!("the recovery box: {report:?}");
            records.discard_lost();
        }
        Self { records }
    }

    /// Whether there is room for one more interface of so many queues.
    pub fn has_room(&self, queues: usize) -> bool {
        self.records.len() + records_of(queues) <= SLOTS
    }

    /// Notes an interface under its number here.
    pub fn note(&mut self, vif: u8, interface: &Interface) {
        self.put(vif.into(), interface);
    }

    /// The interfaces of an earlier life, with their numbers.
    pub fn interfaces(&self) -> alloc::vec::Vec<(u8, Interface)> {
        let numbered = self.records.iter::<Interface>();
        numbered.filter_map(|entry| Some((u8::try_from(entry.key).ok()?, entry.value.ok()?))).collect()
    }

    /// What is kept of a device.
    pub fn saved(&self, vif: u8) -> Option<Saved> {
        self.records.get(vif.into()).ok().flatten()
    }

    /// What is kept of a ring.
    pub fn answers(&self, ring: RingName) -> Option<Answers> {
        self.records.get(ring.key()).ok().flatten()
    }

    /// Forgets an interface with its rings.
    pub fn forget(&mut self, vif: u8) {
        // First what makes an earlier life's interface of the rest.
        self.records.remove::<Saved>(vif.into());
        for queue in 0..MAX_QUEUES as u8 {
            for kind in [RingKind::Transmit, RingKind::Receive, RingKind::Control] {
                self.records.remove::<Answers>(RingName { vif, queue, kind }.key());
            }
        }
        self.records.remove::<Interface>(vif.into());
    }

    fn put<T: Record>(&mut self, key: u32, value: &T) {
        // There is room, as was asked before; and nothing must go on that is not noted.
        if let Err(error) = self.records.put(key, value) {
            panic!("the recovery box: {error}");
        }
    }
}

/// Records of an interface of so many queues.
const fn records_of(queues: usize) -> usize {
    3 + 2 * queues
}

impl Keep for Keeper {
    fn keep(&mut self, ring: RingName, answers: &Answers) {
        self.put(ring.key(), answers);
    }

    fn save(&mut self, vif: u8, saved: &Saved) {
        self.put(vif.into(), saved);
    }
}
