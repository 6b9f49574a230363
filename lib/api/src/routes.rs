//! The one table of what can be asked for. Who serves the API matches over [`Operation`]; roles, paths and the OpenAPI description
//! come from the table.

use crate::http::{Method, Request};
use crate::limits::{MAX_BODY, MAX_CONTENT};
use crate::problem::{Problem, Status};
use crate::role::Role;
use alloc::format;
use alloc::string::{String, ToString};
use percent_encoding::percent_decode_str;

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// About the host.
    Host,
    /// All VMs.
    ListVms,
    /// A new VM.
    CreateVm,
    /// One VM.
    Vm,
    /// A VM goes at once.
    DestroyVm,
    /// A VM's guest is asked to shut down.
    ShutdownVm,
    /// A VM's guest is asked to reboot.
    RebootVm,
    /// A VM's vCPUs stop.
    PauseVm,
    /// They go on.
    UnpauseVm,
    /// A VM's vCPUs.
    Vcpus,
    /// A VM's network interfaces and disks.
    Devices,
    /// A VM gets a network interface.
    AttachVif,
    /// It loses one.
    DetachVif,
    /// A VM gets a disk.
    AttachDisk,
    /// It loses one.
    DetachDisk,
    /// A key together with SysRq.
    Sysrq,
    /// What a guest has written.
    ReadConsole,
    /// A guest is written to.
    WriteConsole,
    /// All volumes.
    ListVolumes,
    /// A part of a volume gets new content.
    WriteVolume,
    /// The checksum of a part of a volume.
    VolumeDigest,
    /// A volume is as it should be.
    FinishVolume,
    /// All components.
    ListComponents,
    /// A component is restarted.
    RestartComponent,
    /// A component that was given up is tried again.
    ReleaseComponent,
    /// A component is made to fail.
    InjectFault,
    /// The event log.
    Events,
    /// Figures.
    Metrics,
}

/// What a parameter of a query is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A number.
    Number,
    /// A word.
    Word,
}

/// A parameter of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it means, and what holds where it is left out.
    pub about: &'static str,
}

/// What a body is: by its media type, and the name of its type in the description where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// There is none.
    None,
    /// JSON of this type.
    Json(&'static str),
    /// Text.
    Text,
    /// Bytes.
    Bytes,
}

impl Body {
    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Json(_) => "application/json",
            Self::Text => "text/plain",
            Self::Bytes => "application/octet-stream",
        }
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// What is asked for.
    pub operation: Operation,
    /// Its name in the description.
    pub id: &'static str,
    /// The method.
    pub method: Method,
    /// The path; `{name}` stands for any one name.
    pub path: &'static str,
    /// Who may ask for it: this role and those above.
    pub role: Role,
    /// What it does.
    pub about: &'static str,
    /// What can be said in the query.
    pub query: &'static [Parameter],
    /// What is sent.
    pub request: Body,
    /// What comes back, if nothing is wrong.
    pub answer: Body,
    /// And with which status.
    pub status: Status,
}

/// The only place that may stand in a path for a name.
const NAME: &str = "{name}";

const SECONDS: Parameter = Parameter {
    name: "seconds",
    kind: Kind::Number,
    about: "How long the guest has; then it is destroyed. 60 if nothing is said.",
};
const FROM: Parameter = number("from", "The first byte. 0 if nothing is said.");
const WAIT: Parameter = Parameter {
    name: "wait",
    kind: Kind::Number,
    about: "For how many seconds to wait for something new if there is nothing; at most 20. 0 if nothing is said.",
};

macro_rules! routes {
    ($($operation:ident $id:literal $method:ident $path:literal $role:ident, $request:expr => $status:ident $answer:expr,
       [$($query:expr),*] $about:literal;)*) => {
        /// The table.
        pub const ROUTES: &[Route] = &[$(Route {
            operation: Operation::$operation,
            id: $id,
            method: Method::$method,
            path: $path,
            role: Role::$role,
            about: $about,
            query: &[$($query),*],
            request: $request,
            answer: $answer,
            status: Status::$status,
        }),*];
    };
}

const fn number(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Number, about }
}

const fn word(name: &'static str, about: &'static str) -> Parameter {
    Parameter { name, kind: Kind::Word, about }
}

routes! {
    Host "host" Get "/v1/host" Viewer, Body::None => Ok Body::Json("Host"), []
        "What the host has and has left.";
    ListVms "listVms" Get "/v1/vms" Viewer, Body::None => Ok Body::Json("Vms"), []
        "All virtual machines.";
    CreateVm "createVm" Post "/v1/vms" Operator, Body::Text => Created Body::Json("Vm"), []
        "Makes a virtual machine. The body is an xl.cfg; kernel and ramdisk are those of a guest of the system description.";
    Vm "vm" Get "/v1/vms/{name}" Viewer, Body::None => Ok Body::Json("Vm"), []
        "One virtual machine.";
    DestroyVm "destroyVm" Delete "/v1/vms/{name}" Operator, Body::None => Accepted Body::Json("Done"), []
        "Takes a virtual machine away at once.";
    ShutdownVm "shutdownVm" Post "/v1/vms/{name}/shutdown" Operator, Body::None => Accepted Body::Json("Done"), [SECONDS]
        "Asks the guest to shut down.";
    RebootVm "rebootVm" Post "/v1/vms/{name}/reboot" Operator, Body::None => Accepted Body::Json("Done"), [SECONDS]
        "Asks the guest to reboot.";
    PauseVm "pauseVm" Post "/v1/vms/{name}/pause" Operator, Body::None => Ok Body::Json("Done"), []
        "Stops its vCPUs.";
    UnpauseVm "unpauseVm" Post "/v1/vms/{name}/unpause" Operator, Body::None => Ok Body::Json("Done"), []
        "Lets its vCPUs go on.";
    Vcpus "vcpus" Get "/v1/vms/{name}/vcpus" Viewer, Body::None => Ok Body::Json("Vcpus"), []
        "Its vCPUs.";
    Devices "devices" Get "/v1/vms/{name}/devices" Viewer, Body::None => Ok Body::Json("Devices"), []
        "Its network interfaces and disks.";
    AttachVif "attachVif" Post "/v1/vms/{name}/vifs" Operator, Body::Text => Accepted Body::Json("Done"), []
        "Gives it a network interface: the body is a value of `vif` in an xl.cfg.";
    DetachVif "detachVif" Delete "/v1/vms/{name}/vifs" Operator, Body::None => Accepted Body::Json("Done"),
        [number("id", "Which.")]
        "Takes a network interface away from it.";
    AttachDisk "attachDisk" Post "/v1/vms/{name}/disks" Operator, Body::Text => Accepted Body::Json("Done"), []
        "Gives it a disk: the body is a value of `disk` in an xl.cfg.";
    DetachDisk "detachDisk" Delete "/v1/vms/{name}/disks" Operator, Body::None => Accepted Body::Json("Done"),
        [word("vdev", "Which, as the guest calls it: xvda, for instance.")]
        "Takes a disk away from it.";
    Sysrq "sysrq" Post "/v1/vms/{name}/sysrq" Operator, Body::None => Ok Body::Json("Done"),
        [word("key", "The key: one character.")]
        "Has the guest's kernel do what it does for a key together with SysRq.";
    ReadConsole "readConsole" Get "/v1/vms/{name}/console" Viewer, Body::None => Ok Body::Json("Console"),
        [number("from", "The position of the first byte. 0, the earliest that is kept, if nothing is said."), WAIT]
        "What the guest has written to its console, as far as it is kept.";
    WriteConsole "writeConsole" Post "/v1/vms/{name}/console" Operator, Body::Bytes => Ok Body::Json("Done"), []
        "Types a line into the guest's console: the body is the line, without its end.";
    ListVolumes "listVolumes" Get "/v1/volumes" Viewer, Body::None => Ok Body::Json("Volumes"),
        [number("from", "The place of the first in the list of all. 0 if nothing is said.")]
        "The volumes on the host's disks, and who uses them.";
    WriteVolume "writeVolume" Put "/v1/volumes/{name}/content" Operator, Body::Bytes => Ok Body::Json("Done"),
        [FROM, word("sha256", "The checksum of the body, in 64 hexadecimal digits: another body is not written.")]
        "Writes the body, whole sectors and at most 64 KiB, to a volume that nobody uses, from a byte on. It lasts once the upload is finished.";
    VolumeDigest "volumeDigest" Get "/v1/volumes/{name}/digest" Operator, Body::None => Ok Body::Json("Digest"),
        [FROM, number("bytes", "How many, whole sectors and at most 1 MiB.")]
        "The checksum of a part of a volume that nobody writes but this API.";
    FinishVolume "finishVolume" Post "/v1/volumes/{name}/finish" Operator, Body::None => Ok Body::Json("Done"), []
        "Has what was written last, whatever happens to the power, and lets guests have the volume.";
    ListComponents "listComponents" Get "/v1/components" Viewer, Body::None => Ok Body::Json("Components"), []
        "All components: state, incarnation, heartbeats.";
    RestartComponent "restartComponent" Post "/v1/components/{name}/restart" Admin, Body::None => Accepted Body::Json("Done"),
        [word("rung", "How: micro-reboot, rebuild, cascade or control-plane. micro-reboot if nothing is said.")]
        "Restarts a component.";
    ReleaseComponent "releaseComponent" Post "/v1/components/{name}/release" Admin, Body::None => Accepted Body::Json("Done"), []
        "Tries a component again that was given up.";
    InjectFault "injectFault" Post "/v1/components/{name}/fault" Admin, Body::None => Accepted Body::Json("Done"),
        [word("kind", "Which fault: ud2, null-store, tight-loop ..."), number("argument", "What the fault needs to know. 0 if nothing is said.")]
        "Makes a component fail, where the system description allows it.";
    Events "events" Get "/v1/events" Viewer, Body::None => Ok Body::Json("Events"),
        [number("from", "The number of the first line. 1 if nothing is said."), WAIT]
        "The event log, from a number on.";
    Metrics "metrics" Get "/v1/metrics" Viewer, Body::None => Ok Body::Text, []
        "Figures, in Prometheus' text format.";
}

impl Route {
    /// Bytes of its request's body at most.
    pub const fn max_body(&self) -> usize {
        match self.operation {
            Operation::WriteVolume => MAX_CONTENT,
            _ => MAX_BODY,
        }
    }
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The row.
    pub route: &'static Route,
    /// What stands in its path for the name; empty if its path has none.
    pub name: String,
    query: String,
}

/// Finds what a request asks for.
///
/// # Errors
/// There is no such path, or its method is another.
pub fn find(request: &Request<'_>) -> Result<Found, Problem> {
    let (path, query) = request.target.split_once('?').unwrap_or((request.target, ""));
    let mut is_known = false;
    for route in ROUTES {
        let Some(name) = matches(route.path, path) else { continue };
        is_known = true;
        if Some(route.method) == request.method {
            let name = percent_decode_str(name).decode_utf8();
            let name = name.map_err(|_| Problem::new(Status::BadRequest, "the name is not UTF-8"))?;
            return Ok(Found { route, name: name.to_string(), query: query.to_string() });
        }
    }
    Err(match is_known {
        true => Problem::new(Status::MethodNotAllowed, format!("{path} cannot be asked for in this way")),
        false => Problem::new(Status::NotFound, format!("there is no {path}")),
    })
}

/// What stands in `path` where the template has a name, if it is of the template; empty if the template has none.
fn matches<'p>(template: &str, path: &'p str) -> Option<&'p str> {
    let Some((before, behind)) = template.split_once(NAME) else {
        return (template == path).then_some("");
    };
    let name = path.strip_prefix(before)?.strip_suffix(behind)?;
    (!name.is_empty() && !name.contains('/')).then_some(name)
}

impl Found {
    /// A word of the query, if it is there.
    pub fn word(&self, name: &str) -> Option<String> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = pairs.find(|(key, _)| *key == name)?;
        percent_decode_str(value).decode_utf8().ok().map(|value| value.to_string())
    }

    /// A number of the query, or what holds where it is left out.
    ///
    /// # Errors
    /// It is no number.
    pub fn number(&self, name: &str, default: u64) -> Result<u64, Problem> {
        let Some(word) = self.word(name) else { return Ok(default) };
        word.parse().map_err(|_| Problem::new(Status::BadRequest, format!("{name}: {word:?} is no number")))
    }
}
