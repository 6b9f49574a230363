//! What the emulated machine has, and the QEMU command line that makes it so.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use strum::Display;

use crate::device::{Disk, Nic};
use crate::{hardware, qemu};

/// MiB of memory of a machine unless told otherwise.
const DEFAULT_MEMORY_MIB: u32 = 512;

/// MiB of Xen's memory that root gets unless told otherwise.
const DEFAULT_ROOT_MEMORY_MIB: u32 = 16;

/// How QEMU runs the machine's code.
#[derive(Clone, Copy, Debug, Default, Display, Eq, PartialEq)]
pub enum Accelerator {
    /// In software: works everywhere.
    #[default]
    #[strum(serialize = "TCG")]
    Tcg,
    /// With the processor's help. `/dev/kvm` may be there and still be unable to run Xen:
    /// only to be used after [`crate::kvm::fastest`] has seen that it can.
    #[strum(serialize = "KVM")]
    Kvm,
}

/// What the machine boots: Xen, root, and the one module that Xen hands root.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BootFiles {
    /// Xen, not compressed.
    pub xen: PathBuf,
    /// Root's ELF image.
    pub root: PathBuf,
    /// The boot archive: system description and unikernel images.
    pub archive: PathBuf,
}

impl BootFiles {
    /// The files with the names under which [`MachineConfig::arguments`] gives them to QEMU.
    pub(crate) fn named(&self) -> [(&'static str, &Path); 3] {
        [("xen", &self.xen), ("root", &self.root), ("archive", &self.archive)]
    }
}

/// A machine.
#[derive(Clone, Debug)]
pub struct MachineConfig {
    pub(crate) boot: BootFiles,
    accelerator: Accelerator,
    processors: u32,
    slice_us: Option<u32>,
    memory_mib: u32,
    root_memory_mib: u32,
    linux: bool,
    iommu: bool,
    nics: Vec<Nic>,
    disks: Vec<Disk>,
    namespace: Option<String>,
}

impl MachineConfig {
    /// A machine with one processor, an IOMMU and no devices that boots `boot`.
    pub fn new(boot: BootFiles) -> Self {
        MachineConfig {
            boot,
            accelerator: Accelerator::default(),
            processors: 1,
            slice_us: None,
            memory_mib: DEFAULT_MEMORY_MIB,
            root_memory_mib: DEFAULT_ROOT_MEMORY_MIB,
            linux: false,
            iommu: true,
            nics: Vec::new(),
            disks: Vec::new(),
            namespace: None,
        }
    }

    /// With Linux in root's place, which has the archive as its ramdisk: what other hosts are like.
    pub fn with_linux(self) -> Self {
        MachineConfig { linux: true, ..self }
    }

    /// Run by `accelerator`.
    pub fn accelerator(self, accelerator: Accelerator) -> Self {
        MachineConfig { accelerator, ..self }
    }

    /// With this many processors.
    pub fn processors(self, processors: u32) -> Self {
        MachineConfig { processors, ..self }
    }

    /// With a domain running for so many microseconds, if it has work, before Xen lets another take the processor away; for as long as
    /// Xen thinks best if nothing is said.
    pub fn slice_us(self, slice_us: Option<u32>) -> Self {
        MachineConfig { slice_us, ..self }
    }

    /// With this much memory, in MiB.
    pub fn memory_mib(self, memory_mib: u32) -> Self {
        MachineConfig { memory_mib, ..self }
    }

    /// With this much of the memory for root, in MiB.
    pub fn root_memory_mib(self, root_memory_mib: u32) -> Self {
        MachineConfig { root_memory_mib, ..self }
    }

    /// With Intel's IOMMU (VT-d) or without one.
    pub fn iommu(self, iommu: bool) -> Self {
        MachineConfig { iommu, ..self }
    }

    /// With one more network card.
    pub fn nic(mut self, nic: Nic) -> Self {
        self.nics.push(nic);
        self
    }

    /// With one more disk.
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// Run in the network namespace of this name.
    pub fn namespace(self, name: impl Into<String>) -> Self {
        MachineConfig { namespace: Some(name.into()), ..self }
    }

    /// What QEMU is started through, and QEMU itself.
    pub(crate) fn program(&self) -> Vec<&str> {
        let through = self.namespace.as_deref().map(|name| ["ip", "netns", "exec", name]);
        through.into_iter().flatten().chain([qemu::PROGRAM]).collect()
    }

    /// What Xen is told. (`sync_console` would add a countdown of 3 s.) Root uses two vCPUs: itself and the watcher that wakes
    /// it from a loop with events masked.
    fn xen_options(&self) -> String {
        let memory = self.root_memory_mib;
        let dom0 = if self.linux {
            format!("dom0_mem={memory}M,max:{memory}M dom0_max_vcpus=1")
        } else {
            format!("loglvl=all guest_loglvl=all dom0_mem={memory}M dom0_max_vcpus=2")
        };
        let slice = self.slice_us.map(|slice_us| format!(" sched_ratelimit_us={slice_us}"));
        format!("console=com1 com1=115200,8n1 {dom0}{}", slice.unwrap_or_default())
    }

    /// What Xen boots as domain 0, with its module.
    fn modules(&self) -> &'static str {
        if self.linux { "root console=hvc0 loglevel=4,archive" } else { "root,archive" }
    }

    /// QEMU's arguments, to be used in a directory where the boot files have their short names: QEMU splits the list of boot
    /// modules at spaces and commas, so paths of any kind cannot be in it.
    pub(crate) fn arguments(&self) -> Vec<OsString> {
        let mut arguments = Arguments::default();
        let (machine, accelerator, cpu) = match self.accelerator {
            // Interrupt remapping needs the interrupt controllers to be emulated by QEMU itself.
            Accelerator::Tcg => ("q35,kernel-irqchip=off", "tcg", "qemu64"),
            Accelerator::Kvm => ("q35,kernel-irqchip=split", "kvm", "host"),
        };
        arguments.option("-machine", machine);
        arguments.option("-accel", accelerator);
        arguments.option("-cpu", cpu);
        arguments.option("-smp", self.processors.to_string());
        arguments.option("-m", self.memory_mib.to_string());
        arguments.option("-display", "none");
        arguments.option("-vga", "none");
        arguments.option("-nic", "none");
        arguments.option("-monitor", "none");
        arguments.option("-qmp", hardware::option());
        arguments.option("-serial", "stdio");
        arguments.0.push("-no-reboot".into());
        arguments.option("-kernel", "xen");
        arguments.option("-append", self.xen_options());
        arguments.option("-initrd", self.modules());
        if self.iommu {
            arguments.option("-device", "intel-iommu,intremap=on");
        }
        for (number, nic) in self.nics.iter().enumerate() {
            let port = arguments.root_port(number);
            arguments.option("-netdev", nic.backend(&format!("nic{number}")));
            arguments.option("-device", nic.device(&format!("nic{number}"), &port, self.iommu));
        }
        for (number, disk) in self.disks.iter().enumerate() {
            let port = arguments.root_port(self.nics.len() + number);
            arguments.option("-drive", disk.backend(&format!("disk{number}")));
            arguments.option("-device", disk.device(&format!("disk{number}"), &port, self.iommu));
        }
        arguments.0
    }
}

/// A command line that grows.
#[derive(Default)]
struct Arguments(Vec<OsString>);

impl Arguments {
    fn option(&mut self, name: &str, value: impl Into<OsString>) {
        self.0.push(name.into());
        self.0.push(value.into());
    }

    /// Adds a PCIe root port and returns its name. Behind one a virtio device has a PCIe capability and function-level reset.
    fn root_port(&mut self, number: usize) -> String {
        let name = format!("port{number}");
        self.option("-device", format!("pcie-root-port,id={name},chassis={},slot={number}", number + 1));
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{DiskModel, NicModel};

    fn files() -> BootFiles {
        BootFiles { xen: "x".into(), root: "r".into(), archive: "a".into() }
    }

    fn line(config: &MachineConfig) -> String {
        let words: Vec<_> = config.arguments().into_iter().map(|word| word.into_string().unwrap()).collect();
        words.join(" ")
    }

    #[test]
    fn the_plain_machine_has_an_iommu_and_no_device() {
        let line = line(&MachineConfig::new(files()));
        assert!(line.contains("-accel tcg -cpu qemu64 -smp 1 -m 512"), "{line}");
        assert!(line.contains("dom0_mem=16M"), "{line}");
        assert!(line.ends_with("-initrd root,archive -device intel-iommu,intremap=on"), "{line}");
    }

    #[test]
    fn xen_decides_how_long_a_domain_runs_unless_it_is_told() {
        let config = MachineConfig::new(files());
        assert!(!line(&config).contains("sched_ratelimit_us"));
        assert!(line(&config.slice_us(Some(5000))).contains("dom0_max_vcpus=2 sched_ratelimit_us=5000 "));
    }

    #[test]
    fn the_iommu_comes_before_what_is_behind_it() {
        let config = MachineConfig::new(files())
            .processors(2)
            .nic(Nic::lan(NicModel::Virtio, "/run/lan"))
            .disk(Disk::new(DiskModel::Nvme, "/disks/a,b"));
        let line = line(&config);
        let at = |what: &str| line.find(what).unwrap_or_else(|| panic!("no {what:?} in {line}"));
        assert!(at("intel-iommu") < at("virtio-net-pci"));
        assert!(at("pcie-root-port,id=port0") < at("bus=port0"));
        assert!(at("pcie-root-port,id=port1") < at("bus=port1"));
        assert!(line.contains("file=/disks/a,,b,"), "{line}");
    }

    #[test]
    fn a_linux_is_told_where_its_console_is() {
        let line = line(&MachineConfig::new(files()).with_linux().root_memory_mib(768));
        assert!(line.contains("dom0_mem=768M,max:768M"), "{line}");
        assert!(line.contains("-initrd root console=hvc0 loglevel=4,archive"), "{line}");
    }

    #[test]
    fn without_an_iommu_virtio_is_not_told_of_one() {
        let config = MachineConfig::new(files()).iommu(false).nic(Nic::user(NicModel::Virtio));
        let line = line(&config);
        assert!(!line.contains("iommu"), "{line}");
    }
}
