//! A host in QEMU on this machine: one for each folder of state.
//!
//! `up` starts this program once more, in the background, which boots the host and stays with it; `down` ends that, and the
//! emulator ends with it.

use crate::access::{Access, write_secret};
use crate::cli::{HostVerb, Run, Up};
use crate::client::Client;
use anyhow::{Context, Result, anyhow, bail};
use api::Role;
use api::types::Host as HostInfo;
use description::Archive;
use emulator::artifacts::{Artifacts, XenVersion};
use emulator::device::{Disk, DiskModel, Forward, Nic, NicModel};
use emulator::host::Host;
use emulator::kvm;
use emulator::machine::{Accelerator, MachineConfig};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use secure::Secret;
use std::env;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Where the API is on the emulated machine's network, as the system description says.
const API: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 18), 7800);

/// Pages of 4 KiB in a MiB.
const PAGES_PER_MIB: u32 = 256;

/// The secret of the host, beside the archive that holds it too.
const SECRET: &str = "image/rvmm.secret";

/// Bytes of the disk of a host whose disk is not said.
const DISK_BYTES: u64 = 256 << 20;

/// How long a host may take to be there. A busy machine is slow at emulation.
const PATIENCE: Duration = Duration::from_secs(120);

/// From one look to the next.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A host that was forgotten ends after a day.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Where everything about this machine's host stands.
#[derive(Clone, Debug)]
pub struct State {
    folder: PathBuf,
}

impl State {
    /// The folder that `RVMM_STATE` names, or else where programs keep state.
    ///
    /// # Errors
    /// The environment names no place for it.
    pub fn find() -> Result<Self> {
        if let Some(folder) = env::var_os("RVMM_STATE") {
            return Ok(Self { folder: folder.into() });
        }
        let home = || env::var_os("HOME").map(|home| Path::new(&home).join(".local/state"));
        let folder = env::var_os("XDG_STATE_HOME").map(PathBuf::from).or_else(home);
        let folder = folder.ok_or_else(|| anyhow!("neither RVMM_STATE nor HOME says where to keep state"))?;
        Ok(Self { folder: folder.join("rvmm") })
    }

    /// The file that lets this user in.
    pub fn access(&self) -> PathBuf {
        self.folder.join("access")
    }

    fn pid_file(&self) -> PathBuf {
        self.folder.join("pid")
    }

    fn secret_file(&self) -> PathBuf {
        self.folder.join("secret")
    }

    /// The process that stays with the host, if there is one: one of this program, and not another of the same number.
    fn pid(&self) -> Option<Pid> {
        let pid = Pid::from_raw(fs::read_to_string(self.pid_file()).ok()?.trim().parse().ok()?)?;
        let words = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
        let is_ours = words.split(|byte| *byte == 0).any(|word| word == b"run");
        (is_ours && test_kill_process(pid).is_ok()).then_some(pid)
    }
}

/// Does what is to be done with the host.
///
/// # Errors
/// The host cannot be had, or there is none.
pub fn carry_out(verb: &HostVerb, json: bool) -> Result<()> {
    let state = State::find()?;
    match verb {
        HostVerb::Up(options) => up(&state, options),
        HostVerb::Down => down(&state),
        HostVerb::Status => status(&state, json),
        HostVerb::Access { role } => access(&state, *role),
        HostVerb::HookKey { address } => hook_key(&state, address),
        HostVerb::Run(options) => run(&state, options),
    }
}

fn up(state: &State, options: &Up) -> Result<()> {
    if state.pid().is_some() {
        bail!("a host runs already: `rvmm host down` ends it");
    }
    fs::create_dir_all(&state.folder).with_context(|| state.folder.display().to_string())?;
    let path = options.target.join(SECRET);
    let text = fs::read_to_string(&path).with_context(|| format!("{}: run ./x build", path.display()))?;
    let secret: Secret = text.trim().parse().with_context(|| path.display().to_string())?;
    let port = match options.port {
        Some(port) => port,
        None => TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port(),
    };
    let access = Access::of(format!("127.0.0.1:{port}"), &secret, Role::Admin);
    write_secret(&state.access(), &format!("{access}\n"))?;
    write_secret(&state.secret_file(), &format!("{secret}\n"))?;
    let log = File::create(state.folder.join("log"))?;
    let mut command = Command::new(env::current_exe()?);
    command.args(["host", "run", "--port", &port.to_string(), "--xen", &options.xen]);
    command.args(["--memory", &options.memory.to_string()]);
    command.arg("--target").arg(fs::canonicalize(&options.target)?).env("RVMM_STATE", &state.folder);
    command.arg("--disk").arg(disk(state, options)?);
    for Forward { here, there } in &options.forward {
        command.arg("--forward").arg(format!("{here}:{there}"));
    }
    if options.kvm {
        command.arg("--kvm");
    }
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).process_group(0);
    let mut child = command.spawn()?;
    fs::write(state.pid_file(), child.id().to_string())?;
    eprintln!("booting; the API comes to {}", access.address);
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(ended) = child.try_wait()? {
            let log = fs::read_to_string(state.folder.join("log")).unwrap_or_default();
            bail!("the host has ended ({ended}): {}", log.trim());
        }
        match Client::new(access.clone()).get::<HostInfo>("/v1/host") {
            Ok(host) => {
                eprintln!("up: Xen {}, {} MiB free", host.xen, host.free_kib / 1024);
                return Ok(());
            }
            Err(error) if Instant::now() >= until => {
                down(state)?;
                return Err(error).context("the host does not come up");
            }
            Err(_) => sleep(LOOK_EVERY),
        }
    }
}

/// The file that is the host's disk: an empty one, which takes no room until it is written, unless another is named.
fn disk(state: &State, options: &Up) -> Result<PathBuf> {
    if let Some(file) = &options.disk {
        return fs::canonicalize(file).with_context(|| file.display().to_string());
    }
    let file = state.folder.join("disk");
    if !file.exists() {
        File::create(&file)?.set_len(DISK_BYTES)?;
    }
    Ok(file)
}

fn down(state: &State) -> Result<()> {
    let Some(pid) = state.pid() else { bail!("no host runs") };
    kill_process(pid, Signal::TERM)?;
    while state.pid().is_some() {
        sleep(LOOK_EVERY);
    }
    fs::remove_file(state.pid_file())?;
    Ok(())
}

fn status(state: &State, json: bool) -> Result<()> {
    let runs = state.pid().is_some();
    let text = fs::read_to_string(state.access()).unwrap_or_default();
    let access = text.parse::<Access>().ok().filter(|_| runs);
    let host =
        access.as_ref().and_then(|access| Client::new(access.clone()).get::<HostInfo>("/v1/host").ok());
    let address = access.map(|access| access.address);
    if json {
        println!("{}", serde_json::json!({ "runs": runs, "address": address, "host": host }));
        return Ok(());
    }
    match (address, host) {
        (None, _) => println!("no host runs"),
        (Some(address), None) => println!("a host runs, and its API at {address} does not answer"),
        (Some(address), Some(host)) => {
            println!(
                "a host runs: Xen {}, up for {} s, its API at {address}",
                host.xen,
                host.uptime_us / 1_000_000
            );
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

fn secret(state: &State) -> Result<Secret> {
    Ok(read(&state.secret_file())?.trim().parse()?)
}

fn access(state: &State, role: Role) -> Result<()> {
    let own: Access = read(&state.access())?.parse()?;
    println!("{}", Access::of(own.address, &secret(state)?, role));
    Ok(())
}

fn hook_key(state: &State, address: &str) -> Result<()> {
    let address = hooks::Address::read(address).with_context(|| address.to_owned())?;
    println!("{}", secret(state)?.signing_key(address.text));
    Ok(())
}

/// Boots the host and stays with it.
fn run(state: &State, Run { up }: &Run) -> Result<()> {
    let xen: XenVersion =
        up.xen.parse().map_err(|_| anyhow!("{} is no version of Xen that there is", up.xen))?;
    let forward = Forward { here: up.port.ok_or_else(|| anyhow!("a port is needed"))?, there: API };
    let files = Artifacts::in_target(&up.target).boot_files(xen);
    let archive = fs::read(&files.archive).with_context(|| files.archive.display().to_string())?;
    let description = Archive::parse(&archive).and_then(|archive| archive.description());
    let description = description.map_err(|error| anyhow!("{}: {error}", files.archive.display()))?;
    let config = MachineConfig::new(files)
        .memory_mib(up.memory)
        .root_memory_mib(description.host.memory_pages / PAGES_PER_MIB)
        .nic(up.forward.iter().copied().fold(Nic::user(NicModel::Virtio).forward(forward), Nic::forward));
    let config = match &up.disk {
        Some(file) => config.disk(Disk::new(DiskModel::Virtio, file).persistent()),
        None => config,
    };
    let folder = state.folder.join("host");
    let accelerator = if up.kvm { kvm::fastest(&config, &folder) } else { Accelerator::Tcg };
    println!("booting with {accelerator}");
    let host = Host::switch_on(&config.accelerator(accelerator), &folder, LIFETIME)?;
    while host.is_on() {
        sleep(LOOK_EVERY);
    }
    bail!("the machine is off; its console is in {}", folder.join("console.log").display())
}
