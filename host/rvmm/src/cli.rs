//! What can be typed.

use api::Role;
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use emulator::device::Forward;
use std::path::PathBuf;

/// What is said at the end of the help, and in the manual page.
const AFTER: &str = "\
Exit status: 0 if it is done; 1 if the host says no; 2 if the words make no sense; 3 if the host cannot be reached, is not the one \
that is meant, or does not let you; 4 if this verb of xl's is not there yet; 5 if the connection broke before the host had said whether \
it is done.";

/// Runs an R-VMM host, and is to it what xl is to Xen.
#[derive(Debug, Parser)]
#[command(name = "rvmm", version, after_help = AFTER, after_long_help = AFTER)]
pub struct Cli {
    /// The file that says where the host is and lets you in; the host of `rvmm host up` if nothing is said
    #[arg(long, env = "RVMM_ACCESS", global = true)]
    pub access: Option<PathBuf>,
    /// Print JSON, as the API has it
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// A host in QEMU on this machine
    #[command(subcommand)]
    Host(HostVerb),
    /// List virtual machines
    #[command(alias = "ls")]
    List {
        /// Only this one, by name or domain
        domain: Option<String>,
    },
    /// Show what the host has
    Info,
    /// Show the domain's number
    Domid {
        /// Its name
        domain: String,
    },
    /// Show the domain's name
    Domname {
        /// Its number
        domid: u16,
    },
    /// Make a virtual machine from a configuration
    Create {
        /// The file, as in xl.cfg(5); its kernel is a guest of the system description
        config: PathBuf,
        /// Settings that come behind those of the file, such as 'memory = 256'
        settings: Vec<String>,
        /// Show its console then
        #[arg(short = 'c')]
        console: bool,
    },
    /// Show what a guest writes to its console
    Console {
        /// Its name or domain
        domain: String,
        /// Show what is kept, and end
        #[arg(long)]
        once: bool,
        /// Type this line first
        #[arg(long = "type", value_name = "LINE")]
        line: Option<String>,
    },
    /// Stop a guest's vCPUs
    Pause {
        /// Its name or domain
        domain: String,
    },
    /// Let them go on
    Unpause {
        /// Its name or domain
        domain: String,
    },
    /// Ask a guest to shut down
    Shutdown(Stop),
    /// Ask a guest to reboot
    Reboot(Stop),
    /// Take a virtual machine away at once
    Destroy {
        /// Its name or domain
        domain: String,
    },
    /// Show the vCPUs of virtual machines
    VcpuList {
        /// Of these; of all if nothing is said
        domains: Vec<String>,
    },
    /// Show the network interfaces of virtual machines
    NetworkList {
        /// Of these
        #[arg(required = true)]
        domains: Vec<String>,
    },
    /// Give a guest a network interface
    NetworkAttach {
        /// Its name or domain
        domain: String,
        /// What it is like, such as bridge=xenbr0
        options: Vec<String>,
    },
    /// Take a network interface away from a guest
    NetworkDetach {
        /// Its name or domain
        domain: String,
        /// The interface's number or address
        device: String,
    },
    /// Show the disks of virtual machines
    BlockList {
        /// Of these
        #[arg(required = true)]
        domains: Vec<String>,
    },
    /// Give a guest a disk
    BlockAttach {
        /// Its name or domain
        domain: String,
        /// What it is like, such as disk0/p1,,xvdb,rw
        #[arg(required = true)]
        options: Vec<String>,
    },
    /// Take a disk away from a guest
    BlockDetach {
        /// Its name or domain
        domain: String,
        /// The disk's number, or what the guest calls it
        device: String,
    },
    /// Have a guest's kernel do what it does for a key together with SysRq
    Sysrq {
        /// Its name or domain
        domain: String,
        /// The key
        key: char,
    },
    /// Show components, repairs and guests until q is pressed
    Top {
        /// Seconds from one look to the next
        #[arg(short, long, default_value_t = 1)]
        delay: u64,
    },
    /// Show the host's messages: the lines of the event log, tagged SD
    Dmesg,
    /// The unikernels that the host runs on
    #[command(subcommand)]
    Component(ComponentVerb),
    /// The volumes on the host's disks
    #[command(subcommand, visible_alias = "vol")]
    Volume(VolumeVerb),
    /// Show the event log
    Events {
        /// The number of the first line
        #[arg(long, default_value_t = 1)]
        from: u64,
        /// Go on with what happens from now on
        #[arg(long, short)]
        follow: bool,
    },
    /// Show figures, in Prometheus' text format
    Metrics,
    /// Print a script that completes these commands
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Print the manual page
    Man,
    /// Another verb of xl's, which is not there yet
    #[command(external_subcommand)]
    Other(Vec<String>),
}

/// How a guest is asked to stop.
#[derive(Args, Debug)]
pub struct Stop {
    /// Its name or domain
    pub domain: String,
    /// Wait until it has
    #[arg(short)]
    pub wait: bool,
    /// Seconds that it has; then it is destroyed
    #[arg(long, default_value_t = 60)]
    pub seconds: u64,
}

/// A host in QEMU.
#[derive(Debug, Subcommand)]
pub enum HostVerb {
    /// Boot it, from what ./x build has built
    Up(Up),
    /// Switch it off
    Down,
    /// Show whether it runs
    Status,
    /// Print what lets somebody else in
    Access {
        /// As what
        #[arg(long, default_value = "viewer")]
        role: Role,
    },
    /// Print the key that a receiver of notifications knows the host by
    HookKey {
        /// The receiver's address, as the system description has it
        address: String,
    },
    /// Run it until it is ended
    #[command(hide = true)]
    Run(Run),
}

/// The host to boot.
#[derive(Args, Debug, Clone)]
pub struct Up {
    /// The directory that ./x build builds in
    #[arg(long, env = "RVMM_TARGET", default_value = "target")]
    pub target: PathBuf,
    /// Version of Xen: 4.17 or 4.20
    #[arg(long, default_value = "4.17")]
    pub xen: String,
    /// Memory in MiB
    #[arg(long, default_value_t = 1024)]
    pub memory: u32,
    /// The API's port on this machine; any that is free if nothing is said
    #[arg(long)]
    pub port: Option<u16>,
    /// The file that is its disk; one of 256 MiB in the state's folder if nothing is said
    #[arg(long)]
    pub disk: Option<PathBuf>,
    /// A port of this machine that leads to a guest's, such as 8080:10.0.2.16:80
    #[arg(long, value_name = "PORT:ADDRESS:PORT")]
    pub forward: Vec<Forward>,
    /// Use KVM, if a trial shows that Xen boots with it
    #[arg(long)]
    pub kvm: bool,
}

/// A host that is run.
#[derive(Args, Debug)]
pub struct Run {
    /// What it is
    #[command(flatten)]
    pub up: Up,
}

/// Volumes.
#[derive(Debug, Subcommand)]
pub enum VolumeVerb {
    /// Show all of them, and who uses them
    #[command(visible_alias = "ls")]
    List,
    /// Write a file to a volume that nobody uses; what is there already is not sent again
    Upload {
        /// The file: the bytes of the disk, as they are
        file: PathBuf,
        /// The volume's name, such as disk0/p2
        volume: String,
    },
}

/// Components.
#[derive(Debug, Subcommand)]
pub enum ComponentVerb {
    /// Show all of them
    List,
    /// Restart one
    Restart {
        /// Which
        name: String,
        /// How: micro-reboot, rebuild, cascade, control-plane
        #[arg(default_value = "micro-reboot")]
        rung: String,
    },
    /// Try one again that was given up
    Release {
        /// Which
        name: String,
    },
    /// Make one fail, where the system description allows it
    Crash {
        /// Which
        name: String,
        /// How: ud2, null-store, tight-loop ...
        #[arg(default_value = "ud2")]
        fault: String,
        /// What the fault needs to know
        #[arg(default_value_t = 0)]
        argument: u64,
    },
}
