//! What a configuration means.

use alloc::{borrow::ToOwned, format, string::String, vec::Vec};

use crate::{
    Disk, Mistake, Reason, Vif, keys,
    text::{self, Place, Setting, Text, Value},
};

/// What becomes of a guest that has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnEvent {
    /// It is destroyed.
    Destroy,
    /// It is destroyed, and started anew from the same configuration.
    Restart,
    /// It is started anew; what was there stays under another name, to be looked at.
    RenameRestart,
    /// It stays as it is, to be looked at.
    Preserve,
}

/// How a guest sees the CPU's time-stamp counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TscMode {
    /// Its own if that is safe, otherwise emulated.
    #[default]
    Default,
    /// Emulated.
    AlwaysEmulate,
    /// Its own.
    Native,
}

/// A guest's configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Its name.
    pub name: String,
    /// Its UUID; the toolstack makes one up if there is none.
    pub uuid: Option<[u8; 16]>,
    /// The kernel's file.
    pub kernel: String,
    /// The initial ramdisk's file.
    pub ramdisk: Option<String>,
    /// The kernel's command line: `cmdline`, or else `root` and `extra`.
    pub cmdline: String,
    /// Its memory when it starts, in MiB.
    pub memory_mib: u64,
    /// The most that it may grow to, in MiB; no less than `memory_mib`.
    pub most_memory_mib: u64,
    /// Its vCPUs when it starts.
    pub vcpus: u32,
    /// The most that it may have; no less than `vcpus`.
    pub most_vcpus: u32,
    /// Its weight in the credit schedulers.
    pub cpu_weight: u16,
    /// How it sees the time-stamp counter.
    pub tsc_mode: TscMode,
    /// What becomes of it when it turns itself off.
    pub on_poweroff: OnEvent,
    /// When it reboots.
    pub on_reboot: OnEvent,
    /// When its watchdog strikes.
    pub on_watchdog: OnEvent,
    /// When it crashes.
    pub on_crash: OnEvent,
    /// Its network interfaces.
    pub vifs: Vec<Vif>,
    /// Its disks.
    pub disks: Vec<Disk>,
    /// The most pages of its grant table; Xen's default if nothing is said.
    pub max_grant_frames: Option<u16>,
    /// The most pages of records of what it maps; Xen's default if nothing is said.
    pub max_maptrack_frames: Option<u16>,
    /// Its highest port; Xen's default if nothing is said.
    pub max_event_channels: Option<u32>,
}

/// The weight of every domain that nobody gives another.
const DEFAULT_WEIGHT: u16 = 256;

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn read(text: &str) -> Result<Self, Mistake> {
        let settings = Settings::check(text::read(text)?)?;
        settings.check_type()?;
        // Numbers fit the types that they are cast to below: each is asked for with a limit.
        let memory_mib = settings.number("memory", 1, 1 << 20)?;
        let memory_mib =
            memory_mib.ok_or(settings.missing("memory", "how many MiB of memory the guest has"))?;
        let most_memory_mib = settings.number("maxmem", memory_mib, 1 << 20)?.unwrap_or(memory_mib);
        let vcpus = settings.number("vcpus", 1, 128)?.unwrap_or(1);
        let most_vcpus = settings.number("maxvcpus", vcpus, 128)?.unwrap_or(vcpus);
        let vifs = settings.list("vif")?.iter().map(Vif::read).collect::<Result<_, _>>()?;
        let disks = settings.disks()?;
        Ok(Self {
            name: settings.name()?,
            uuid: settings.uuid()?,
            kernel: settings
                .text("kernel")?
                .ok_or(settings.missing("kernel", "the file with the guest's kernel"))?,
            ramdisk: settings.text("ramdisk")?,
            cmdline: settings.cmdline()?,
            memory_mib,
            most_memory_mib,
            vcpus: vcpus as u32,
            most_vcpus: most_vcpus as u32,
            cpu_weight: settings
                .number("cpu_weight", 1, 65535)?
                .map_or(DEFAULT_WEIGHT, |weight| weight as u16),
            tsc_mode: settings
                .choice("tsc_mode", &TSC_MODES, "default, always_emulate or native")?
                .unwrap_or_default(),
            on_poweroff: settings.event("on_poweroff")?.unwrap_or(OnEvent::Destroy),
            on_reboot: settings.event("on_reboot")?.unwrap_or(OnEvent::Restart),
            on_watchdog: settings.event("on_watchdog")?.unwrap_or(OnEvent::Destroy),
            on_crash: settings.event("on_crash")?.unwrap_or(OnEvent::Destroy),
            vifs,
            disks,
            max_grant_frames: settings.number("max_grant_frames", 1, 65535)?.map(|frames| frames as u16),
            max_maptrack_frames: settings
                .number("max_maptrack_frames", 0, 65535)?
                .map(|frames| frames as u16),
            max_event_channels: settings.number("max_event_channels", 0, 131_071)?.map(|ports| ports as u32),
        })
    }
}

/// Keys that are obeyed.
const OBEYED: [&str; 24] = [
    "name",
    "type",
    "builder",
    "uuid",
    "kernel",
    "ramdisk",
    "cmdline",
    "root",
    "extra",
    "memory",
    "maxmem",
    "vcpus",
    "maxvcpus",
    "cpu_weight",
    "tsc_mode",
    "on_poweroff",
    "on_reboot",
    "on_watchdog",
    "on_crash",
    "vif",
    "disk",
    "max_grant_frames",
    "max_maptrack_frames",
    "max_event_channels",
];

const TSC_MODES: [(&str, TscMode); 6] = [
    ("default", TscMode::Default),
    ("0", TscMode::Default),
    ("always_emulate", TscMode::AlwaysEmulate),
    ("1", TscMode::AlwaysEmulate),
    ("native", TscMode::Native),
    ("2", TscMode::Native),
];

const EVENTS: [(&str, OnEvent); 4] = [
    ("destroy", OnEvent::Destroy),
    ("restart", OnEvent::Restart),
    ("rename-restart", OnEvent::RenameRestart),
    ("preserve", OnEvent::Preserve),
];

/// Actions that xl knows besides.
const REFUSED_EVENTS: [(&str, &str); 3] = [
    ("coredump-destroy", "no core is dumped"),
    ("coredump-restart", "no core is dumped"),
    ("soft-reset", "a PV guest does not survive its memory"),
];

/// Settings whose keys are obeyed, each at most once.
struct Settings {
    settings: Vec<Setting>,
}

impl Settings {
    fn check(settings: Vec<Setting>) -> Result<Self, Mistake> {
        for (index, setting) in settings.iter().enumerate() {
            let key = setting.key.clone();
            if let Some(first) = settings[..index].iter().find(|other| other.key == key) {
                return Err(Reason::Twice { key, first: first.place }.at(setting.place));
            }
            if OBEYED.contains(&&*key) {
                continue;
            }
            let reason = match keys::refused(&key) {
                Some(why) => Reason::Refused { key, why },
                None => Reason::UnknownKey { key },
            };
            return Err(reason.at(setting.place));
        }
        Ok(Self { settings })
    }

    fn find(&self, key: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.key == key)
    }

    /// A key that is not there is missed at the start of the file.
    fn missing(&self, key: &'static str, why: &'static str) -> Mistake {
        Reason::Missing { key, why }.at(Place { line: 1, column: 1 })
    }

    /// The value of a key that is one text.
    fn one(&self, key: &str) -> Result<Option<&Text>, Mistake> {
        match self.find(key) {
            None => Ok(None),
            Some(Setting { value: Value::One(text), .. }) => Ok(Some(text)),
            Some(setting) => Err(wrong(key, "one value", "a list").at(setting.place)),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>, Mistake> {
        match self.one(key)? {
            Some(text) if text.text.is_empty() => Err(wrong(key, "a text", "an empty one").at(text.place)),
            text => Ok(text.map(|text| text.text.clone())),
        }
    }

    /// A number from `least` to `most`, decimal or with `0x`, in quotes or not.
    fn number(&self, key: &str, least: u64, most: u64) -> Result<Option<u64>, Mistake> {
        let Some(text) = self.one(key)? else { return Ok(None) };
        let digits = text.text.as_str();
        let parsed = match digits.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => digits.parse(),
        };
        match parsed {
            Ok(number) if (least..=most).contains(&number) && !digits.contains('+') => Ok(Some(number)),
            Ok(_) => {
                let found = format!("{digits}, which is not from {least} to {most}");
                Err(wrong(key, "a number", &found).at(text.place))
            }
            Err(_) => Err(wrong(key, "a number", &format!("\"{digits}\"")).at(text.place)),
        }
    }

    fn list(&self, key: &str) -> Result<&[Text], Mistake> {
        match self.find(key) {
            None => Ok(&[]),
            Some(Setting { value: Value::List(list), .. }) => Ok(list),
            Some(Setting { value: Value::One(text), .. }) => {
                Err(wrong(key, "a list in [ ]", "one value").at(text.place))
            }
        }
    }

    fn choice<T: Copy>(
        &self,
        key: &str,
        choices: &[(&str, T)],
        wanted: &'static str,
    ) -> Result<Option<T>, Mistake> {
        let Some(text) = self.one(key)? else { return Ok(None) };
        match choices.iter().find(|(name, _)| *name == text.text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => Err(wrong(key, wanted, &format!("\"{}\"", text.text)).at(text.place)),
        }
    }

    fn event(&self, key: &str) -> Result<Option<OnEvent>, Mistake> {
        if let Some(text) = self.one(key)?
            && let Some((name, why)) = REFUSED_EVENTS.iter().find(|(name, _)| *name == text.text)
        {
            return Err(Reason::Refused { key: format!("{key}={name}"), why }.at(text.place));
        }
        self.choice(key, &EVENTS, "destroy, restart, rename-restart or preserve")
    }

    /// Whether it is a PV guest, which it is if nothing is said.
    fn check_type(&self) -> Result<(), Mistake> {
        let types = [("pv", true), ("pvh", false), ("hvm", false)];
        let builders = [("generic", true), ("linux", true), ("hvm", false)];
        for (key, choices, wanted) in
            [("type", types, "pv, pvh or hvm"), ("builder", builders, "generic, linux or hvm")]
        {
            if self.choice(key, &choices, wanted)? == Some(false) {
                let place = self.find(key).map_or(Place { line: 1, column: 1 }, |setting| setting.place);
                let key = key.to_owned();
                return Err(Reason::Refused { key, why: "this host runs PV guests" }.at(place));
            }
        }
        Ok(())
    }

    fn name(&self) -> Result<String, Mistake> {
        let Some(text) = self.one("name")? else {
            return Err(self.missing("name", "what the guest is called"));
        };
        // It becomes a part of paths in XenStore, and of lines that people read.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        if text.text.is_empty() || text.text.len() > 64 || !text.text.chars().all(is_plain) {
            let wanted = "1 to 64 letters, digits, and - _ . +";
            return Err(wrong("name", wanted, &format!("\"{}\"", text.text)).at(text.place));
        }
        Ok(text.text.clone())
    }

    fn uuid(&self) -> Result<Option<[u8; 16]>, Mistake> {
        let Some(text) = self.one("uuid")? else { return Ok(None) };
        let bad = || {
            wrong("uuid", "32 hexadecimal digits as 8-4-4-4-12", &format!("\"{}\"", text.text)).at(text.place)
        };
        let lengths = text.text.split('-').map(str::len);
        if !lengths.eq([8, 4, 4, 4, 12]) {
            return Err(bad());
        }
        let mut digits = text.text.chars().filter(|c| *c != '-').map(|c| c.to_digit(16));
        let mut uuid = [0; 16];
        for byte in &mut uuid {
            let mut digit = || digits.next().flatten().ok_or_else(bad);
            *byte = (digit()? << 4 | digit()?) as u8;
        }
        Ok(Some(uuid))
    }

    /// `cmdline`, or `root` and `extra`, but not both: xl would ignore the latter.
    fn cmdline(&self) -> Result<String, Mistake> {
        let Some(cmdline) = self.one("cmdline")? else {
            let root = self.one("root")?.map(|root| format!("root={}", root.text));
            let extra = self.one("extra")?.map(|extra| extra.text.clone());
            let parts: Vec<_> = [root, extra].into_iter().flatten().collect();
            return Ok(parts.join(" "));
        };
        for key in ["root", "extra"] {
            if let Some(setting) = self.find(key) {
                let why = "cmdline says all there is to say";
                return Err(Reason::Refused { key: key.to_owned(), why }.at(setting.place));
            }
        }
        Ok(cmdline.text.clone())
    }

    fn disks(&self) -> Result<Vec<Disk>, Mistake> {
        let mut disks = Vec::<Disk>::new();
        for value in self.list("disk")? {
            let disk = Disk::read(value)?;
            if disks.iter().any(|other| other.vdev == disk.vdev) {
                let found = format!("{} for a second time", disk.vdev);
                return Err(wrong("vdev", "a name of its own for each disk", &found).at(value.place));
            }
            disks.push(disk);
        }
        Ok(disks)
    }
}

fn wrong(key: &str, wanted: &'static str, found: &str) -> Reason {
    Reason::Value { key: key.to_owned(), wanted, found: found.to_owned() }
}
