//! Boot archives: what is put in comes out, damage is noticed, and rubbish is refused.

use crate::breaches;
use crate::strategy::valid_description;
use crc::{CRC_32_ISO_HDLC, Crc};
use description::{
    Archive, ArchiveError, ArchiveWriter, Component, Description, Directory, Kind, MAX_BLOBS, MAX_GUESTS,
    Name, encode_symbols,
};
use proptest::prelude::*;

const PAGE: usize = 4096;

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn description() -> Description {
    let components = ["a", "b"].map(|text| Component::new(name(text), name("probe")));
    Description { components: components.into_iter().collect(), ..Description::default() }
}

/// Blobs of the sample.
const BLOBS: usize = 6;

/// An archive of a description, an image of a page and a bit, an empty one, a symbol table, and a guest's kernel and ramdisk.
fn sample() -> Vec<u8> {
    ArchiveWriter::new(&description())
        .image(&name("probe"), (0..5000).map(|i| i as u8).collect())
        .image(&name("empty"), Vec::new())
        .symbols(&name("probe"), encode_symbols([(1, "one"), (5, "five")], 9))
        .kernel(&name("guest"), vec![3; 5000])
        .ramdisk(&name("guest"), vec![4; 10])
        .finish()
}

/// Makes header and directory valid again, as somebody who means harm would.
fn reseal(bytes: &mut [u8]) {
    let count = u32::from_le_bytes(bytes[12..16].try_into().unwrap()) as usize;
    let end = (32 + count.min(1000) * 40).min(bytes.len());
    let crc = Crc::<u32>::new(&CRC_32_ISO_HDLC);
    let mut digest = crc.digest();
    digest.update(&bytes[..28]);
    digest.update(&bytes[32..end]);
    let crc = digest.finalize();
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
}

/// Reads everything there is, as root would and more.
fn read_all(bytes: &[u8]) -> Result<(), ArchiveError> {
    let archive = Archive::parse(bytes)?;
    let range = bytes.as_ptr_range();
    for text in ["probe", "empty", "a", "root", "", "Not a name!"] {
        if let Some(image) = archive.image(text) {
            let start = image.as_ptr();
            assert!(
                start >= range.start && image.as_ptr_range().end <= range.end,
                "the image lies in the archive"
            );
            assert_eq!((start as usize - range.start as usize) % PAGE, 0, "at the start of a page");
        }
        if let Some(symbols) = archive.symbols(text) {
            symbols.lookup(3);
        }
    }
    let description = archive.description()?;
    assert_eq!(breaches(&description), []);
    archive.verify()
}

#[test]
fn what_is_put_in_comes_out() {
    let bytes = sample();
    assert_eq!(bytes.len() % PAGE, 0);
    let archive = Archive::parse(&bytes).unwrap();
    assert_eq!(archive.len(), BLOBS);
    assert_eq!(archive.verify(), Ok(()));
    assert_eq!(archive.description(), Ok(description()));
    assert_eq!(archive.image("probe").unwrap().len(), 5000);
    assert_eq!(archive.image("probe").unwrap()[4097], 1);
    assert_eq!(archive.image("empty"), Some(&[][..]));
    assert_eq!(archive.image("other"), None);
    assert_eq!(archive.symbols("probe").unwrap().lookup(6), Some(("five", 1)));
    assert!(archive.symbols("empty").is_none());
    assert_eq!(archive.kernel("guest"), Some(&[3; 5000][..]));
    assert_eq!(archive.ramdisk("guest"), Some(&[4; 10][..]));
    assert_eq!((archive.image("guest"), archive.kernel("probe")), (None, None));
    let mut parts = 0;
    assert_eq!(archive.verify_while(|| parts += 1), Ok(()));
    assert!(parts >= archive.len() - 1, "a call for each blob that is not empty");
    assert_eq!(archive.missing_image(&description()), None);
    read_all(&bytes).unwrap();
}

#[test]
fn twenty_guests_with_one_kernel_take_the_room_of_one() {
    let kernel = vec![7; 5 * PAGE];
    let with = |guests: usize| {
        let mut writer = ArchiveWriter::new(&description());
        for guest in 0..guests {
            let guest = name(&format!("guest{guest}"));
            writer.kernel(&guest, kernel.clone()).config(&guest, format!("name = '{guest}'").into_bytes());
        }
        writer.finish()
    };
    let (one, many) = (with(1), with(MAX_GUESTS));
    assert_eq!(many.len() - one.len(), (MAX_GUESTS - 1) * PAGE, "a page for each configuration");
    let archive = Archive::parse(&many).unwrap();
    assert_eq!(archive.verify(), Ok(()));
    for guest in 0..MAX_GUESTS {
        let guest = format!("guest{guest}");
        assert_eq!(archive.kernel(&guest), Some(&kernel[..]));
        assert_eq!(archive.config(&guest), Some(format!("name = '{guest}'").as_bytes()));
    }
}

#[test]
fn the_first_pages_say_what_is_where() {
    let bytes = sample();
    let directory = Directory::parse(&bytes[..Directory::MAX_BYTES]).unwrap();
    assert_eq!((directory.len(), directory.archive_bytes()), (BLOBS, bytes.len() as u64));
    assert_eq!(&bytes[directory.find(Kind::Kernel, "guest").unwrap()], [3; 5000]);
    assert_eq!(directory.find(Kind::Kernel, "probe"), None);
    let read = Description::decode(&bytes[directory.description().unwrap()]);
    assert_eq!(read, Ok(description()));
    let error = Directory::parse(&bytes[..100]).unwrap_err();
    assert!(matches!(error, ArchiveError::Truncated { found: 100, .. }), "{error}");
}

#[test]
fn what_a_boot_loader_adds_is_ignored() {
    let mut bytes = sample();
    bytes.extend([0xaa; 100]);
    read_all(&bytes).unwrap();
}

#[test]
fn an_image_that_is_not_there_is_missed_by_name() {
    let bytes = ArchiveWriter::new(&description()).finish();
    let missing = Archive::parse(&bytes).unwrap().missing_image(&description()).unwrap();
    assert_eq!(missing, ArchiveError::Missing { kind: Kind::Image, name: Some(name("probe")) });
    assert_eq!(missing.to_string(), "the boot archive has no image probe");
}

#[test]
fn an_archive_of_nothing_has_no_description() {
    let bytes = ArchiveWriter::default().finish();
    let archive = Archive::parse(&bytes).unwrap();
    assert!(archive.is_empty());
    assert_eq!(archive.description(), Err(ArchiveError::Missing { kind: Kind::Description, name: None }));
}

#[test]
fn each_way_to_be_no_archive_is_told() {
    let changed = |at: usize, byte: u8| {
        let mut bytes = sample();
        bytes[at] = byte;
        reseal(&mut bytes);
        Archive::parse(&bytes).map(|_| ()).unwrap_err()
    };
    let length = sample().len();
    assert_eq!(Archive::parse(&[]).unwrap_err(), ArchiveError::NotAnArchive);
    assert_eq!(changed(0, b'X'), ArchiveError::NotAnArchive);
    assert_eq!(changed(8, 2), ArchiveError::WrongVersion { found: 2 });
    assert_eq!(changed(12, MAX_BLOBS as u8 + 1), ArchiveError::TooManyBlobs { found: MAX_BLOBS as u32 + 1 });
    assert_eq!(changed(19, 1), ArchiveError::Truncated { needed: length as u64 + (1 << 24), found: length });
    // Of the second entry: an unknown kind, a place that is no page's start, one outside, a length without an end.
    let entry = 32 + 40;
    for (at, byte) in [(16, 9), (24, 1), (27, 1), (39, 0xff)] {
        assert_eq!(changed(entry + at, byte), ArchiveError::BadEntry { index: 1 });
    }
    // The directory itself is no blob.
    assert_eq!(changed(entry + 25, 0), ArchiveError::BadEntry { index: 1 });
    assert_eq!(
        Archive::parse(&sample()[..40]).unwrap_err(),
        ArchiveError::Truncated { needed: length as u64, found: 40 }
    );
}

#[test]
fn a_corrupt_blob_is_told() {
    let mut bytes = sample();
    let at =
        Archive::parse(&bytes).unwrap().image("probe").unwrap().as_ptr() as usize - bytes.as_ptr() as usize;
    bytes[at + 4000] ^= 1;
    let error = Archive::parse(&bytes).unwrap().verify().unwrap_err();
    assert_eq!(error, ArchiveError::CorruptBlob { kind: Kind::Image, index: 1 });
    assert_eq!(error.to_string(), "the image of entry 1 is corrupt");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_description_and_images_come_out(
        description in valid_description(),
        images in prop::collection::btree_map("[a-z]{1,15}", prop::collection::vec(any::<u8>(), 0..9000), 0..6),
    ) {
        let mut writer = ArchiveWriter::new(&description);
        for (text, image) in &images {
            writer.image(&name(text), image.clone());
        }
        let bytes = writer.finish();
        let archive = Archive::parse(&bytes).unwrap();
        prop_assert_eq!(archive.verify(), Ok(()));
        prop_assert_eq!(archive.description().unwrap(), description);
        for (text, image) in &images {
            prop_assert_eq!(archive.image(text), Some(image.as_slice()));
        }
    }

    /// One changed byte is noticed, wherever it is, but for the padding that nobody reads.
    #[test]
    fn one_changed_byte_is_noticed(at in any::<prop::sample::Index>(), change in 1..=u8::MAX) {
        let mut bytes = sample();
        let at = at.index(bytes.len());
        let directory = 32..32 + BLOBS * 40;
        let is_in_blob = bytes[directory.clone()].chunks(40).any(|entry| {
            let number = |at: usize| u64::from_le_bytes(entry[at..at + 8].try_into().unwrap()) as usize;
            (number(24)..number(24) + number(32)).contains(&at)
        });
        bytes[at] ^= change;
        prop_assert_eq!(read_all(&bytes).is_err(), is_in_blob || at < directory.end);
    }

    #[test]
    fn what_is_cut_off_is_refused(at in any::<prop::sample::Index>()) {
        let bytes = sample();
        prop_assert!(Archive::parse(&bytes[..at.index(bytes.len())]).is_err());
    }

    /// Whoever can make the checksums right again still cannot make the reader leave the archive.
    #[test]
    fn harm_that_was_meant_is_bounded(
        changes in prop::collection::vec((0..32 + BLOBS * 40, prop_oneof![any::<u8>(), Just(0), Just(0x10), Just(0xff)]), 1..12),
    ) {
        let mut bytes = sample();
        for (at, byte) in changes {
            // The magic and the version stay, or there would be nothing to see.
            if at >= 12 {
                bytes[at] = byte;
            }
        }
        reseal(&mut bytes);
        let _ = read_all(&bytes);
    }

    #[test]
    fn rubbish_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(read_all(&bytes).is_err());
    }
}
