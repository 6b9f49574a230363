//! What is done for each operation of the API.

use super::desk::{Ask, Desk, Reply};
use super::doors::Doors;
use super::hooks::Hooks;
use super::metrics;
use super::volumes::Volumes;
use crate::consoles::Consoles;
use ::api::limits::{CONSOLE_BYTES, EVENTS, MAX_WAIT_S};
use ::api::types;
use ::api::{Found, Operation, Problem, Status};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use broker::{Answer, EventLine, Refusal, Request, VcpuInfo};
use core::fmt::Display;
use core::str::FromStr;
use description::Rung;
use libos::clock;
use libos::time::{Duration, Instant, Timer};
use libos::uk_abi::fault::Fault;
use libos::xen_abi::Domid;
use serde::Serialize;
use toolstack::command::Order;
use toolstack::layout::{Kind, vbd_number};
use toolstack::phase::Wish;
use toolstack::{Command, DeviceInfo, Phase, Refused, VmInfo};

/// KiB in a page.
const PAGE_KIB: u64 = 4;

/// How long a guest has to stop where nothing is said, in seconds.
const PATIENCE_S: u64 = 60;

/// From one look for news to the next.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// The host, as one connection sees it.
pub struct Host<'a> {
    /// Where the toolstack is asked.
    pub desk: &'a Desk,
    /// Guests' consoles.
    pub consoles: &'a Consoles,
    /// The way to the disks' unikernel.
    pub volumes: &'a Volumes,
    /// The doors of all connections.
    pub doors: &'a Doors,
    /// Those who are told of events.
    pub hooks: &'a Hooks,
    /// The connection's number.
    pub connection: usize,
    /// This program's domain.
    pub own: Domid,
}

impl api::server::Host for Host<'_> {
    fn now_us(&self) -> u64 {
        clock::now_us()
    }

    async fn wait_until(&self, at_us: u64) {
        Timer::at(Instant::from_micros(at_us)).await;
    }

    fn let_in(&self) -> bool {
        self.doors.let_in(self.connection)
    }

    async fn carry_out(&self, found: &Found, body: &[u8]) -> Result<Vec<u8>, Problem> {
        let name = &found.name;
        match found.route.operation {
            Operation::Host => json(&self.host().await?),
            Operation::ListVms => json(&types::Vms { vms: self.vms().await? }),
            Operation::CreateVm => json(&self.create(body).await?),
            Operation::Vm => json(&self.vm(name).await?),
            Operation::DestroyVm => self.order(name, Order::Destroy).await,
            Operation::ShutdownVm => self.stop(found, Wish::PowerOff).await,
            Operation::RebootVm => self.stop(found, Wish::Reboot).await,
            Operation::PauseVm => self.order(name, Order::Pause).await,
            Operation::UnpauseVm => self.order(name, Order::Unpause).await,
            Operation::Vcpus => json(&self.vcpus(name).await?),
            Operation::Devices => json(&self.devices(name).await?),
            Operation::AttachVif => self.order(name, Order::AttachVif(value(body)?)).await,
            Operation::DetachVif => {
                let id = found.number("id", u64::MAX)?.try_into().unwrap_or(u32::MAX);
                self.order(name, Order::Detach(Kind::Vif, id)).await
            }
            Operation::AttachDisk => self.order(name, Order::AttachDisk(value(body)?)).await,
            Operation::DetachDisk => {
                let vdev = found.word("vdev").unwrap_or_default();
                let none = || {
                    Problem::new(Status::BadRequest, format!("{vdev:?} is no disk: xvda is, for instance"))
                };
                let id = vbd_number(&vdev).ok_or_else(none)?;
                self.order(name, Order::Detach(Kind::Vbd, id)).await
            }
            Operation::Sysrq => {
                let key = found.word("key").and_then(|key| key.parse().ok());
                let none = || Problem::new(Status::BadRequest, "a key is one character");
                self.order(name, Order::Press(key.ok_or_else(none)?)).await
            }
            Operation::ReadConsole => self.console(found).await,
            Operation::WriteConsole => self.give_line(name, body).await,
            Operation::ListVolumes => json(&self.volumes.list(found.number("from", 0)?).await?),
            Operation::WriteVolume => {
                let sha256 = found.word("sha256").unwrap_or_default();
                self.volumes.write(name, found.number("from", 0)?, &sha256, body).await?;
                done("it is written")
            }
            Operation::VolumeDigest => {
                let (from, bytes) = (found.number("from", 0)?, found.number("bytes", 0)?);
                json(&self.volumes.digest(name, from, bytes).await?)
            }
            Operation::FinishVolume => {
                self.volumes.finish(name).await?;
                done("it lasts")
            }
            Operation::ListComponents => json(&types::Components { components: self.components().await? }),
            Operation::RestartComponent => self.restart(found).await,
            Operation::ReleaseComponent => {
                let (index, _) = self.component(name).await?;
                self.on_component(Request::Release { index }, false, "it is tried again").await
            }
            Operation::InjectFault => self.inject(found).await,
            Operation::Events => self.events(found).await,
            Operation::Metrics => {
                let (host, vms) = (self.host().await?, self.vms().await?);
                let (components, hooks) =
                    (self.components().await?, self.hooks.figures().collect::<Vec<_>>());
                Ok(metrics::text(&host, &vms, &components, &hooks).into_bytes())
            }
        }
    }
}

impl Host<'_> {
    async fn ask(&self, ask: Ask) -> Result<Reply, Problem> {
        match self.desk.ask(self.connection, ask).await {
            Reply::Refused(refused) => Err(problem(&refused)),
            reply => Ok(reply),
        }
    }

    async fn root(&self, request: Request) -> Result<Answer, Problem> {
        match self.ask(Ask::Root(request)).await? {
            Reply::Root(answer) => answer.map_err(|refusal| refused_by_root(&refusal)),
            _ => Err(strange()),
        }
    }

    async fn host(&self) -> Result<types::Host, Problem> {
        let Answer::Host(host) = self.root(Request::Host).await? else { return Err(strange()) };
        Ok(types::Host {
            xen: format!("{}.{}", host.xen.0, host.xen.1),
            processors: host.processors,
            total_kib: host.total_pages * PAGE_KIB,
            free_kib: host.free_pages * PAGE_KIB,
            uptime_us: clock::now_us(),
        })
    }

    async fn infos(&self, ask: Ask) -> Result<Vec<VmInfo>, Problem> {
        match self.ask(ask).await? {
            Reply::Vms(vms) => Ok(vms),
            _ => Err(strange()),
        }
    }

    async fn vms(&self) -> Result<Vec<types::Vm>, Problem> {
        Ok(self.infos(Ask::List).await?.into_iter().map(vm).collect())
    }

    async fn info(&self, name: &str) -> Result<VmInfo, Problem> {
        self.infos(Ask::Vm(name.into())).await?.pop().ok_or_else(strange)
    }

    async fn vm(&self, name: &str) -> Result<types::Vm, Problem> {
        self.info(name).await.map(vm)
    }

    async fn create(&self, body: &[u8]) -> Result<types::Vm, Problem> {
        let text = core::str::from_utf8(body);
        let text = text.map_err(|_| Problem::new(Status::BadRequest, "the configuration is not UTF-8"))?;
        self.infos(Ask::Create(text.into())).await?.pop().map(vm).ok_or_else(strange)
    }

    async fn vcpus(&self, name: &str) -> Result<types::Vcpus, Problem> {
        let Reply::Vcpus(vcpus) = self.ask(Ask::Vcpus(name.into())).await? else { return Err(strange()) };
        let vcpu = |(vcpu, info): (u32, VcpuInfo)| {
            let VcpuInfo { online, blocked, running, cpu, cpu_time_ns } = info;
            types::Vcpu { vcpu, online, blocked, running, cpu, cpu_us: cpu_time_ns / 1000 }
        };
        Ok(types::Vcpus { vcpus: vcpus.into_iter().map(vcpu).collect() })
    }

    async fn devices(&self, name: &str) -> Result<types::Devices, Problem> {
        let Reply::Devices(infos) = self.ask(Ask::Devices(name.into())).await? else { return Err(strange()) };
        let mut devices = types::Devices { vifs: Vec::new(), disks: Vec::new() };
        for DeviceInfo { id: (kind, id), device, name, state, event_channel, rings } in infos {
            let (backend_id, backend) = (device.backend.0, device.backend_path());
            let ring = |at: usize| rings.get(at).copied();
            match kind {
                Kind::Vif => devices.vifs.push(types::Vif {
                    id,
                    mac: name,
                    backend_id,
                    state,
                    event_channel,
                    tx_ring: ring(0),
                    rx_ring: ring(1),
                    backend,
                }),
                Kind::Vbd => devices.disks.push(types::Disk {
                    id,
                    vdev: name,
                    backend_id,
                    frontend_id: device.guest.0,
                    state,
                    event_channel,
                    ring: ring(0),
                    backend,
                }),
            }
        }
        Ok(devices)
    }

    async fn order(&self, name: &str, order: Order) -> Result<Vec<u8>, Problem> {
        self.ask(Ask::Do(Command::On { name: name.into(), order })).await?;
        done("the toolstack is at it")
    }

    async fn stop(&self, found: &Found, wish: Wish) -> Result<Vec<u8>, Problem> {
        let seconds = found.number("seconds", PATIENCE_S)?;
        self.order(&found.name, Order::Stop { wish, patience_us: seconds.saturating_mul(1_000_000) }).await
    }

    async fn console(&self, found: &Found) -> Result<Vec<u8>, Problem> {
        let (from, until) = (found.number("from", 0)?, until(found)?);
        let domid = self.info(&found.name).await?.domid;
        let domid = domid.ok_or_else(|| Problem::new(Status::Conflict, "it has no domain just now"))?;
        loop {
            let kept = self.consoles.bytes(domid, from as u32, CONSOLE_BYTES);
            let (first, bytes) =
                kept.ok_or_else(|| Problem::new(Status::NotFound, "its console is not shown"))?;
            if !bytes.is_empty() || Instant::now() >= until {
                return json(&types::Console::new(first.into(), &bytes));
            }
            clock::at_next(LOOK_EVERY).await;
        }
    }

    async fn give_line(&self, name: &str, body: &[u8]) -> Result<Vec<u8>, Problem> {
        let line = core::str::from_utf8(body).ok().filter(|line| !line.chars().any(char::is_control));
        let line = line.ok_or_else(|| {
            Problem::new(Status::BadRequest, "the body is not one line of UTF-8 without control characters")
        })?;
        self.order(name, Order::Type(line.into())).await
    }

    async fn components(&self) -> Result<Vec<types::Component>, Problem> {
        let mut components = Vec::new();
        for index in 0.. {
            let Answer::Component(info) = self.root(Request::Component { index }).await? else {
                return Err(strange());
            };
            let Some(info) = info else { break };
            components.push(types::Component {
                name: info.name.as_str().into(),
                state: info.state.as_str().into(),
                domid: info.domain.0,
                incarnation: info.incarnation,
                beats: info.beats,
                last_fault: info
                    .fault
                    .map(|(kind, at_us)| types::LastFault { kind: kind.as_str().into(), at_us }),
            });
        }
        Ok(components)
    }

    /// The place of a component, and whether it is this program itself.
    async fn component(&self, name: &str) -> Result<(u32, bool), Problem> {
        let components = self.components().await?;
        let place = components.iter().position(|component| component.name == name);
        let none = || Problem::new(Status::NotFound, format!("there is no component {name}"));
        let place = place.ok_or_else(none)?;
        Ok((place as u32, components[place].domid == self.own.0))
    }

    /// Has root do something with a component. What may end this program's life is answered before.
    async fn on_component(&self, request: Request, may_end: bool, said: &str) -> Result<Vec<u8>, Problem> {
        match may_end {
            true => self.ask(Ask::After(request)).await.map(|_| ())?,
            false => self.root(request).await.map(|_| ())?,
        }
        done(said)
    }

    async fn restart(&self, found: &Found) -> Result<Vec<u8>, Problem> {
        let word = found.word("rung").unwrap_or_else(|| Rung::MicroReboot.name().into());
        let rung: Rung =
            word.parse().map_err(|error| Problem::new(Status::BadRequest, format!("{word}: {error}")))?;
        let (index, is_own) = self.component(&found.name).await?;
        // From there on a repair concerns others besides.
        let may_end = is_own || rung >= Rung::Cascade;
        let restart = Request::Restart { index, rung: rung as u8 };
        self.on_component(restart, may_end, "it is restarted").await
    }

    async fn inject(&self, found: &Found) -> Result<Vec<u8>, Problem> {
        let word = found.word("kind").unwrap_or_default();
        let fault: Fault =
            word.parse().map_err(|error| Problem::new(Status::BadRequest, format!("{error}")))?;
        let argument = found.number("argument", 0)?;
        let (index, is_own) = self.component(&found.name).await?;
        self.on_component(
            Request::Inject { index, fault: fault as u32, argument },
            is_own,
            "it is told to fail",
        )
        .await
    }

    async fn events(&self, found: &Found) -> Result<Vec<u8>, Problem> {
        let (mut next, until) = (found.number("from", 1)?, until(found)?);
        let mut events = Vec::new();
        loop {
            while events.len() < EVENTS {
                let Answer::Event(line) = self.root(Request::Event { from: next }).await? else {
                    return Err(strange());
                };
                let Some(line) = line else { break };
                next = line.sequence + 1;
                events.push(event(line));
            }
            if !events.is_empty() || Instant::now() >= until {
                return json(&types::Events { events, next });
            }
            clock::at_next(LOOK_EVERY).await;
        }
    }
}

/// A line of the event log.
pub fn event(line: EventLine) -> types::Event {
    types::Event { sequence: line.sequence, at_us: line.at_us, text: line.text.as_str().into() }
}

/// Until when a client wants to wait for news.
fn until(found: &Found) -> Result<Instant, Problem> {
    Ok(Instant::now() + Duration::from_secs(found.number("wait", 0)?.min(MAX_WAIT_S)))
}

/// What a body says of a device, as an `xl.cfg` says it.
fn value<T: FromStr<Err: Display>>(body: &[u8]) -> Result<T, Problem> {
    let text = core::str::from_utf8(body);
    let text = text.map_err(|_| Problem::new(Status::BadRequest, "the body is not UTF-8"))?;
    text.parse().map_err(|mistake| Problem::new(Status::BadRequest, format!("{mistake}")))
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|_| strange())
}

fn done(message: &str) -> Result<Vec<u8>, Problem> {
    json(&types::Done { message: message.into() })
}

fn vm(info: VmInfo) -> types::Vm {
    let VmInfo { name, uuid, domid, phase, memory_kib, vcpus, cpu_us } = info;
    let domid = domid.map(|Domid(number)| number);
    types::Vm { name, uuid: uuid.to_string(), domid, phase: phase_name(phase), memory_kib, vcpus, cpu_us }
}

/// The first word of a phase: the rest is the journal's.
fn phase_name(phase: Phase) -> String {
    phase.to_string().split(' ').next().unwrap_or_default().into()
}

/// Somebody has answered something else than what was asked.
fn strange() -> Problem {
    Problem::new(Status::Unavailable, "the toolstack has no answer to that")
}

fn problem(refused: &Refused) -> Problem {
    let status = match refused {
        Refused::NoVm(_) | Refused::NoDevice(_) => Status::NotFound,
        Refused::Mistake(_) | Refused::NoKernel(_) | Refused::TooMuch { .. } => Status::BadRequest,
        Refused::NameTaken(_)
        | Refused::Phase { .. }
        | Refused::DeviceTaken(_)
        | Refused::NoBackend(_)
        | Refused::NoConsole(_)
        | Refused::NotTyped { .. }
        | Refused::Config(_) => Status::Conflict,
        Refused::Store(_) => Status::Unavailable,
    };
    Problem::new(status, refused.to_string())
}

fn refused_by_root(refusal: &Refusal) -> Problem {
    let status = match refusal {
        Refusal::NotAllowed => Status::Forbidden,
        Refusal::NoComponent { .. } => Status::NotFound,
        Refusal::Malformed => Status::BadRequest,
        Refusal::Unable => Status::Conflict,
        _ => Status::Unavailable,
    };
    Problem::new(status, refusal.to_string())
}
