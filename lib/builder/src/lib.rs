#![no_std]
//! The plan of a PV domain, made before the domain exists.
//!
//! Building a domain is two jobs. Deciding *what* it looks like (which pseudo-physical page holds what, which
//! page-table entry maps it and how, which bytes are written) is arithmetic on a file that may be rubbish: it is
//! done here, without a hypercall, without allocating and without a panic, and so it is tested natively. Doing it
//! (creating the domain, mapping its frames, copying, pinning) is a short list of hypercalls, and belongs to root.
//!
//! - [`elf_image`] is a checked view of an ELF file: every offset it hands out lies inside the file.
//! - [`areas`] divides the pages of a domain.
//! - [`page_table`] counts and fills the page tables for given spans of virtual addresses.
//! - `p2m` fills the list of a domain's machine frames.
//! - [`params`] says what a unikernel is to have.
//! - [`uk`] puts these together into [`UkPlan`], the plan of a unikernel.
//! - [`guest`] does the same for other people's kernels, which say themselves how they want to be laid out.
//! - [`steps`] is what building a guest takes, in pieces small enough to ask somebody else for.
//!
//! ```
//! # fn build(image: &[u8]) -> Result<(), builder::PlanError> {
//! use builder::{UkParams, UkPlan};
//! use xen_abi::{Mfn, Pfn};
//!
//! let params = UkParams { memory_pages: 1024, stack_pages: 16, log_pages: 4, kept_pages: 8, ..UkParams::default() };
//! let plan = UkPlan::new(image, &params)?;
//! let frame_of = |pfn: Pfn| Mfn(0x1000 + pfn.0); // what Xen answered to populate_physmap
//! for segment in plan.segments() {
//!     // copy segment.bytes to segment.pages, and zero the rest of them
//! }
//! let mut page = [0; 512];
//! for table in plan.tables() {
//!     plan.fill_table(&table, frame_of, Mfn(0x77), &mut page);
//!     // write `page` to frame_of(table.pfn)
//! }
//! # Ok(())
//! # }
//! # assert!(build(&[0; 64]).is_err());
//! ```

pub mod areas;
pub mod elf_image;
pub mod error;
pub mod guest;
mod p2m;
pub mod page_table;
pub mod params;
pub mod steps;
pub mod uk;

pub use areas::{Areas, PfnRange};
pub use elf_image::ElfImage;
pub use error::{ElfError, PlanError};
pub use guest::{
    build::Build,
    error::{BuildError, GuestError},
    extents::{Extent, Extents},
    layout::GuestAreas,
    notes::KernelNotes,
    params::GuestParams,
    plan::GuestPlan,
};
pub use page_table::TablePage;
pub use params::{MachineRange, UkParams};
pub use steps::{Answer, Step};
pub use uk::UkPlan;
