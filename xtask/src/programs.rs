//! The programs that boot hosts: the interactive one, the demo, the benchmarks.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, thread};

use clap::Args;
use description::Description;
use emulator::artifacts::{Artifacts, XenVersion};
use emulator::device::{Disk, DiskModel, Forward, Nic, NicModel};
use emulator::machine::MachineConfig;
use emulator::qemu::Qemu;
use strum::VariantArray;

use crate::error::Error;
use crate::packages::{self, Piece, Shelf};
use crate::workspace::Workspace;
use crate::{cargo, guests, image, process, root_disk, vanilla};

/// A host that somebody watches is ended by hand; one that was forgotten ends after a day.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The benchmark that boots no host.
const XENSTORE_BENCH: &str = "xenstore";
/// The benchmarks that boot a Linux dom0 beside ours.
const BESIDE_LINUX: [&str; 3] = ["vm", "net", "disk"];
/// Pages of 4 KiB in a MiB.
const PAGES_PER_MIB: u32 = 256;
/// Bytes of the disk that `run` gives the host. The file is sparse: it takes up what is written to it.
const DISK_BYTES: u64 = 256 << 20;

/// The host to boot.
#[derive(Debug, Args)]
pub(crate) struct HostOptions {
    /// Version of Xen: 4.17 or 4.20
    #[arg(long, default_value_t = XenVersion::V4_17)]
    xen: XenVersion,
    /// Number of processors
    #[arg(long, default_value_t = 1)]
    processors: u32,
    /// No IOMMU: devices are not contained
    #[arg(long)]
    no_iommu: bool,
}

/// The host that `run` boots.
#[derive(Debug, Args)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    host: HostOptions,
    /// Memory in MiB
    #[arg(long, default_value_t = 768)]
    memory: u32,
    /// A port of this machine that leads to a guest's, such as 8080:10.0.2.16:80
    #[arg(long, value_name = "PORT:ADDRESS:PORT")]
    forward: Vec<Forward>,
}

/// The host that `demo` boots.
#[derive(Debug, Args)]
pub(crate) struct DemoOptions {
    #[command(flatten)]
    host: HostOptions,
    /// Leave the host running at the end
    #[arg(long)]
    keep: bool,
}

/// Gets what a host needs: QEMU, each of the hypervisors, guests, and the image. Answers what the image runs.
pub(crate) fn prepare(workspace: &Workspace, versions: &[XenVersion]) -> Result<Description, Error> {
    packages::ensure(&packages::QEMU)?;
    for &xen in versions {
        Shelf::new(&workspace.debian(), xen).hypervisor()?;
    }
    build(workspace)
}

/// Makes the guests, and the image with those that start with the host. Answers what it runs.
pub(crate) fn build(workspace: &Workspace) -> Result<Description, Error> {
    guests::build_all(workspace)?;
    root_disk::build(workspace)?;
    Ok(image::build(workspace)?)
}

/// Boots a host with its serial console on this terminal, and one network card and one disk.
pub(crate) fn run(workspace: &Workspace, options: &RunOptions) -> Result<(), Error> {
    let HostOptions { xen, processors, no_iommu } = options.host;
    let description = prepare(workspace, &[xen])?;
    let folder = workspace.target().join("run");
    let nic = options.forward.iter().fold(Nic::user(NicModel::Virtio), |nic, &forward| nic.forward(forward));
    let config = MachineConfig::new(Artifacts::in_target(workspace.target()).boot_files(xen))
        .processors(processors)
        .memory_mib(options.memory)
        .root_memory_mib(description.host.memory_pages / PAGES_PER_MIB)
        .iommu(!no_iommu)
        .nic(nic)
        .disk(Disk::new(DiskModel::Virtio, disk(&folder)?).persistent());
    eprintln!(
        "x: booting; root reads commands, `poweroff` or Ctrl-C ends it; logs are in {}",
        folder.display()
    );
    let (_qemu, mut serial) = Qemu::spawn(&config, &folder, LIFETIME)?;
    // It ends with this process: nothing can interrupt its wait for the keyboard.
    thread::spawn(move || io::copy(&mut io::stdin(), &mut Flushed(serial.input)));
    io::copy(&mut serial.output, &mut Flushed(io::stdout()))
        .map_err(|source| Error::File { path: "the serial console".into(), source })?;
    Ok(())
}

/// A disk that keeps what is written to it from one run to the next.
fn disk(folder: &Path) -> Result<PathBuf, Error> {
    let path = folder.join("disk.img");
    let create = || {
        fs::create_dir_all(folder)?;
        File::options().create(true).append(true).open(&path)?.set_len(DISK_BYTES)
    };
    create().map(|()| path.clone()).map_err(|source| Error::File { path: path.clone(), source })
}

/// Passes every byte on at once, as a console should.
struct Flushed<W>(W);

impl<W: Write> Write for Flushed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.0.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Shows R-VMM at work: every fault, injected and repaired.
pub(crate) fn demo(workspace: &Workspace, options: &DemoOptions) -> Result<(), Error> {
    let DemoOptions { host: HostOptions { xen, processors, no_iommu }, keep } = options;
    prepare(workspace, &[*xen])?;
    let mut command = cargo::system(workspace, "run", "rvmm-tests");
    command.args(["--quiet", "--bin", "demo", "--"]);
    command.arg(format!("--xen={xen}")).arg(format!("--processors={processors}"));
    command.args(no_iommu.then_some("--no-iommu")).args(keep.then_some("--keep"));
    Ok(process::run(&mut command)?)
}

/// Gets the XenStore daemons, tools and tests that ours is held against.
pub(crate) fn xenstore(workspace: &Workspace) -> Result<PathBuf, Error> {
    let shelf = Shelf::new(&workspace.debian(), XenVersion::V4_17);
    shelf.piece(Piece::Headers)?;
    Ok(shelf.piece(Piece::XenStore)?)
}

/// Runs the benchmark `name`, which prints a table and writes its figures to `json`.
pub(crate) fn bench(
    workspace: &Workspace,
    name: &str,
    json: Option<&Path>,
    extra: &[String],
) -> Result<(), Error> {
    if name == XENSTORE_BENCH {
        xenstore(workspace)?;
        process::run(cargo::host(workspace, "build").args(["--release", "--package", "xenstored"]))?;
    } else {
        prepare(workspace, XenVersion::VARIANTS)?;
    }
    if BESIDE_LINUX.contains(&name) {
        vanilla::build(workspace)?;
    }
    let mut command = cargo::system(workspace, "run", "rvmm-bench");
    command.args(["--quiet", "--release", "--bin", name, "--"]).args(extra);
    if let Some(json) = json {
        // Cargo is called at the top of the checkout, and the path was given where the person stands.
        let here = env::current_dir().map_err(|source| Error::File { path: ".".into(), source })?;
        command.arg("--json").arg(here.join(json));
    }
    Ok(process::run(&mut command)?)
}
