//! Stock guests of the tests' systems, each with a configuration as `xl.cfg` has it.

use std::fmt::{self, Display};

use crate::system::System;

/// A guest that the toolstack of a system starts with the host.
#[derive(Clone, Debug)]
pub struct Guest {
    name: &'static str,
    kernel: &'static str,
    memory_mib: u32,
    /// What its first program does: words of the command line, which `tests/guests/init` explains.
    words: String,
    /// More lines of its configuration.
    lines: Vec<String>,
    packed: Packed,
}

/// What the boot archive has of a guest.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Packed {
    /// All that its configuration names.
    #[default]
    Whole,
    /// Half of the kernel.
    HalfTheKernel,
    /// Nothing but the configuration, whatever that says.
    Alone,
}

impl Guest {
    /// A guest with Debian 12's kernel for clouds and 128 MiB, which counts seconds.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            kernel: "bookworm-guest",
            memory_mib: 128,
            words: "task=tick".to_owned(),
            lines: Vec::new(),
            packed: Packed::Whole,
        }
    }

    /// With no more of it in the boot archive than this.
    #[must_use]
    pub fn packed(self, packed: Packed) -> Self {
        Self { packed, ..self }
    }

    /// With the kernel and ramdisk in this folder below `target/guests`.
    #[must_use]
    pub fn of(self, kernel: &'static str) -> Self {
        Self { kernel, ..self }
    }

    /// With so much memory.
    #[must_use]
    pub fn memory_mib(self, memory_mib: u32) -> Self {
        Self { memory_mib, ..self }
    }

    /// What its first program does.
    #[must_use]
    pub fn does(self, words: impl Display) -> Self {
        Self { words: words.to_string(), ..self }
    }

    /// With another line in its configuration.
    #[must_use]
    pub fn with(mut self, line: impl Display) -> Self {
        self.lines.push(line.to_string());
        self
    }

    /// Its name, in configuration and description.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What the boot archive has of it.
    pub fn in_archive(&self) -> Packed {
        self.packed
    }
}

/// Its configuration. A guest that reads the time often would wait for an emulated counter.
impl Display for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, kernel, memory_mib, words, lines, packed: _ } = self;
        writeln!(f, "name = {name:?}\nkernel = \"{kernel}/vmlinuz\"\nramdisk = \"{kernel}/initrd\"")?;
        writeln!(
            f,
            "cmdline = \"console=hvc0 panic=1 {words}\"\nmemory = {memory_mib}\ntsc_mode = \"native\""
        )?;
        lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// XenStore with two replicas, and the toolstack, which starts these guests. The first guest's domain is [`FIRST`].
pub fn host_with(guests: &[Guest]) -> System {
    crate::system::TOOL.starting(guests)
}

/// The domain of the first guest of [`host_with`], behind those of the components.
pub const FIRST: u16 = 5;

#[cfg(test)]
mod tests {
    use super::*;
    use xlcfg::Config;

    #[test]
    fn a_guest_is_configured_as_it_is_described() {
        let guest = Guest::new("web").of("trixie-guest").memory_mib(64).does("task=store");
        let config =
            Config::read(&guest.with("vif = ['bridge=xenbr0']").with("vcpus = 2").to_string()).unwrap();
        assert_eq!((config.name.as_str(), config.memory_mib, config.vcpus), ("web", 64, 2));
        assert_eq!(config.kernel, "trixie-guest/vmlinuz");
        assert!(config.cmdline.ends_with(" task=store"), "{}", config.cmdline);
        assert_eq!(config.vifs.len(), 1);
    }
}
