//! Debian's packages: downloaded, checked and unpacked under `target/debian/SUITE`, never installed on this machine.
//!
//! A hypervisor package would rewrite the boot menu, and a kernel package the boot folder; R-VMM needs only the files in
//! them. Each piece is fetched when it is first asked for. What was fetched is recorded with its SHA-256 and checked each
//! time; as long as it is intact, nothing here touches the network.

mod apt;
mod error;
mod manifest;
mod mirror;
mod shelf;
mod tools;

use emulator::artifacts::XenVersion;

use apt::Apt;

pub(crate) use error::PackagesError;
pub(crate) use shelf::Shelf;
pub(crate) use tools::{CPP, QEMU, ToolError, ensure};

/// Packages that are needed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Xen itself; its image is gunzipped to the file `xen`, as QEMU wants it.
    Hypervisor,
    /// Xen's public headers, which `xen-abi` is checked against.
    Headers,
    /// A stock Linux kernel with its modules, and busybox: what a guest is made of.
    Guest,
    /// XenStore's tools for guests, with all libraries that they load.
    GuestTools,
    /// What makes and checks file systems, with the libraries that it loads.
    FileSystems,
    /// What networks are tried with, with the libraries that it loads.
    NetworkPrograms,
    /// A root file system with a C compiler, something to compile, and what verifies disks.
    Root,
    /// The kernel that Debian installs on real hardware, with its modules.
    StockKernel,
    /// The userland of a Linux dom0 with Xen's own toolstack, with all that it loads.
    Dom0,
    /// The XenStore daemons of Xen, its `xenstore-*` tools and `test-xenstore`, with the libraries that they load.
    XenStore,
}

/// What [`Piece::GuestTools`] is made of. Guests have a C library of their own release.
const GUEST_TOOLS_PACKAGES: [&str; 4] = ["xenstore-utils", "libxenstore4", "libxentoolcore1", "libc6"];

/// What [`Piece::FileSystems`] is made of, besides the C library of [`GUEST_TOOLS_PACKAGES`].
const FILE_SYSTEMS_PACKAGES: [&str; 6] =
    ["e2fsprogs", "libext2fs2", "libcom-err2", "libss2", "libblkid1", "libuuid1"];

/// What [`Piece::NetworkPrograms`] is made of, besides the C library: of [`GUEST_TOOLS_PACKAGES`] in guests, the machine's own elsewhere.
const NETWORK_PACKAGES: [&str; 14] = [
    "apache2-utils",
    "iperf3",
    "iputils-ping",
    "libapr1",
    "libaprutil1",
    "libcap2",
    "libcrypt1",
    "libexpat1",
    "libidn2-0",
    "libiperf0",
    "libsctp1",
    "libssl3",
    "libunistring2",
    "libuuid1",
];

/// What [`Piece::Root`] is made of: a shell, the smallest compiler of Debian's with what it links, and libraries that are all source.
const ROOT_PACKAGES: [&str; 6] =
    ["busybox-static", "libc6", "libc6-dev", "libstb-dev", "linux-libc-dev", "tcc"];

/// What [`Piece::Root`] has besides: fio, with what its program is linked with to reach storage of every kind.
const FIO_PACKAGES: [&str; 57] = [
    "fio",
    "libacl1",
    "libaio1",
    "libargon2-1",
    "libblkid1",
    "libboost-iostreams1.74.0",
    "libboost-thread1.74.0",
    "libbz2-1.0",
    "libcom-err2",
    "libcryptsetup12",
    "libdaxctl1",
    "libdevmapper1.02.1",
    "libffi8",
    "libfmt9",
    "libgcc-s1",
    "libgfapi0",
    "libgfrpc0",
    "libgfxdr0",
    "libglusterfs0",
    "libgmp10",
    "libgnutls30",
    "libgssapi-krb5-2",
    "libhogweed6",
    "libibverbs1",
    "libicu72",
    "libidn2-0",
    "libjson-c5",
    "libk5crypto3",
    "libkeyutils1",
    "libkmod2",
    "libkrb5-3",
    "libkrb5support0",
    "liblzma5",
    "libnbd0",
    "libndctl6",
    "libnettle8",
    "libnl-3-200",
    "libnl-route-3-200",
    "libnuma1",
    "libp11-kit0",
    "libpcre2-8-0",
    "libpmem1",
    "libpmemblk1",
    "librados2",
    "librbd1",
    "librdmacm1",
    "libselinux1",
    "libssl3",
    "libstdc++6",
    "libtasn1-6",
    "libtirpc3",
    "libudev1",
    "libunistring2",
    "libuuid1",
    "libxml2",
    "libzstd1",
    "zlib1g",
];

/// What [`Piece::XenStore`] is made of, with VERSION for Xen's. The C library is the machine's own: it is at least as new,
/// and it has to be that of the dynamic loader.
const XENSTORE_PACKAGES: [&str; 14] = [
    "xen-utils-VERSION",
    "xenstore-utils",
    "libxenstore4",
    "libxenmiscVERSION",
    "libxencall1",
    "libxendevicemodel1",
    "libxenevtchn1",
    "libxenforeignmemory1",
    "libxengnttab1",
    "libxentoolcore1",
    "libxentoollog1",
    // oxenstored is linked with Xen's domain builder, which unpacks kernels.
    "liblzma5",
    "libzstd1",
    "zlib1g",
];

/// What [`Piece::Dom0`] is made of: the toolstack, what its hotplug scripts call, and their libraries.
const DOM0_PACKAGES: [&str; 46] = [
    "xen-utils-VERSION",
    "xen-utils-common",
    "xenstore-utils",
    "bash",
    "busybox-static",
    "iproute2",
    "libbpf1",
    "libbsd0",
    "libbz2-1.0",
    "libc6",
    "libcap2",
    "libcom-err2",
    "libdb5.3",
    "libelf1",
    "libgcc-s1",
    "libgssapi-krb5-2",
    "libk5crypto3",
    "libkeyutils1",
    "libkrb5-3",
    "libkrb5support0",
    "liblzma5",
    "liblzo2-2",
    "libmd0",
    "libmnl0",
    "libnl-3-200",
    "libnl-route-3-200",
    "libpcre2-8-0",
    "libselinux1",
    "libssl3",
    "libtinfo6",
    "libtirpc3",
    "libuuid1",
    "libxencall1",
    "libxendevicemodel1",
    "libxenevtchn1",
    "libxenforeignmemory1",
    "libxengnttab1",
    "libxenhypfs1",
    "libxenmiscVERSION",
    "libxenstore4",
    "libxentoolcore1",
    "libxentoollog1",
    "libxtables12",
    "libyajl2",
    "libzstd1",
    "zlib1g",
];

impl Piece {
    /// Every piece that is used of the suite with `xen`. The XenStore of Debian 13 does not run on Debian 12's C library.
    pub(crate) fn of(xen: XenVersion) -> &'static [Piece] {
        match xen {
            XenVersion::V4_17 => &[
                Piece::Hypervisor,
                Piece::Headers,
                Piece::Guest,
                Piece::GuestTools,
                Piece::FileSystems,
                Piece::NetworkPrograms,
                Piece::Root,
                Piece::StockKernel,
                Piece::Dom0,
                Piece::XenStore,
            ],
            XenVersion::V4_20 => &[Piece::Hypervisor, Piece::Headers, Piece::Guest, Piece::GuestTools],
        }
    }

    /// The folder that it is unpacked to, below its suite's.
    pub(crate) fn folder(self) -> &'static str {
        match self {
            Piece::Hypervisor => "hypervisor",
            Piece::Headers => "headers",
            Piece::Guest => "guest",
            Piece::GuestTools => "guest-tools",
            Piece::FileSystems => "file-systems",
            Piece::NetworkPrograms => "network-programs",
            Piece::Root => "root-system",
            Piece::StockKernel => "kernel",
            Piece::Dom0 => "dom0",
            Piece::XenStore => "xenstore",
        }
    }

    /// The packages that it is made of.
    fn packages(self, xen: XenVersion, apt: &Apt) -> Result<Vec<String>, PackagesError> {
        Ok(match self {
            Piece::Hypervisor => vec![format!("xen-hypervisor-{xen}-amd64")],
            Piece::Headers => vec!["libxen-dev".to_owned()],
            Piece::Guest => {
                // The cloud kernel has Xen's frontends and none of the hardware drivers, so it is the smallest.
                let kernel = apt.dependency("linux-image-cloud-amd64", "linux-image-")?;
                vec![kernel, "busybox-static".to_owned()]
            }
            Piece::GuestTools => GUEST_TOOLS_PACKAGES.map(str::to_owned).into(),
            Piece::FileSystems => FILE_SYSTEMS_PACKAGES.map(str::to_owned).into(),
            Piece::NetworkPrograms => NETWORK_PACKAGES.map(str::to_owned).into(),
            Piece::Root => ROOT_PACKAGES.iter().chain(&FIO_PACKAGES).map(|&name| name.to_owned()).collect(),
            Piece::StockKernel => vec![apt.dependency("linux-image-amd64", "linux-image-")?],
            Piece::Dom0 => of_version(&DOM0_PACKAGES, xen),
            Piece::XenStore => of_version(&XENSTORE_PACKAGES, xen),
        })
    }
}

/// The packages `names`, with Xen's version where they say VERSION.
fn of_version(names: &[&str], xen: XenVersion) -> Vec<String> {
    names.iter().map(|name| name.replace("VERSION", &xen.to_string())).collect()
}
