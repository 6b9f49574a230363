//! What a kernel says about itself in Xen's ELF notes.
//!
//! A note that is given twice counts as it stands the last time. Notes that matter to 32-bit kernels only, or to BSD's
//! debugger (its symbol table is not loaded), are not read.

use xen_abi::{
    elfnote::{ElfNote, OWNER},
    version::Features,
};

use super::error::GuestError;
use crate::ElfImage;

/// The one version of the PV interface.
const XEN_VERSION: &[u8] = b"xen-3.0";
/// The one kind of loader.
const LOADER: &[u8] = b"generic";

/// Features by the names that they have in [`ElfNote::Features`].
const FEATURE_NAMES: [(&[u8], Features); 6] = [
    (b"writable_page_tables", Features::WRITABLE_PAGE_TABLES),
    (b"writable_descriptor_tables", Features::WRITABLE_DESCRIPTOR_TABLES),
    (b"auto_translated_physmap", Features::AUTO_TRANSLATED_PHYSMAP),
    (b"supervisor_mode_kernel", Features::SUPERVISOR_MODE_KERNEL),
    (b"pae_pgdir_above_4gb", Features::PAE_PGDIR_ABOVE_4GB),
    (b"dom0", Features::DOM0),
];

/// What a PV guest can be given. The rest is for guests with hardware page tables, or for dom0.
const PV_FEATURES: Features = Features::WRITABLE_PAGE_TABLES
    .union(Features::WRITABLE_DESCRIPTOR_TABLES)
    .union(Features::PAE_PGDIR_ABOVE_4GB);

/// What a kernel says about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelNotes<'a> {
    /// The kernel's name, "linux" for instance.
    pub guest_os: &'a [u8],
    /// The PV entry point.
    pub entry: Option<u64>,
    /// The page that Xen is to fill with hypercall stubs; none if the kernel issues its hypercalls itself.
    pub hypercall_page: Option<u64>,
    /// The virtual address of the guest's page 0.
    pub virt_base: Option<u64>,
    /// What is subtracted from the image's physical addresses.
    pub paddr_offset: u64,
    /// Where the p2m list is to be mapped; none if with everything else.
    pub init_p2m: Option<u64>,
    /// Whether the kernel takes its ramdisk by page, so that it need not be mapped.
    pub mod_start_pfn: bool,
    /// Whether the kernel notices when a suspend has been cancelled.
    pub suspend_cancel: bool,
    /// What the kernel can make use of.
    pub supported: Features,
    /// What it cannot run without.
    pub required: Features,
    /// The entry point of a PVH guest, as a physical address.
    pub phys32_entry: Option<u32>,
    /// The version of the PV interface that it is made for.
    pub xen_version: Option<&'a [u8]>,
    /// The kind of loader that it wants.
    pub loader: Option<&'a [u8]>,
}

impl<'a> KernelNotes<'a> {
    /// Reads the notes of `image`.
    ///
    /// # Errors
    /// When a note has a value that is none, or asks for an unknown feature.
    pub fn read(image: &ElfImage<'a>) -> Result<Self, GuestError> {
        let mut notes = Self::default();
        for note in image.notes().filter(|note| note.name == OWNER.as_bytes()) {
            let Some(kind) = u32::try_from(note.kind).ok().and_then(ElfNote::from_raw) else { continue };
            notes.take(kind, note.value)?;
        }
        Ok(notes)
    }

    fn take(&mut self, kind: ElfNote, value: &'a [u8]) -> Result<(), GuestError> {
        let number = || number(kind, value);
        let text = xen_abi::types::until_nul(value);
        match kind {
            ElfNote::Entry => self.entry = Some(number()?),
            ElfNote::HypercallPage => self.hypercall_page = Some(number()?),
            ElfNote::VirtBase => self.virt_base = Some(number()?),
            ElfNote::PaddrOffset => self.paddr_offset = number()?,
            ElfNote::InitP2m => self.init_p2m = Some(number()?),
            ElfNote::ModStartPfn => self.mod_start_pfn = number()? != 0,
            ElfNote::SuspendCancel => self.suspend_cancel = number()? != 0,
            ElfNote::SupportedFeatures => self.supported |= Features::from_bits_retain(number()? as u32),
            ElfNote::Features => self.take_features(text)?,
            ElfNote::Phys32Entry => {
                let entry = number()?;
                let fits = u32::try_from(entry).map_err(|_| GuestError::NoteValue { kind, value: entry })?;
                self.phys32_entry = Some(fits);
            }
            ElfNote::GuestOs => self.guest_os = text,
            ElfNote::XenVersion => self.xen_version = Some(text),
            ElfNote::Loader => self.loader = Some(text),
            _ => {}
        }
        Ok(())
    }

    /// Features as words, `|` between them and `!` before those that are required.
    fn take_features(&mut self, text: &[u8]) -> Result<(), GuestError> {
        for word in text.split(|byte| *byte == b'|').filter(|word| !word.is_empty()) {
            let (name, required) = match word.strip_prefix(b"!") {
                Some(name) => (name, true),
                None => (word, false),
            };
            match FEATURE_NAMES.iter().find(|(known, _)| *known == name) {
                Some((_, feature)) => {
                    self.supported |= *feature;
                    self.required |= if required { *feature } else { Features::empty() };
                }
                // What is merely offered and not known is not used.
                None if required => return Err(GuestError::unknown_feature(name)),
                None => {}
            }
        }
        Ok(())
    }

    /// Whether this is a kernel for PV guests, of the interface that there is, and needs nothing that they cannot have.
    pub(super) fn check_pv(&self) -> Result<(), GuestError> {
        if self.entry.is_none() && self.xen_version.is_none() {
            return Err(GuestError::NoPvKernel { has_pvh_entry: self.phys32_entry.is_some() });
        }
        for (kind, found, wanted) in [
            (ElfNote::XenVersion, self.xen_version, XEN_VERSION),
            // Kernels of other systems leave it out.
            (ElfNote::Loader, self.loader.or(Some(LOADER)), LOADER),
        ] {
            if found != Some(wanted) {
                return Err(GuestError::note_text(kind, found.unwrap_or_default()));
            }
        }
        let missing = self.required - PV_FEATURES;
        if missing.is_empty() { Ok(()) } else { Err(GuestError::Features { required: missing }) }
    }
}

/// The value of a note that is a number of 4 or 8 bytes.
fn number(kind: ElfNote, value: &[u8]) -> Result<u64, GuestError> {
    if let Ok(bytes) = value.try_into() {
        Ok(u64::from_le_bytes(bytes))
    } else if let Ok(bytes) = value.try_into() {
        Ok(u32::from_le_bytes(bytes).into())
    } else {
        Err(GuestError::NoteSize { kind, size: value.len() })
    }
}
