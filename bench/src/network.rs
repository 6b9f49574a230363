//! The hosts whose networks are measured: ours, and one with Linux's backend in a Linux dom0. Both have the same emulated card on QEMU's
//! own network, and two guests of the same kernel and ramdisk, which do what they are told.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use emulator::command::Command;
use emulator::device::{Forward, Nic, NicModel};
use emulator::fields::Fields;
use emulator::host::Host;
use emulator::machine::MachineConfig;
use emulator::vanilla::Vanilla;
use guest_net::order::{Figures, Order, Wire};
use rvmm_tests::Setup;
use rvmm_tests::guest::Guest;
use rvmm_tests::network::{NET, Network};
use rvmm_tests::setup::{artifacts, log_directory};
use rvmm_tests::system::System;

/// The guests' addresses on QEMU's own network.
pub const GUESTS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 0, 2, 16), Ipv4Addr::new(10, 0, 2, 17)];

/// How our host's unikernel is set up: on that network, and patient where nothing fails.
pub const NETWORK: Network<'static> = Network { address: "10.0.2.15/24", ..Network::PATIENT };

/// Their names.
const NAMES: [&str; 2] = ["guest0", "guest1"];

/// Where they find this machine.
pub const HERE: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// The port at which the first guest serves whoever comes from this machine.
pub const SERVED: u16 = 80;

/// How long a host may run, whatever happens.
const LIFETIME: Duration = Duration::from_secs(3600);

/// MiB of the machines, of the Linux dom0, and of a guest.
const MACHINE_MIB: u32 = 1536;
const DOM0_MIB: u32 = 512;
const GUEST_MIB: u32 = 128;

/// A host with its guests.
pub struct Site {
    host: Kind,
    guests: Vec<Wire>,
    /// Where this machine reaches the first guest's server.
    pub served: SocketAddrV4,
}

enum Kind {
    Ours(Host),
    Theirs(Vanilla),
}

/// What is there before a host is: where its guests call, and its card.
struct Ground {
    calls: Vec<TcpListener>,
    nic: Nic,
    served: SocketAddrV4,
}

impl Ground {
    fn new() -> Result<Self> {
        let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let calls = GUESTS.iter().map(|_| listen()).collect::<Result<_, _>>()?;
        // Free now, and not taken by anybody for as long as it takes to start the emulator.
        let here = listen()?.local_addr()?.port();
        let forward = Forward { here, there: SocketAddrV4::new(GUESTS[0], SERVED) };
        let nic = Nic::user(NicModel::Virtio).forward(forward);
        Ok(Self { calls, nic, served: SocketAddrV4::new(Ipv4Addr::LOCALHOST, here) })
    }

    /// What the guests are told on their command lines.
    fn jobs(&self) -> Result<Vec<String>> {
        let job = |(call, address): (&TcpListener, &Ipv4Addr)| {
            let port = call.local_addr()?.port();
            Ok(format!("address={address}/24 job=obey peer={HERE} port={port}"))
        };
        self.calls.iter().zip(&GUESTS).map(job).collect()
    }

    /// Waits until the guests of `host` have called.
    fn populate(self, host: Kind) -> Result<Site> {
        let call = |listener: &TcpListener| Wire::new(listener.accept()?.0);
        let guests = self.calls.iter().map(call).collect::<Result<_>>()?;
        Ok(Site { host, guests, served: self.served })
    }
}

impl Site {
    /// Boots our host, which serves two guests as `system` does.
    ///
    /// # Errors
    /// When it or its guests do not come up.
    pub fn ours(setup: Setup, system: System) -> Result<Self> {
        let ground = Ground::new()?;
        let guest = |(name, job): (&'static str, &String)| {
            let guest = Guest::new(name).of("bookworm-net").memory_mib(GUEST_MIB);
            guest.does(format_args!("task=net {job}")).with("vif = ['bridge=xenbr0']")
        };
        let guests: Vec<Guest> = NAMES.into_iter().zip(&ground.jobs()?).map(guest).collect();
        let system = system.starting(&guests);
        let directory = log_directory("bench-net");
        let prepared = Setup { system, ..setup }.prepare(&directory)?;
        let machine = prepared.machine.memory_mib(MACHINE_MIB).nic(ground.nic.clone());
        let host = Host::boot(&machine, &directory, LIFETIME)?;
        ground.populate(Kind::Ours(host)).with_context(|| format!("see {}", directory.display()))
    }

    /// Boots the host with a Linux dom0.
    ///
    /// # Errors
    /// When it or its guests do not come up.
    pub fn theirs(setup: Setup) -> Result<Self> {
        let ground = Ground::new()?;
        let machine = MachineConfig::new(artifacts().vanilla_files())
            .memory_mib(MACHINE_MIB)
            .root_memory_mib(DOM0_MIB)
            .iommu(setup.iommu)
            .processors(setup.processors)
            .slice_us(setup.slice_us)
            .accelerator(setup.accelerator)
            .nic(ground.nic.clone());
        let mut host = Vanilla::boot(machine, &log_directory("bench-net-vanilla"), LIFETIME)?;
        for (number, (name, job)) in NAMES.into_iter().zip(ground.jobs()?).enumerate() {
            let config = [
                format!("name='{name}'"),
                "type='pv'".to_owned(),
                "kernel='/guest/vmlinuz'".to_owned(),
                "ramdisk='/guest/initrd-net'".to_owned(),
                format!("cmdline='console=hvc0 task=net {job}'"),
                format!("memory={GUEST_MIB}"),
                format!("vif=['mac=00:16:3e:00:01:0{number},bridge=xenbr0']"),
            ];
            // Line by line: the serial line takes no more at a time.
            let lines = config.map(|line| format!("echo \"{line}\">>/{name}"));
            for command in lines.into_iter().chain([format!("xl create /{name}")]) {
                let outcome = host.run(&command)?;
                ensure!(outcome.status == 0, "{command} has failed in dom0: {}", outcome.lines.join("; "));
            }
        }
        ground.populate(Kind::Theirs(host))
    }

    /// Our host, if it is that.
    pub fn host(&mut self) -> Option<&mut Host> {
        match &mut self.host {
            Kind::Ours(host) => Some(host),
            Kind::Theirs(_) => None,
        }
    }

    /// Has a guest do something, and waits until it is done.
    ///
    /// # Errors
    /// When it could not, or is gone.
    pub fn order(&mut self, guest: usize, order: &Order) -> Result<Figures> {
        self.guests[guest].order(order)
    }

    /// The processor's time that the backends' domain has had, in microseconds. The Linux dom0 tells tenths of a second.
    ///
    /// # Errors
    /// When the host does not say.
    pub fn backend_cpu_us(&mut self) -> Result<u64> {
        match &mut self.host {
            Kind::Ours(host) => {
                let answer = host.command(&Command::Status)?;
                let line = answer.lines.iter().find_map(|line| line.strip_prefix(NET)?.strip_prefix(' '));
                let fields: Fields = line.context("there is no unikernel of the network")?.parse()?;
                fields.get_as("cpu_us").context("root does not say how much time it had")
            }
            Kind::Theirs(host) => {
                let outcome = host.run("xl list Domain-0 | tail -n 1")?;
                let seconds = outcome.lines.iter().find_map(|line| {
                    let line = line.strip_prefix("Domain-0")?;
                    line.split_whitespace().last()?.parse::<f64>().ok()
                });
                Ok((seconds.context("dom0 does not say how much time it had")? * 1e6) as u64)
            }
        }
    }
}
