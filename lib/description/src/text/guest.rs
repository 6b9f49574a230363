//! The tables `[[guest]]`.

use super::finding::{Complaint, Findings};
use super::place::Map;
use super::section::{Origin, Section};
use super::value::{name, number, pages, text};
use crate::{Description, Guest, MAX_GUESTS, Source};

/// Reads one guest; `None` where it cannot be made out.
pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Guest> {
    let name = section.require("name", name);
    let config = section.read("config", text);
    let source = if section.has("config") {
        refuse_kernel(section);
        config.map(|path| Source::Config { path })
    } else {
        read_kernel(section)
    };
    Some(Guest { name: name?, source: source? })
}

fn read_kernel(section: &mut Section<'_, '_>) -> Option<Source> {
    let kernel = section.read("kernel", text);
    if !section.has("kernel") {
        let complaint =
            Complaint::new("a guest needs either the key \"config\" or the keys \"kernel\" and \"memory\"");
        section.complain(complaint);
        return None;
    }
    let ramdisk = section.read("ramdisk", text);
    let cmdline = section.read("cmdline", text).unwrap_or_default();
    let memory = section.require("memory", pages);
    let vcpus = section.read("vcpus", number).unwrap_or(Source::DEFAULT_VCPUS);
    let weight = section.read("weight", number).unwrap_or(Source::DEFAULT_WEIGHT);
    Some(Source::Kernel { kernel: kernel?, ramdisk, cmdline, memory_pages: memory?, vcpus, weight })
}

/// A configuration says what these keys would say, and only one of both can hold.
fn refuse_kernel(section: &mut Section<'_, '_>) {
    for key in ["kernel", "ramdisk", "cmdline", "memory", "vcpus", "weight"] {
        if section.value(key).is_some() {
            section.complain_of(key, Complaint::new("the guest's config says this: leave out one of both"));
        }
    }
}

/// Puts the guests into the description.
pub(super) fn collect(
    guests: Vec<(Option<Guest>, Origin)>,
    description: &mut Description,
    map: &mut Map,
    findings: &mut Findings,
) {
    for (i, (guest, origin)) in guests.into_iter().enumerate() {
        if i == MAX_GUESTS {
            findings.add(
                origin.table.clone(),
                format!("this is guest {}, at most {MAX_GUESTS} are possible", i + 1),
            );
        }
        if let Some(guest) = guest
            && description.guests.push(guest).is_ok()
        {
            map.guests.push(origin);
        }
    }
}
