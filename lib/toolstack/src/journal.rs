//! The journal: what a new life of the toolstack is to know of each VM.
//!
//! It stands in XenStore, below `/tool`, where nobody else may read; so it is replicated, and lives as long as the host.
//!
//! ```text
//! /tool/UUID/name              what the operator calls the VM
//! /tool/UUID/guest             which guest of the system description it is made from
//! /tool/UUID/config            its configuration, if that is not the guest's own
//! /tool/UUID/phase             where it is in its life
//! /tool/UUID/domain            its domain: number, frame and port of the ring to XenStore, frame and port of the console
//! /tool/UUID/device/KIND/ID    a device, as xl.cfg would say it
//! /tool/UUID/leaving/KIND/ID   a device that is being taken away
//! /tool/UUID/crashes           how often in a row its guest has crashed soon after its start, and when it was started last
//! /tool/started/GUEST          this guest of the description was started with the host; its dots are written as @
//! ```

use crate::changes::Changes;
use crate::layout::{End, Kind};
use crate::phase::Phase;
use crate::uuid::Uuid;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;
use xen_abi::{Domid, Mfn, Port};
use xenstore_session::{Doorbell, Error, Session, Transaction};
use xlcfg::{Disk, Vif};

/// Where the journal stands.
const ROOT: &str = "/tool";

/// The domain of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainRecord {
    /// Its number.
    pub domid: Domid,
    /// Its ring to XenStore.
    pub store: End,
    /// Its console.
    pub console: End,
}

/// A device of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceRecord {
    /// A network interface.
    Vif(Vif),
    /// A disk.
    Vbd(Disk),
}

/// Which device of a VM.
pub type DeviceId = (Kind, u32);

/// What the journal says of a VM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its UUID.
    pub uuid: Uuid,
    /// What the operator calls it.
    pub name: String,
    /// Which guest of the system description it is made from.
    pub guest: String,
    /// Its configuration, as `xl.cfg` has it; none if it is that of the guest.
    pub config: Option<String>,
    /// Where it is in its life.
    pub phase: Phase,
    /// Its domain, as long as XenStore has nodes of it.
    pub domain: Option<DomainRecord>,
    /// Its devices.
    pub devices: BTreeMap<DeviceId, DeviceRecord>,
    /// Devices that are being taken away.
    pub leaving: Vec<DeviceId>,
    /// How its last starts have ended.
    pub starts: Starts,
}

/// How the last starts of a guest have ended: what it takes to see that it will not do better the next time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Starts {
    /// How often in a row it has crashed soon after its start.
    pub crashes: u32,
    /// When its domain was started last, in microseconds since Xen has booted.
    pub last_us: u64,
}

impl Record {
    /// Enters all of it.
    pub fn enter(&self, changes: &mut Changes) {
        let path = self.path();
        changes.write(format!("{path}/name"), &self.name);
        changes.write(format!("{path}/guest"), &self.guest);
        if let Some(config) = &self.config {
            changes.write(format!("{path}/config"), config);
        }
        for (id, device) in &self.devices {
            self.enter_device(*id, device, changes);
        }
        self.enter_starts(changes);
        self.enter_phase(changes);
    }

    /// Enters how its last starts have ended.
    pub fn enter_starts(&self, changes: &mut Changes) {
        let Starts { crashes, last_us } = self.starts;
        changes.write(format!("{}/crashes", self.path()), format_args!("{crashes} {last_us}"));
    }

    /// Enters where it is in its life, or that there is nothing of it any more.
    pub fn enter_phase(&self, changes: &mut Changes) {
        match self.phase {
            Phase::Forgotten => changes.remove(self.path()),
            phase => changes.write(format!("{}/phase", self.path()), phase),
        }
    }

    /// Enters its name.
    pub fn enter_name(&self, changes: &mut Changes) {
        changes.write(format!("{}/name", self.path()), &self.name);
    }

    /// Enters its domain, or that it has none.
    pub fn enter_domain(&self, changes: &mut Changes) {
        let path = format!("{}/domain", self.path());
        match &self.domain {
            Some(domain) => changes.write(path, domain),
            None => changes.remove(path),
        }
    }

    /// Enters a device.
    pub fn enter_device(&self, (kind, id): DeviceId, device: &DeviceRecord, changes: &mut Changes) {
        changes.write(format!("{}/device/{kind}/{id}", self.path()), device);
    }

    /// Enters that a device is being taken away.
    pub fn enter_leaving(&self, (kind, id): DeviceId, changes: &mut Changes) {
        changes.remove(format!("{}/device/{kind}/{id}", self.path()));
        changes.write(format!("{}/leaving/{kind}/{id}", self.path()), "");
    }

    /// Enters that a device is gone.
    pub fn enter_left(&self, (kind, id): DeviceId, changes: &mut Changes) {
        changes.remove(format!("{}/leaving/{kind}/{id}", self.path()));
    }

    fn path(&self) -> String {
        format!("{ROOT}/{}", self.uuid)
    }
}

/// Enters that a guest of the description was started with the host.
pub fn enter_started(guest: &str, changes: &mut Changes) {
    changes.write(format!("{ROOT}/started/{}", guest.replace('.', DOT)), "");
}

/// What stands for a dot of a guest's name in a path, which cannot have one; names cannot have this.
const DOT: &str = "@";

/// What the journal says.
#[derive(Debug, Default)]
pub struct Journal {
    /// The VMs.
    pub records: Vec<Record>,
    /// VMs of which it says what makes no sense.
    pub damaged: Vec<Uuid>,
    /// The guests of the description that were started with the host.
    pub started: Vec<String>,
}

/// Reads all of it.
///
/// # Errors
/// The session's.
pub async fn read<D: Doorbell>(session: &mut Session<'_, D>) -> Result<Journal, Error> {
    let mut journal = Journal::default();
    for name in children(session, ROOT).await? {
        if name == "started" {
            let nodes = children(session, &format!("{ROOT}/{name}")).await?;
            journal.started = nodes.iter().map(|node| node.replace(DOT, ".")).collect();
        } else if let Ok(uuid) = name.parse() {
            match read_record(session, uuid).await? {
                Some(record) => journal.records.push(record),
                None => journal.damaged.push(uuid),
            }
        }
    }
    Ok(journal)
}

/// Takes away what the journal says of a VM.
pub fn remove(uuid: Uuid, changes: &mut Changes) {
    changes.remove(format!("{ROOT}/{uuid}"));
}

async fn read_record<D: Doorbell>(session: &mut Session<'_, D>, uuid: Uuid) -> Result<Option<Record>, Error> {
    let path = format!("{ROOT}/{uuid}");
    let mut texts = Vec::new();
    for node in ["name", "guest", "phase"] {
        texts.extend(text(session, &format!("{path}/{node}")).await?);
    }
    let Ok::<[String; 3], _>([name, guest, phase]) = texts.try_into() else { return Ok(None) };
    let Ok(phase) = phase.parse() else { return Ok(None) };
    let starts = text(session, &format!("{path}/crashes")).await?;
    let Some(starts) = starts.and_then(|text| text.parse().ok()) else { return Ok(None) };
    let (domain, devices, leaving) = (None, BTreeMap::new(), Vec::new());
    let config = text(session, &format!("{path}/config")).await?;
    let mut record = Record { uuid, name, guest, config, phase, domain, devices, leaving, starts };
    if let Some(text) = text(session, &format!("{path}/domain")).await? {
        let Ok(domain) = text.parse() else { return Ok(None) };
        record.domain = Some(domain);
    }
    for kind in Kind::ALL {
        for id in children(session, &format!("{path}/device/{kind}")).await? {
            let text = text(session, &format!("{path}/device/{kind}/{id}")).await?;
            let device = text.and_then(|text| DeviceRecord::parse(kind, &text));
            let (Ok(id), Some(device)) = (id.parse(), device) else { return Ok(None) };
            record.devices.insert((kind, id), device);
        }
        for id in children(session, &format!("{path}/leaving/{kind}")).await? {
            let Ok(id) = id.parse() else { return Ok(None) };
            record.leaving.push((kind, id));
        }
    }
    Ok(Some(record))
}

async fn children<D: Doorbell>(session: &mut Session<'_, D>, path: &str) -> Result<Vec<String>, Error> {
    match session.directory(Transaction::NONE, path).await {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        names => names,
    }
}

async fn text<D: Doorbell>(session: &mut Session<'_, D>, path: &str) -> Result<Option<String>, Error> {
    let value = session.find(Transaction::NONE, path).await?;
    Ok(value.and_then(|value| String::from_utf8(value).ok()))
}

impl DeviceRecord {
    /// Reads what [`fmt::Display`] writes.
    fn parse(kind: Kind, text: &str) -> Option<Self> {
        match kind {
            Kind::Vif => text.parse().ok().map(Self::Vif),
            Kind::Vbd => text.parse().ok().map(Self::Vbd),
        }
    }
}

impl fmt::Display for DeviceRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Vif(vif) => vif.fmt(f),
            Self::Vbd(disk) => disk.fmt(f),
        }
    }
}

impl fmt::Display for DomainRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domid, store, console } = self;
        let ends = [store, console].map(|end| format!(" {} {}", end.frame.0, end.port.0)).concat();
        write!(f, "{}{ends}", domid.0)
    }
}

/// Not what is written of the last starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoStarts;

impl FromStr for Starts {
    type Err = NoStarts;

    fn from_str(text: &str) -> Result<Self, NoStarts> {
        let (crashes, last_us) = text.split_once(' ').ok_or(NoStarts)?;
        Ok(Self {
            crashes: crashes.parse().map_err(|_| NoStarts)?,
            last_us: last_us.parse().map_err(|_| NoStarts)?,
        })
    }
}

/// Not what [`DomainRecord`] writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoDomain;

impl FromStr for DomainRecord {
    type Err = NoDomain;

    fn from_str(text: &str) -> Result<Self, NoDomain> {
        let mut words = text.split(' ');
        let mut word = || words.next().ok_or(NoDomain);
        let domid = Domid(word()?.parse().map_err(|_| NoDomain)?);
        let mut end = || {
            let frame = Mfn(word()?.parse().map_err(|_| NoDomain)?);
            Ok(End { frame, port: Port(word()?.parse().map_err(|_| NoDomain)?) })
        };
        let record = Self { domid, store: end()?, console: end()? };
        if words.next().is_some() { Err(NoDomain) } else { Ok(record) }
    }
}
