//! The host's PCI devices, and the components that drive them.
//!
//! Root drives no device. It finds them ([`config`], [`bars`]), gives each to the component that the
//! description names ([`assign`]), and stops them before that component is repaired ([`quiesce`]).
//!
//! With an IOMMU a device reaches its component's memory alone, and interrupts by messages that Xen
//! checks. Without one it reaches all memory, whatever its driver tells it: that is said at boot.

pub mod assign;
pub mod bars;
pub mod config;
pub mod quiesce;

use crate::books::Books;
use crate::events::EventLog;
use builder::MachineRange;
use config::Bdf;
use core::fmt;
use description::{Claim, Description, DeviceSelector, MAX_DEVICES, assign_devices};
use heapless::Vec;
use kernel::control::Control;
use kernel::now_us;
use monitor::{ComponentId, ComponentSet};
use pci::Capabilities;
use quiesce::Reset;
use recovery_box::Record;
use serde::{Deserialize, Serialize};
use static_cell::StaticCell;
use uk_abi::device_info::{BARS, BarInfo, DeviceInfo, IrqKind};
use uk_abi::layout::BAR_WINDOW_MAX_PAGES;
use zerocopy::FromZeros;

/// Devices that root gives away at most, whomever to. Each takes a record of the books.
pub const MAX_GIVEN: usize = 16;

/// Bytes of a function's configuration space that root keeps.
const CONFIG: usize = 256;

/// A device of a component.
#[derive(Clone, Debug)]
pub struct Device {
    /// Where it is.
    pub bdf: Bdf,
    /// What its component is told of it.
    pub info: DeviceInfo,
    /// Whether an IOMMU contains it.
    pub contained: bool,
    /// Whether it has ignored its own reset, which is to be noted: then the function was reset from outside.
    pub ignored_reset: bool,
    /// Its place in the books: its component's index and its own.
    key: u32,
    /// Where its capabilities are.
    capabilities: Capabilities,
    /// How it is reset, if root knows its kind.
    reset: Option<Reset>,
}

/// What a new life of root must know of a device. Keyed by the component's index, and the device's.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DeviceRecord {
    bdf: Bdf,
    ids: u32,
    /// Address, size and flags of its registers: to measure them again would stop the device.
    bars: [(u64, u64, u64); BARS],
    irq_kind: u32,
    pirqs: Vec<u32, { assign::VECTORS }>,
    /// Configuration space when it was found: to read it takes a millisecond.
    config: Vec<u8, CONFIG>,
}

impl Record for DeviceRecord {
    const TYPE: u16 = 6;
    const VERSION: u16 = 1;
}

/// What root has found.
pub struct Found {
    /// The devices, in the order of their components.
    pub devices: &'static mut [Device],
    /// The components that lack a device which they cannot do without.
    pub incomplete: ComponentSet,
}

static DEVICES: StaticCell<Vec<Device, MAX_GIVEN>> = StaticCell::new();
static RANGES: StaticCell<Vec<MachineRange, { MAX_GIVEN * BARS }>> = StaticCell::new();

/// Finds the devices of all components: by a `scan` as long as no life of root has finished one, and by its books later.
pub fn find(
    description: &Description,
    control: &Control,
    books: &mut Books,
    events: &mut EventLog,
    scan: bool,
) -> Found {
    // Refused, nothing can be assigned either.
    let contained = control.has_iommu().unwrap_or(false);
    let devices = DEVICES.init(Vec::new());
    let mut incomplete = ComponentSet::EMPTY;
    if scan {
        let mut missing = |claim: Claim, why: fmt::Arguments<'_>| {
            let component = &description.components[claim.component];
            let wanted = component.devices[claim.device];
            let (name, optional) = (component.name.as_str(), wanted.optional);
            let select = Selected(wanted.select);
            events.note(now_us(), name, format_args!("device {select} optional={optional} msg={why}"));
            if !optional && let Some(id) = ComponentId::new(claim.component) {
                events.note(now_us(), name, format_args!("hold reason=no-device"));
                incomplete.insert(id);
            }
        };
        for (bdf, claim) in claimed(description, &mut missing) {
            // One that a life has noted which has not come to the end of this may be in use already.
            let key = key(claim.component, claim.device);
            let noted = books.get::<DeviceRecord>(key).ok().flatten().filter(|record| record.bdf == bdf);
            let device = match noted {
                Some(record) => Ok(Device::from_record(&record, key, contained)),
                None => take(bdf, claim, contained, control, books),
            };
            match device {
                // There is room: `claimed` has stopped at as many.
                Ok(device) => drop(devices.push(device)),
                Err(why) => missing(claim, format_args!("{bdf} cannot be given away: {why}")),
            }
        }
        if !devices.is_empty() && !contained {
            events.note(
                now_us(),
                "root",
                format_args!("device iommu=false msg=no IOMMU: a driver that fails can have its device write to any memory"),
            );
        }
    } else {
        for (index, component) in description.components.iter().enumerate() {
            let mut complete = true;
            for (place, wanted) in component.devices.iter().enumerate() {
                let key = key(index, place);
                match books.get::<DeviceRecord>(key).ok().flatten() {
                    Some(record) => drop(devices.push(Device::from_record(&record, key, contained))),
                    None => complete &= wanted.optional,
                }
            }
            if !complete && let Some(id) = ComponentId::new(index) {
                incomplete.insert(id);
            }
        }
    }
    Found { devices, incomplete }
}

const fn key(component: usize, place: usize) -> u32 {
    (component * MAX_DEVICES + place) as u32
}

/// Who gets what, in the order of components.
fn claimed(
    description: &Description,
    missing: &mut impl FnMut(Claim, fmt::Arguments<'_>),
) -> Vec<(Bdf, Claim), MAX_GIVEN> {
    let functions = config::scan();
    let mut owners = [None; config::MAX_FUNCTIONS];
    let owners = &mut owners[..functions.len()];
    assign_devices(&description.components, &functions, owners, |claim| {
        missing(claim, format_args!("no such device in this host"));
    });
    let mut claimed = Vec::new();
    for (function, owner) in functions.iter().zip(owners) {
        let Some(claim) = *owner else { continue };
        if claimed.push((Bdf::from(function.address), claim)).is_err() {
            missing(claim, format_args!("root gives away {MAX_GIVEN} devices, not more"));
        }
    }
    claimed.sort_unstable_by_key(|(_, claim)| key(claim.component, claim.device));
    claimed
}

/// Makes a device that nobody uses yet fit for being given away.
fn take(
    bdf: Bdf,
    claim: Claim,
    contained: bool,
    control: &Control,
    books: &mut Books,
) -> Result<Device, &'static str> {
    let record = DeviceRecord {
        bdf,
        ids: bdf.ids().unwrap_or(u32::MAX),
        bars: bars::size(bdf).map(|bar| (bar.machine, bar.size, bar.flags)),
        irq_kind: IrqKind::None as u32,
        pirqs: Vec::new(),
        config: Vec::from_array(bars::snapshot(bdf)),
    };
    let device = Device::from_record(&record, key(claim.component, claim.device), contained);
    if device.reset.is_none() && device.capabilities.flr.is_none() {
        return Err("root knows no way to reset it");
    }
    let pages: u64 = device.mappable().map(|(_, range)| range.pages).sum();
    if pages > (BAR_WINDOW_MAX_PAGES / MAX_DEVICES) as u64 {
        return Err("its registers take more than a fourth of the window for them");
    }
    if contained {
        control.add_device(bdf.for_xen()).map_err(|_| "Xen does not take it")?;
        if device.capabilities.msix.is_some() {
            control.prepare_msix(bdf.for_xen()).map_err(|_| "Xen does not take its MSI-X")?;
        }
    }
    // The books have room for a record of each device.
    let _ = books.put(device.key, &record);
    Ok(device)
}

impl Device {
    /// The device of `record`.
    fn from_record(record: &DeviceRecord, key: u32, contained: bool) -> Self {
        let mut info = DeviceInfo::new_zeroed();
        info.bdf = record.bdf.0;
        (info.vendor, info.device) = (record.ids as u16, (record.ids >> 16) as u16);
        info.bars = record.bars.map(|(machine, size, flags)| BarInfo { va: 0, machine, size, flags });
        info.config[..record.config.len()].copy_from_slice(&record.config);
        info.class = config::class_of(&info.config);
        let capabilities = Capabilities::of(&info);
        info.vectors_max =
            capabilities.msix.map_or(u32::from(capabilities.msi.is_some()), |msix| msix.vectors);
        let mut device = Self {
            bdf: record.bdf,
            contained,
            ignored_reset: false,
            key,
            reset: Reset::of(&info, &capabilities),
            capabilities,
            info,
        };
        device.set_interrupts(record.irq_kind, &record.pirqs);
        device
    }

    /// Its place among the devices of its component.
    fn place(&self) -> usize {
        self.key as usize % MAX_DEVICES
    }

    /// The ids of vendor (low half) and device.
    fn ids(&self) -> u32 {
        u32::from(self.info.device) << 16 | u32::from(self.info.vendor)
    }

    fn set_interrupts(&mut self, kind: u32, pirqs: &[u32]) {
        self.info.irq_kind = kind;
        self.info.pirq_count = pirqs.len() as u32;
        self.info.pirqs[..pirqs.len()].copy_from_slice(pirqs);
    }

    /// Writes down what a new life of root must know of it.
    fn record(&self, books: &mut Books) {
        let record = DeviceRecord {
            bdf: self.bdf,
            ids: self.ids(),
            bars: self.info.bars.map(|bar| (bar.machine, bar.size, bar.flags)),
            irq_kind: self.info.irq_kind,
            pirqs: self.info.pirqs().iter().copied().take(assign::VECTORS).collect(),
            config: Vec::from_array(self.info.config),
        };
        // The books have room for a record of each device.
        let _ = books.put(self.key, &record);
    }

    /// The registers that its component may map, with the place of each among the base addresses.
    pub fn mappable(&self) -> impl Iterator<Item = (usize, MachineRange)> {
        (0..BARS).filter_map(|index| {
            let (first, pages) = pci::bars::mappable(&self.info, self.capabilities.msix.as_ref(), index)?;
            Some((index, MachineRange { first, pages }))
        })
    }
}

/// Divides what was found among the components: the devices of `component` come off the front, with the
/// registers that its plan maps for them.
pub struct Shares {
    devices: &'static mut [Device],
    ranges: &'static [MachineRange],
}

impl Shares {
    /// Nothing is divided yet.
    pub fn new(devices: &'static mut [Device]) -> Self {
        // There is room for all the registers that so many devices have.
        let ranges = devices.iter().flat_map(|device| device.mappable().map(|(_, range)| range)).collect();
        Self { devices, ranges: RANGES.init(ranges) }
    }

    /// The devices of the next component, which is the one at `index`.
    pub fn next(&mut self, index: usize) -> (&'static mut [Device], &'static [MachineRange]) {
        let devices = core::mem::take(&mut self.devices);
        let of = |device: &Device| device.key as usize / MAX_DEVICES;
        let count = devices.iter().take_while(|device| of(device) == index).count();
        let (own, rest) = devices.split_at_mut(count);
        self.devices = rest;
        let mapped = own.iter().map(|device| device.mappable().count()).sum();
        let (ranges, rest) = self.ranges.split_at(mapped);
        self.ranges = rest;
        (own, ranges)
    }
}

/// What a component asks for, as the event log says it.
struct Selected(DeviceSelector);

impl fmt::Display for Selected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DeviceSelector::Address(address) => write!(f, "address={address}"),
            DeviceSelector::Id { vendor, device, nth } => write!(f, "id={vendor:04x}:{device:04x} nth={nth}"),
            DeviceSelector::Driver { driver, nth } => write!(f, "driver={driver:?} nth={nth}"),
            DeviceSelector::Class { class, nth } => write!(f, "class={class:?} nth={nth}"),
        }
    }
}

/// What a device is, and how it interrupts, as the event log says it.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeviceInfo { vendor, device, class, .. } = self.info;
        let (bdf, iommu) = (self.bdf, self.contained);
        let irq = assign::irq_name(self.info.irq_kind());
        write!(
            f,
            "device bdf={bdf} vendor={vendor:04x} device={device:04x} class={class:06x} irq={irq} iommu={iommu}"
        )
    }
}
