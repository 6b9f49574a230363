//! What whole-system tests stand on: they boot a host in QEMU, inject faults, and say what must follow.
//!
//! ```no_run
//! use emulator::condition::component;
//! use emulator::event::Rung;
//! use emulator::fault::Fault;
//! use rvmm_tests::{Host, Setup};
//!
//! let mut host = Host::boot("a-null-store", Setup::default());
//! host.inject("probe.0", Fault::NullStore);
//! host.wait_for(component("probe.0").is_repaired_by(Rung::MicroReboot));
//! ```

pub mod api;
pub mod disk;
pub mod flip;
pub mod guest;
pub mod host;
pub mod network;
pub mod part;
pub mod receiver;
pub mod seats;
pub mod service;
pub mod setting;
pub mod setup;
pub mod store;
pub mod system;
pub mod toolstack;
pub mod traffic;
pub mod trial;

pub use host::Host;
pub use setting::setting;
pub use setup::Setup;

/// A test on every kind of host: on each Xen, with an IOMMU and without, on one processor and on two. `$check` is what is done with a
/// [`Setup`].
#[macro_export]
macro_rules! on_every_host {
    ($check:path) => {
        $crate::on_every_host! {
            $check;
            xen_4_17: V4_17, true, 1;
            xen_4_17_on_two_processors: V4_17, true, 2;
            xen_4_17_without_iommu: V4_17, false, 1;
            xen_4_17_without_iommu_on_two_processors: V4_17, false, 2;
            xen_4_20: V4_20, true, 1;
            xen_4_20_on_two_processors: V4_20, true, 2;
            xen_4_20_without_iommu: V4_20, false, 1;
            xen_4_20_without_iommu_on_two_processors: V4_20, false, 2;
        }
    };
    ($check:path; $($test:ident: $xen:ident, $iommu:literal, $processors:literal;)*) => {
        $(#[test]
        fn $test() {
            $check($crate::Setup {
                xen: ::emulator::artifacts::XenVersion::$xen,
                iommu: $iommu,
                processors: $processors,
                ..Default::default()
            });
        })*
    };
}
