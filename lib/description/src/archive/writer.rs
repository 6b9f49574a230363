//! Writing a boot archive, which the build does.

use super::{CRC32, ENTRY, HEADER, Kind, MAGIC, VERSION, directory_crc};
use crate::{Description, MAX_ENCODED, Name};
use std::collections::HashMap;
use uk_abi::layout::PAGE_SIZE;

/// Writes a boot archive.
#[derive(Debug, Default)]
pub struct ArchiveWriter {
    blobs: Vec<(Kind, [u8; 16], Vec<u8>)>,
}

impl ArchiveWriter {
    /// An archive with a description and nothing else yet.
    pub fn new(description: &Description) -> Self {
        let mut buffer = vec![0; MAX_ENCODED];
        let used = description.encode(&mut buffer).map_or(0, <[u8]>::len);
        buffer.truncate(used);
        Self { blobs: vec![(Kind::Description, [0; 16], buffer)] }
    }

    /// Adds an ELF image.
    pub fn image(&mut self, name: &Name, elf: Vec<u8>) -> &mut Self {
        self.blobs.push((Kind::Image, name.padded(), elf));
        self
    }

    /// Adds the symbol table of an image, as [`encode_symbols`](crate::encode_symbols) writes it.
    pub fn symbols(&mut self, name: &Name, table: Vec<u8>) -> &mut Self {
        self.blobs.push((Kind::Symbols, name.padded(), table));
        self
    }

    /// Adds the kernel of the guest of this name: an ELF image.
    pub fn kernel(&mut self, guest: &Name, elf: Vec<u8>) -> &mut Self {
        self.blobs.push((Kind::Kernel, guest.padded(), elf));
        self
    }

    /// Adds the initial ramdisk of the guest of this name.
    pub fn ramdisk(&mut self, guest: &Name, ramdisk: Vec<u8>) -> &mut Self {
        self.blobs.push((Kind::Ramdisk, guest.padded(), ramdisk));
        self
    }

    /// Adds the configuration of the guest of this name, in the form of `xl.cfg(5)`.
    pub fn config(&mut self, guest: &Name, text: Vec<u8>) -> &mut Self {
        self.blobs.push((Kind::Config, guest.padded(), text));
        self
    }

    /// Adds a secret, 32 bytes that nobody can guess, for the components that may have guests: they can read it, and nobody else.
    pub fn secret(&mut self, description: &Description, secret: [u8; 32]) -> &mut Self {
        let readers = description.components.iter().filter(|component| component.may_have_guests());
        self.blobs.extend(readers.map(|reader| (Kind::Secret, reader.name.padded(), secret.to_vec())));
        self
    }

    /// The archive's bytes. Of blobs that are the same there is one, which many entries name: twenty guests with one
    /// kernel take the room of one.
    pub fn finish(&self) -> Vec<u8> {
        let mut directory = Vec::new();
        let mut places = HashMap::<&[u8], usize>::new();
        let mut offset = (HEADER + self.blobs.len() * ENTRY).next_multiple_of(PAGE_SIZE);
        for (kind, name, blob) in &self.blobs {
            let place = *places.entry(blob).or_insert(offset);
            let code =
                Kind::CODES.iter().find(|(_, known)| known == kind).map_or(u32::MAX, |(code, _)| *code);
            directory.extend(name);
            directory.extend(code.to_le_bytes());
            directory.extend(CRC32.checksum(blob).to_le_bytes());
            directory.extend((place as u64).to_le_bytes());
            directory.extend((blob.len() as u64).to_le_bytes());
            if place == offset {
                offset += blob.len().next_multiple_of(PAGE_SIZE);
            }
        }
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&(self.blobs.len() as u32).to_le_bytes());
        header[16..24].copy_from_slice(&(offset as u64).to_le_bytes());
        let crc = directory_crc(&header, &directory);
        header[28..].copy_from_slice(&crc.to_le_bytes());

        let mut bytes = header.to_vec();
        bytes.extend(directory);
        bytes.resize(offset, 0);
        for (blob, place) in places {
            bytes[place..place + blob.len()].copy_from_slice(blob);
        }
        bytes
    }
}
