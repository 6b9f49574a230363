//! Kernels for guests, as a linker could have made them.

use xen_abi::elfnote::ElfNote;

use super::elf_writer::{self, PT_NOTE, Part, R, W, X};

pub(crate) const VIRT_BASE: u64 = 0xffff_ffff_8000_0000;
/// Where Linux has its p2m list mapped.
pub(crate) const INIT_P2M: u64 = 0x80_0000_0000;

/// What a kernel is made of.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) parts: Vec<Part>,
    pub(crate) notes: Vec<(ElfNote, Vec<u8>)>,
    /// The value of the note with the base, which is checked against what comes out.
    pub(crate) virt_base: u64,
    pub(crate) paddr_offset: u64,
}

impl Kernel {
    /// Two loads at 1 MiB, and what Linux has as notes.
    pub(crate) fn linux() -> Self {
        let code = (0..10_000u32).map(|n| n as u8 | 1).collect();
        let mut kernel = Self::bare(vec![
            load(R | X, 0x10_0000, code, 10_000),
            load(R | W | X, 0x10_4000, vec![7; 5000], 0x9000),
        ]);
        kernel.set(ElfNote::InitP2m, INIT_P2M);
        kernel.set(ElfNote::ModStartPfn, 1);
        kernel.set(ElfNote::SuspendCancel, 1);
        kernel.set_text(ElfNote::GuestOs, "linux");
        kernel.set_text(ElfNote::Features, "!writable_page_tables");
        kernel
    }

    /// No more notes than a PV kernel needs; it starts at its first load.
    pub(crate) fn bare(parts: Vec<Part>) -> Self {
        let entry = parts[0].physical + VIRT_BASE;
        let mut kernel = Self { parts, notes: Vec::new(), virt_base: VIRT_BASE, paddr_offset: 0 };
        kernel.set_text(ElfNote::XenVersion, "xen-3.0");
        kernel.set_text(ElfNote::Loader, "generic");
        kernel.set(ElfNote::VirtBase, VIRT_BASE);
        kernel.set(ElfNote::Entry, entry);
        kernel
    }

    /// Everything from `virt_base` on, physical addresses counted from `paddr_offset`.
    pub(crate) fn moved(mut self, virt_base: u64, paddr_offset: u64) -> Self {
        let by = virt_base.wrapping_sub(self.virt_base);
        for (kind, value) in &mut self.notes {
            if matches!(kind, ElfNote::Entry | ElfNote::HypercallPage) {
                let address = u64::from_le_bytes((&value[..]).try_into().unwrap());
                *value = address.wrapping_add(by).to_le_bytes().to_vec();
            }
        }
        self.parts.iter_mut().for_each(|part| part.physical += paddr_offset - self.paddr_offset);
        self.set(ElfNote::VirtBase, virt_base);
        self.set(ElfNote::PaddrOffset, paddr_offset);
        Self { virt_base, paddr_offset, ..self }
    }

    /// Gives a note, in place of the one that there is.
    pub(crate) fn set(&mut self, kind: ElfNote, value: u64) {
        self.set_bytes(kind, value.to_le_bytes().to_vec());
    }

    pub(crate) fn set_text(&mut self, kind: ElfNote, text: &str) {
        self.set_bytes(kind, [text.as_bytes(), b"\0"].concat());
    }

    pub(crate) fn set_bytes(&mut self, kind: ElfNote, value: Vec<u8>) {
        self.remove(kind);
        self.notes.push((kind, value));
    }

    pub(crate) fn remove(&mut self, kind: ElfNote) {
        self.notes.retain(|(other, _)| *other != kind);
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        let note = |(kind, value): &(ElfNote, Vec<u8>)| elf_writer::note(b"Xen", kind.raw(), value);
        let notes = self.notes.iter().flat_map(note).collect();
        let parts = [self.parts.clone(), vec![Part::other(PT_NOTE, notes)]].concat();
        // PV guests start where the note says, not here.
        elf_writer::write(0x1234, &parts)
    }
}

/// A load at a physical address, linked for somewhere else.
pub(crate) fn load(flags: u32, physical: u64, bytes: Vec<u8>, size: u64) -> Part {
    Part { physical, ..Part::load(flags, 0x7000_0000, bytes, size) }
}
