//! The hosts that tests boot: which Xen, how many processors, with an IOMMU or without, and what they run.

use std::fmt;
use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use emulator::artifacts::{Artifacts, XenVersion};
use emulator::device::{Disk, DiskModel, Forward, Nic, NicModel};
use emulator::kvm;
use emulator::lan::Lan;
use emulator::machine::{Accelerator, BootFiles, MachineConfig};
use volume::SECTOR;
use volume::testing::table;

use crate::system::{IN_SERVICE, MEASURED, PROBES, System};

const DISK: &str = "disk.img";

/// The bytes of the disk that the disk's unikernel of the tests' systems writes to: the second MiB.
pub const DISK_SCRATCH: Range<u64> = 1 << 20..2 << 20;

/// MiB of memory that every machine has at least, and those that Xen itself takes of it, with what it keeps free.
const LEAST_MIB: u32 = 512;
const XEN_MIB: u32 = 192;

/// Bytes of a test's disk. The file is sparse.
const DISK_BYTES: u64 = 64 << 20;

/// What tests vary about a host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Setup {
    /// What it runs.
    pub system: System,
    /// Which Xen it runs that on.
    pub xen: XenVersion,
    /// Whether it has an IOMMU.
    pub iommu: bool,
    /// How many processors it has.
    pub processors: u32,
    /// How long a domain runs before another may take the processor away, in microseconds; as the system's description has it if nothing is said.
    pub slice_us: Option<u32>,
    /// Whether it has a network card and a disk.
    pub devices: bool,
    /// What its network card is, if it has one.
    pub nic: NicModel,
    /// What its second network card is, if it has two. That is on another LAN of the test's.
    pub second_nic: Option<NicModel>,
    /// Whether that is on QEMU's own network, which leads to this machine's programs, and not on a
    /// LAN of the test's.
    pub on_this_machine: bool,
    /// The network namespace with a tap that its network card is on instead, and that QEMU runs in.
    pub namespace: Option<&'static str>,
    /// What leads there from a port of this machine; its network card is on QEMU's own network then, too.
    pub forward: Option<Forward>,
    /// What leads to its management API, likewise.
    pub api: Option<Forward>,
    /// Which disk.
    pub disk: DiskModel,
    /// A sector of the disk that cannot be read, if it has one.
    pub bad_sector: Option<u64>,
    /// The partitions of the disk, by first sector, count and name; without any it has no table.
    pub partitions: &'static [(u64, u64, &'static str)],
    /// What is on the disk, as a file below `target/guests`; without one it is empty.
    pub disk_content: Option<&'static str>,
    /// MiB of its memory; as much as its system needs if nothing is said.
    pub memory_mib: Option<u32>,
    /// What runs it.
    pub accelerator: Accelerator,
}

impl Default for Setup {
    /// The host of whoever does not care.
    fn default() -> Self {
        Setup {
            system: PROBES,
            xen: XenVersion::V4_17,
            iommu: true,
            processors: 1,
            slice_us: None,
            devices: false,
            nic: NicModel::Virtio,
            second_nic: None,
            on_this_machine: false,
            namespace: None,
            forward: None,
            api: None,
            disk: DiskModel::Virtio,
            bad_sector: None,
            partitions: &[],
            disk_content: None,
            memory_mib: None,
            accelerator: Accelerator::Tcg,
        }
    }
}

/// A machine that is ready to be switched on.
pub struct Prepared {
    /// The machine.
    pub machine: MachineConfig,
    /// What its network card is plugged into, if it has one.
    pub lan: Option<Lan>,
    /// What its second network card is plugged into, likewise.
    pub second_lan: Option<Lan>,
}

impl Setup {
    /// How much longer everything may take on this host than on one with one processor. A busy machine keeps one emulated processor
    /// waiting while another runs on, for seconds at times: then root sees time pass in which a unikernel could not run.
    /// Where times are measured they stay as they are.
    pub fn patience(self) -> u32 {
        if self.processors > 1 && ![MEASURED, *IN_SERVICE].contains(&self.system) { 6 } else { 1 }
    }

    /// The same host, run by the fastest accelerator of this machine that can run it.
    ///
    /// # Errors
    /// When the trial cannot be prepared.
    pub fn on_fastest_accelerator(self) -> Result<Self> {
        let directory = log_directory("accelerator");
        let trial = Setup { system: PROBES, devices: false, ..self }.prepare(&directory)?;
        Ok(Setup { accelerator: kvm::fastest(&trial.machine, &directory), ..self })
    }

    /// Makes what the machine needs: its boot archive and its disk, both in `directory`, and its network.
    ///
    /// # Errors
    /// When `./x build` has not been run, or something cannot be written.
    pub fn prepare(self, directory: &Path) -> Result<Prepared> {
        fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let archive = directory.join("rvmm.archive");
        let artifacts = artifacts();
        let system = self.slice_us.map_or(self.system, |slice_us| self.system.with_slice(slice_us));
        let root_memory_mib = system.write_archive(&artifacts, &archive, self.patience())?;
        let needed = || Ok::<_, anyhow::Error>(system.memory_mib()? + XEN_MIB);
        let memory_mib = self.memory_mib.map_or_else(needed, Ok)?;
        let boot = BootFiles { archive, ..artifacts.boot_files(self.xen) };
        let mut machine = MachineConfig::new(boot)
            .memory_mib(memory_mib.max(LEAST_MIB))
            .root_memory_mib(root_memory_mib)
            .iommu(self.iommu)
            .processors(self.processors)
            .accelerator(self.accelerator);
        let (mut lan, mut second_lan) = (None, None);
        if self.devices {
            let forwards = [self.forward, self.api];
            let nic = if let Some(name) = self.namespace {
                machine = machine.namespace(name);
                Nic::tap(self.nic)
            } else if self.on_this_machine || forwards.iter().any(Option::is_some) {
                forwards.into_iter().flatten().fold(Nic::user(self.nic), Nic::forward)
            } else {
                let network = lan.insert(Lan::new()?);
                Nic::lan(self.nic, network.socket())
            };
            let file = match self.disk_content {
                None => new_disk(directory, self.partitions)?,
                Some(content) => copied_disk(directory, &artifacts.target().join("guests").join(content))?,
            };
            let disk = Disk::new(self.disk, file).bad_sector(self.bad_sector);
            machine = machine.nic(nic).disk(disk.persistent());
            if let Some(model) = self.second_nic {
                machine = machine.nic(Nic::lan(model, second_lan.insert(Lan::new()?).socket()));
            }
        }
        Ok(Prepared { machine, lan, second_lan })
    }
}

impl fmt::Display for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Setup { xen, iommu, processors, .. } = self;
        let iommu = if *iommu { "iommu" } else { "no-iommu" };
        write!(f, "xen-{xen}-{iommu}-smp-{processors}")
    }
}

/// Where the host of the test `test` leaves its logs.
pub fn log_directory(test: &str) -> PathBuf {
    artifacts().target().join("system-tests").join(test)
}

/// What `./x build` has built.
pub fn artifacts() -> Artifacts {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    Artifacts::of_workspace(tests.parent().unwrap_or(tests))
}

/// Whether anything was written to these bytes of the disk in `directory`, which was empty.
///
/// # Errors
/// When it cannot be read.
pub fn disk_is_written(directory: &Path, bytes: Range<u64>) -> Result<bool> {
    let path = disk_path(directory);
    let mut content = vec![0; (bytes.end - bytes.start) as usize];
    File::open(&path)
        .and_then(|disk| disk.read_exact_at(&mut content, bytes.start))
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(content.iter().any(|byte| *byte != 0))
}

/// Makes a disk in `directory` that is empty but for its partition table, if it has any partitions, each of which begins with
/// its name.
///
/// # Errors
/// When it cannot be written.
pub fn new_disk(directory: &Path, partitions: &[(u64, u64, &str)]) -> Result<PathBuf> {
    let path = disk_path(directory);
    let make = || {
        let file = File::create(&path)?;
        file.set_len(DISK_BYTES)?;
        if !partitions.is_empty() {
            let (head, tail) = table(DISK_BYTES / u64::from(SECTOR), partitions);
            file.write_all_at(&head, 0)?;
            file.write_all_at(&tail, DISK_BYTES - tail.len() as u64)?;
            for (first, _, name) in partitions {
                file.write_all_at(name.as_bytes(), first * u64::from(SECTOR))?;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    make().with_context(|| format!("cannot make {}", path.display()))?;
    Ok(path)
}

/// Makes a disk in `directory` with the content of another.
fn copied_disk(directory: &Path, content: &Path) -> Result<PathBuf> {
    let path = disk_path(directory);
    fs::copy(content, &path).with_context(|| format!("cannot copy {}: run ./x guests", content.display()))?;
    Ok(path)
}

/// The file in the directory of a test that is its host's disk.
pub fn disk_path(directory: &Path) -> PathBuf {
    directory.join(DISK)
}
