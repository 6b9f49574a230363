//! `xl`'s verbs, and ours, over the API.

use crate::cli::{ComponentVerb, Stop, Verb, VolumeVerb};
use crate::client::{Client, ClientError, part};
use crate::{show, top, upload};
use anyhow::{Context, Result};
use api::Problem;
use api::Status;
use api::http::Method;
use api::limits::MAX_WAIT_S;
use api::types::{Components, Console, Devices, Done, Events, Host, Vcpus, Vm, Vms};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::thread::sleep;
use std::time::Duration;

/// From one look to the next while something is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is shown while something long is done, where somebody looks on.
const BAR: &str = "{wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";

/// Verbs of `xl`'s that are not there yet.
const NOT_YET: [&str; 22] = [
    "block-resize",
    "cd-eject",
    "cd-insert",
    "config-update",
    "cpupool-list",
    "debug-keys",
    "dump-core",
    "mem-max",
    "mem-set",
    "migrate",
    "rename",
    "restore",
    "resume",
    "save",
    "sched-credit2",
    "suspend",
    "trigger",
    "uptime",
    "vcpu-pin",
    "vcpu-set",
    "vncviewer",
    "vm-list",
];

/// Why a verb cannot be obeyed.
#[derive(Debug, thiserror::Error)]
pub enum NoVerb {
    /// It is one of `xl`'s.
    #[error("{0}: this verb of xl's is not there yet; the manual's page on the rvmm command says which are")]
    NotYet(String),
    /// It is none.
    #[error("{0}: there is no such verb; rvmm help lists those that there are")]
    Unknown(String),
}

impl NoVerb {
    fn of(words: &[String]) -> Self {
        let verb = words.first().cloned().unwrap_or_default();
        if NOT_YET.contains(&verb.as_str()) { Self::NotYet(verb) } else { Self::Unknown(verb) }
    }
}

/// An operator at work.
pub struct Operator<'o> {
    /// The way to the host.
    pub client: Client,
    /// Whether JSON is to be printed.
    pub json: bool,
    /// Where to print.
    pub out: &'o mut dyn Write,
}

impl Operator<'_> {
    /// Does what a verb says.
    ///
    /// # Errors
    /// A [`ClientError`], a [`NoVerb`], or the system's.
    pub fn carry_out(&mut self, verb: &Verb) -> Result<()> {
        match verb {
            Verb::List { domain } => self.list(domain.as_deref()),
            Verb::Info => {
                let host: Host = self.client.get("/v1/host")?;
                self.print(&host, show::info)
            }
            Verb::Domid { domain } => {
                let vm = self.vm(domain)?;
                let domid = vm.domid.ok_or_else(|| none(format!("{domain} has no domain just now")))?;
                self.print(&vm, |_| format!("{domid}\n"))
            }
            Verb::Domname { domid } => {
                let vm = self.vm(&domid.to_string())?;
                self.print(&vm, |vm| format!("{}\n", vm.name))
            }
            Verb::Create { config, settings, console } => {
                let text = fs::read_to_string(config).with_context(|| config.display().to_string())?;
                self.create(&with_settings(text, settings), *console)
            }
            Verb::Console { domain, once, line } => {
                if let Some(line) = line {
                    let path = format!("/v1/vms/{}/console", part(&self.vm(domain)?.name));
                    let Done { .. } = self.client.post(&path, line.as_bytes())?;
                }
                self.console(domain, *once)
            }
            Verb::Pause { domain } => self.order(domain, "pause"),
            Verb::Unpause { domain } => self.order(domain, "unpause"),
            Verb::Shutdown(stop) => self.stop(stop, "shutdown"),
            Verb::Reboot(stop) => self.stop(stop, "reboot"),
            Verb::Destroy { domain } => {
                let name = self.vm(domain)?.name;
                let done: Done = self.client.delete(&format!("/v1/vms/{}", part(&name)))?;
                self.done(&done)
            }
            Verb::Dmesg => self.events(1, false),
            Verb::Component(verb) => self.component(verb),
            Verb::Volume(verb) => self.volume(verb),
            Verb::Events { from, follow } => self.events(*from, *follow),
            Verb::Metrics => {
                let text = self.client.ask(Method::Get, "/v1/metrics", &[])?;
                Ok(self.out.write_all(&text)?)
            }
            Verb::VcpuList { domains } => self.vcpu_list(domains),
            Verb::NetworkList { domains } => {
                self.devices(domains, show::VIF_HEAD, |all| show::vifs(&all.vifs))
            }
            Verb::NetworkAttach { domain, options } => self.attach(domain, "vifs", options),
            Verb::NetworkDetach { domain, device } => {
                self.detach(domain, &format!("network interface {device}"), |all| {
                    let vif =
                        all.vifs.iter().find(|vif| vif.id.to_string() == *device || vif.mac == *device)?;
                    Some(format!("vifs?id={}", vif.id))
                })
            }
            Verb::BlockList { domains } => {
                self.devices(domains, show::DISK_HEAD, |all| show::disks(&all.disks))
            }
            Verb::BlockAttach { domain, options } => self.attach(domain, "disks", options),
            Verb::BlockDetach { domain, device } => self.detach(domain, &format!("disk {device}"), |all| {
                let mut disks = all.disks.iter();
                let disk = disks.find(|disk| disk.id.to_string() == *device || disk.vdev == *device)?;
                Some(format!("disks?vdev={}", part(&disk.vdev)))
            }),
            Verb::Sysrq { domain, key } => {
                self.order(domain, &format!("sysrq?key={}", part(&key.to_string())))
            }
            Verb::Top { delay } => top::run(&mut self.client, Duration::from_secs(*delay)),
            Verb::Other(words) => Err(NoVerb::of(words).into()),
            // These need no host that runs; whoever calls this has done them.
            Verb::Host(_) | Verb::Completions { .. } | Verb::Man => Ok(()),
        }
    }

    fn print<T: Serialize>(&mut self, value: &T, show: impl FnOnce(&T) -> String) -> Result<()> {
        let text = if self.json { serde_json::to_string(value)? + "\n" } else { show(value) };
        Ok(self.out.write_all(text.as_bytes())?)
    }

    /// What is done is said where a program reads it; a person sees that nothing was refused.
    fn done(&mut self, done: &Done) -> Result<()> {
        self.print(done, |_| String::new())
    }

    fn vms(&mut self) -> Result<Vec<Vm>, ClientError> {
        self.client.get("/v1/vms").map(|vms: Vms| vms.vms)
    }

    /// The VM that an operator means by a name or the number of its domain.
    fn vm(&mut self, domain: &str) -> Result<Vm, ClientError> {
        let is_it = |vm: &Vm| vm.name == domain || vm.domid.is_some_and(|domid| domid.to_string() == domain);
        let unknown = || none(format!("{domain} is an invalid domain identifier"));
        self.vms()?.into_iter().find(is_it).ok_or_else(unknown)
    }

    fn list(&mut self, domain: Option<&str>) -> Result<()> {
        let vms = match domain {
            Some(domain) => vec![self.vm(domain)?],
            None => self.vms()?,
        };
        self.print(&Vms { vms }, |vms| show::list(&vms.vms))
    }

    fn vcpu_list(&mut self, domains: &[String]) -> Result<()> {
        let vms = match domains {
            [] => self.vms()?,
            domains => domains.iter().map(|domain| self.vm(domain)).collect::<Result<_, _>>()?,
        };
        self.head(show::VCPU_HEAD)?;
        for vm in vms {
            let vcpus: Vcpus = self.client.get(&format!("/v1/vms/{}/vcpus", part(&vm.name)))?;
            self.print(&vcpus, |vcpus| show::vcpus(&vm, &vcpus.vcpus))?;
        }
        Ok(())
    }

    fn devices_of(&mut self, vm: &str) -> Result<Devices, ClientError> {
        self.client.get(&format!("/v1/vms/{}/devices", part(vm)))
    }

    fn devices(&mut self, domains: &[String], head: &str, show: fn(&Devices) -> String) -> Result<()> {
        self.head(head)?;
        for domain in domains {
            let vm = self.vm(domain)?.name;
            let devices = self.devices_of(&vm)?;
            self.print(&devices, show)?;
        }
        Ok(())
    }

    /// The line above a table.
    fn head(&mut self, head: &str) -> Result<()> {
        if self.json { Ok(()) } else { Ok(self.out.write_all(head.as_bytes())?) }
    }

    fn attach(&mut self, domain: &str, what: &str, options: &[String]) -> Result<()> {
        let path = format!("/v1/vms/{}/{what}", part(&self.vm(domain)?.name));
        let done: Done = self.client.post(&path, options.join(",").as_bytes())?;
        self.done(&done)
    }

    /// Takes a device away: that which `find` finds, as the end of a path.
    fn detach(
        &mut self,
        domain: &str,
        what: &str,
        find: impl FnOnce(&Devices) -> Option<String>,
    ) -> Result<()> {
        let vm = self.vm(domain)?.name;
        let unknown = || none(format!("{domain} has no {what}"));
        let device = find(&self.devices_of(&vm)?).ok_or_else(unknown)?;
        let done: Done = self.client.delete(&format!("/v1/vms/{}/{device}", part(&vm)))?;
        self.done(&done)
    }

    fn create(&mut self, config: &str, console: bool) -> Result<()> {
        let vm: Vm = self.client.post("/v1/vms", config.as_bytes())?;
        self.print(&vm, |_| String::new())?;
        if console { self.console(&vm.name, false) } else { Ok(()) }
    }

    fn order(&mut self, domain: &str, verb: &str) -> Result<()> {
        let name = self.vm(domain)?.name;
        let done: Done = self.client.post(&format!("/v1/vms/{}/{verb}", part(&name)), &[])?;
        self.done(&done)
    }

    fn stop(&mut self, stop: &Stop, verb: &str) -> Result<()> {
        let before = self.vm(&stop.domain)?;
        self.order(&before.name, &format!("{verb}?seconds={}", stop.seconds))?;
        // It has stopped when its domain is gone with all that belonged to it, or another has taken its place.
        let is_there = |vm: &Vm| {
            let has_domain = vm.domid.is_some() && vm.domid == before.domid;
            vm.name == before.name && (has_domain || vm.phase == "destroying")
        };
        while stop.wait && self.vms()?.iter().any(is_there) {
            sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn console(&mut self, domain: &str, once: bool) -> Result<()> {
        let path = format!("/v1/vms/{}/console", part(&self.vm(domain)?.name));
        let wait = if once { 0 } else { MAX_WAIT_S };
        let mut from = 0;
        loop {
            let console: Console = self.client.news(&path, from, wait)?;
            let bytes = console.bytes().ok_or_else(|| ClientError::Strange("a console".into()))?;
            match self.json {
                true => writeln!(self.out, "{}", serde_json::to_string(&console)?)?,
                false => self.out.write_all(&bytes)?,
            }
            self.out.flush()?;
            if once && bytes.is_empty() {
                return Ok(());
            }
            from = console.next;
        }
    }

    fn component(&mut self, verb: &ComponentVerb) -> Result<()> {
        match verb {
            ComponentVerb::List => {
                let components: Components = self.client.get("/v1/components")?;
                self.print(&components, |all| show::components(&all.components))
            }
            ComponentVerb::Restart { name, rung } => self.on(name, &format!("restart?rung={}", part(rung))),
            ComponentVerb::Release { name } => self.on(name, "release"),
            ComponentVerb::Crash { name, fault, argument } => {
                self.on(name, &format!("fault?kind={}&argument={argument}", part(fault)))
            }
        }
    }

    fn volume(&mut self, verb: &VolumeVerb) -> Result<()> {
        match verb {
            VolumeVerb::List => {
                let (volumes, vms) = (upload::volumes(&mut self.client)?, self.vms()?);
                self.print(&volumes, |all| show::volumes(&all.volumes, &vms))
            }
            VolumeVerb::Upload { file, volume } => {
                let bar = ProgressBar::new(0).with_style(ProgressStyle::with_template(BAR)?);
                let progress = |done, all| {
                    bar.set_length(all);
                    bar.set_position(done);
                };
                let uploaded = upload::upload(&mut self.client, file, volume, progress);
                bar.finish_and_clear();
                self.print(&uploaded?, show::uploaded)
            }
        }
    }

    fn on(&mut self, component: &str, what: &str) -> Result<()> {
        let done: Done = self.client.post(&format!("/v1/components/{}/{what}", part(component)), &[])?;
        self.done(&done)
    }

    fn events(&mut self, mut from: u64, follow: bool) -> Result<()> {
        let wait = if follow { MAX_WAIT_S } else { 0 };
        loop {
            let events: Events = match self.client.news("/v1/events", from, wait) {
                // Whoever follows is not to miss anything: the host has the number from which it goes on.
                Err(ClientError::Connection { .. }) if follow => continue,
                events => events?,
            };
            for event in &events.events {
                self.print(event, |event| show::event(event) + "\n")?;
            }
            self.out.flush()?;
            if events.events.is_empty() && !follow {
                return Ok(());
            }
            from = events.next;
        }
    }
}

fn none(message: String) -> ClientError {
    ClientError::Refused(Problem::new(Status::NotFound, message))
}

/// A configuration with settings of the command line behind it, which win as with `xl`: of what is said twice, the first goes.
fn with_settings(text: String, settings: &[String]) -> String {
    let key = |line: &str| line.split_once('=').map(|(key, _)| key.trim().to_owned());
    let keys: Vec<_> = settings.iter().filter_map(|setting| key(setting)).collect();
    let is_kept = |line: &&str| key(line).is_none_or(|key| !keys.contains(&key));
    let mut lines: Vec<&str> = text.lines().filter(is_kept).collect();
    lines.extend(settings.iter().map(String::as_str));
    lines.join("\n") + "\n"
}

/// Whether an error is only that nobody reads the output any more.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_the_command_line_win() {
        let text = "name = 'web'\nmemory = 128\nkernel = 'guest'\n".to_owned();
        let settings = ["memory=256".to_owned(), "vcpus = 2".to_owned()];
        assert_eq!(with_settings(text, &settings), "name = 'web'\nkernel = 'guest'\nmemory=256\nvcpus = 2\n");
    }
}
