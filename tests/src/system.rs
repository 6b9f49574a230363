//! The systems that tests boot: descriptions of their own, and the unikernels that `./x build` has made.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::{Context, Result, anyhow};
use description::{ArchiveWriter, Description, Name};
use emulator::artifacts::Artifacts;
use guest_files::{Folders, GuestFiles};
use xlcfg::Config;

use crate::api::SECRET;
use crate::guest::{Guest, Packed};

/// Bytes of a page, the unit of memory sizes in a description.
const PAGE_BYTES: u32 = 4096;

/// A system description, with the configurations of its guests.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct System {
    /// The file that it comes from.
    file: &'static str,
    text: &'static str,
    /// The guests that start with it.
    guests: &'static [GuestText],
}

/// A guest's configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
struct GuestText {
    /// The name of the file.
    file: String,
    text: String,
    packed: Packed,
}

macro_rules! system {
    ($file:literal) => {
        System::new(concat!("tests/systems/", $file), include_str!(concat!("../systems/", $file)))
    };
}

/// XenStore alone, with a client that fills it with so many nodes: the last words of the description.
macro_rules! large_store {
    ($nodes:literal) => {
        System::new(
            "tests/systems/store_large.toml",
            concat!(
                include_str!("../systems/store_large.toml"),
                "args = \"store=store.client fill=",
                $nodes,
                "\"\n"
            ),
        )
    };
}

/// Three probes that may fail as often as a test likes, and that a busy machine does not make look ill.
pub const PROBES: System = system!("probes.toml");

/// A chain of three probes and one apart, with few attempts on each rung.
pub const LADDER: System = system!("ladder.toml");

/// Four probes that may fail hundreds of times each.
pub const SOAK: System = system!("soak.toml");

/// A network card, a disk, and a probe.
pub const DEVICES: System = system!("devices.toml");

/// Probes that share memory, and one that maps what another owns.
pub const SHARING: System = system!("sharing.toml");

/// XenStore with two replicas, and two clients that count.
pub const STORE: System = system!("store.toml");

/// XenStore with one replica that may not fail twice, and a client that counts.
pub const STORE_ALONE: System = system!("store_alone.toml");

/// XenStore alone, and a client that fills it with 10,000 nodes.
pub const STORE_OF_10_000: System = large_store!("10000");

/// XenStore alone, and a client that fills it with 100,000 nodes.
pub const STORE_OF_100_000: System = large_store!("100000");

/// XenStore with two replicas, and the toolstack.
pub const TOOL: System = system!("tool.toml");

/// XenStore with two replicas, the toolstack, and who serves disks.
pub const DISK: System = system!("disk.toml");

/// XenStore with two replicas, the unikernels of network and disks, and the toolstack with the management API.
pub const WHOLE: System = system!("whole.toml");

/// Two probes that ask root's broker, one of them for what it may not have, and one apart.
pub const BROKER: System = system!("broker.toml");

/// Two probes with the deadlines of a host in service, and two that stand for guests.
pub const MEASURED: System = system!("measured.toml");

/// What `rvmm.toml` describes, with its guests and the deadlines of a host in service.
pub static IN_SERVICE: LazyLock<System> = LazyLock::new(|| {
    let configs = [
        ("tests/guests/web.cfg", include_str!("../guests/web.cfg")),
        ("tests/guests/files.cfg", include_str!("../guests/files.cfg")),
    ];
    let guests = configs.map(|(file, text)| GuestText {
        file: file.to_owned(),
        text: text.to_owned(),
        packed: Packed::Whole,
    });
    System { guests: guests.to_vec().leak(), ..System::new("rvmm.toml", include_str!("../../rvmm.toml")) }
});

impl System {
    /// The description `text` from the file that is named `file` in complaints about it.
    pub const fn new(file: &'static str, text: &'static str) -> System {
        System { file, text, guests: &[] }
    }

    /// The same with every `from` in its text replaced.
    ///
    /// # Panics
    /// Where there is none.
    pub fn replacing(self, from: &str, to: &str) -> System {
        assert!(self.text.contains(from), "{} has no {from:?}", self.file);
        System { text: self.text.replace(from, to).leak(), ..self }
    }

    /// The same with what these lines describe, behind its own.
    pub fn with(self, lines: &str) -> System {
        System { text: format!("{}{lines}", self.text).leak(), ..self }
    }

    /// The same where Xen leaves a domain the processor for so long, in microseconds.
    ///
    /// # Panics
    /// If its text has no table `[host]`.
    pub fn with_slice(self, slice_us: u32) -> System {
        let others = self.text.lines().filter(|line| !line.starts_with("slice = "));
        let text = others.map(|line| format!("{line}\n")).collect::<String>();
        let table = format!("[host]\nslice = \"{slice_us} us\"\n");
        System { text: text.leak(), ..self }.replacing("[host]\n", &table)
    }

    /// The same with these guests besides, which start with the host in this order.
    pub fn starting(self, guests: &[Guest]) -> System {
        let (mut text, mut all) = (self.text.to_owned(), self.guests.to_vec());
        for guest in guests {
            let (name, file) = (guest.name(), format!("{}.cfg", guest.name()));
            text += &format!("\n[[guest]]\nname = {name:?}\nconfig = {file:?}\n");
            all.push(GuestText { file, text: guest.to_string(), packed: guest.in_archive() });
        }
        System { text: text.leak(), guests: all.leak(), ..self }
    }

    /// The description, with deadlines that are `patience` times those of the text.
    ///
    /// # Errors
    /// When the text is no description.
    pub fn description(self, patience: u32) -> Result<Description> {
        let mut description =
            description::text::parse(self.file, self.text).map_err(|report| anyhow!("{report}"))?;
        description.host.host_watchdog_s *= patience;
        for time in [&mut description.host.watchdog_us, &mut description.host.restart_window_us] {
            *time *= u64::from(patience);
        }
        for component in &mut description.components {
            for time in [
                &mut component.heartbeat_deadline_us,
                &mut component.starved_deadline_us,
                &mut component.stall_deadline_us,
                &mut component.boot_deadline_us,
                &mut component.limits.window_us,
            ] {
                *time *= u64::from(patience);
            }
        }
        Ok(description)
    }

    /// The MiB of memory that root, components and guests have together.
    ///
    /// # Errors
    /// When the text is no description, or a configuration makes no sense.
    pub fn memory_mib(self) -> Result<u32> {
        let description = self.description(1)?;
        let components: u32 = description.components.iter().map(|component| component.memory_pages).sum();
        let pages = description.host.memory_pages + components;
        let mut guests = 0;
        for guest in self.guests.iter().filter(|guest| guest.packed == Packed::Whole) {
            guests += Config::read(&guest.text).with_context(|| guest.file.clone())?.most_memory_mib;
        }
        Ok(pages.div_ceil((1 << 20) / PAGE_BYTES) + guests as u32)
    }

    /// Writes the boot archive of this system to `path`, from the images in `artifacts`, with the deadlines that `patience` asks for;
    /// and beside it the configurations of its guests. Returns the MiB of memory that root gets.
    ///
    /// # Errors
    /// When an image is missing or the file cannot be written.
    pub fn write_archive(self, artifacts: &Artifacts, path: &Path, patience: u32) -> Result<u32> {
        let description = self.description(patience)?;
        let mut writer = ArchiveWriter::new(&description);
        let mut images: Vec<_> = description.components.iter().map(|component| &component.image).collect();
        images.sort();
        images.dedup();
        for name in images {
            writer.image(name, read(&artifacts.image(name.as_str()))?);
            writer.symbols(name, read(&artifacts.symbols(name.as_str()))?);
        }
        writer.secret(&description, SECRET);
        let files = artifacts.target().join("guests");
        let configs = path.parent().unwrap_or(path);
        let folders = Folders { configs, files: &files };
        for (guest, GuestText { file, text, packed }) in description.guests.iter().zip(self.guests) {
            let path = configs.join(file);
            path.parent()
                .map_or(Ok(()), fs::create_dir_all)
                .and_then(|()| fs::write(&path, text))
                .with_context(|| format!("cannot write {}", path.display()))?;
            if *packed == Packed::Alone {
                writer.config(&guest.name, text.clone().into_bytes());
                continue;
            }
            let mut files = GuestFiles::read(guest, folders).context("run ./x guests")?;
            if *packed == Packed::HalfTheKernel {
                files.kernel.truncate(files.kernel.len() / 2);
            }
            files.add(guest, &mut writer);
        }
        let root = Name::new("root").map_err(|error| anyhow!("{error}"))?;
        writer.symbols(&root, read(&artifacts.symbols("root"))?);
        fs::write(path, writer.finish()).with_context(|| format!("cannot write {}", path.display()))?;
        Ok((description.host.memory_pages * PAGE_BYTES) >> 20)
    }
}

fn read(path: &PathBuf) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => anyhow!("{} is not there: run ./x build", path.display()),
        _ => anyhow!("cannot read {}: {error}", path.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::Setup;

    #[test]
    fn every_description_keeps_the_rules_on_every_host() {
        let store = [STORE, STORE_ALONE, STORE_OF_10_000, STORE_OF_100_000];
        let others = [PROBES, LADDER, SOAK, DEVICES, SHARING, BROKER, MEASURED];
        let with_guests = [TOOL, DISK, WHOLE].map(|system| system.starting(&[Guest::new("guest")]));
        for system in store.into_iter().chain(others).chain(with_guests).chain([*IN_SERVICE]) {
            for processors in [1, 2] {
                let setup = Setup { system, processors, ..Setup::default() };
                let description = system.description(setup.patience()).unwrap();
                description.check(&mut |place, problem| panic!("{}: {place}: {problem}", system.file));
            }
        }
    }

    #[test]
    fn a_missing_image_is_said() {
        let nowhere = Artifacts::in_target("/nonexistent");
        let error = PROBES.write_archive(&nowhere, Path::new("/nonexistent/archive"), 1).unwrap_err();
        assert_eq!(error.to_string(), "/nonexistent/image/probe is not there: run ./x build");
    }
}
