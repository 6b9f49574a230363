//! The entries of a component's `devices`.

use super::finding::Complaint;
use super::section::Section;
use super::value::{choice, flag, number, pci_address, pci_id};
use crate::{Device, DeviceClass, DeviceSelector, Driver, Interrupt};

pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Device> {
    let nth = section.read("nth", number);
    let by = nth.unwrap_or(0);
    let id = section.read("id", pci_id);
    let selectors = [
        section.read("address", pci_address).map(DeviceSelector::Address),
        id.map(|(vendor, device)| DeviceSelector::Id { vendor, device, nth: by }),
        section
            .read("driver", choice(&Driver::NAMES))
            .map(|driver| DeviceSelector::Driver { driver, nth: by }),
        section
            .read("class", choice(&DeviceClass::NAMES))
            .map(|class| DeviceSelector::Class { class, nth: by }),
    ];
    let optional = section.read("optional", flag).unwrap_or(false);
    let interrupt = section.read("interrupt", choice(&Interrupt::NAMES)).unwrap_or_default();

    let given =
        ["address", "id", "driver", "class"].map(|key| section.has(key)).iter().filter(|has| **has).count();
    if given != 1 {
        let what = format!(
            "{given} selectors found, one needed: a device is selected by address, id, driver or class"
        );
        section.complain(Complaint::new(what).help("such as { class = \"net\" }"));
    }
    let select = selectors.into_iter().flatten().next()?;
    if let (DeviceSelector::Address(_), Some(_)) = (select, nth) {
        section.complain_of("nth", Complaint::new("an address names one device alone: leave it out"));
    }
    Some(Device { select, optional, interrupt })
}
