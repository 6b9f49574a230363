//! The boot archive: as it is, and its description past the checksums.
#![no_main]

use description::{Archive, Description};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(archive) = Archive::parse(bytes) {
        let _ = archive.verify();
        let _ = archive.description().map(|description| look_up(&archive, &description));
    }
    let _ = postcard::from_bytes::<Description>(bytes);
});

fn look_up(archive: &Archive<'_>, description: &Description) {
    for component in description.components.iter() {
        let _ = archive.image(component.image.as_str());
        if let Some(symbols) = archive.symbols(component.image.as_str()) {
            for address in [0, 0x20_0000, u64::MAX] {
                let _ = symbols.lookup(address);
            }
        }
    }
}
