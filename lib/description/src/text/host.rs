//! The table `[host]`.

use super::section::Section;
use super::value::{choice, micros, number, pages, seconds, short};
use crate::{Console, Host};

pub(super) fn read(section: &mut Section<'_, '_>) -> Host {
    let mut host = Host::DEFAULT;
    section.set("memory", &mut host.memory_pages, pages);
    section.set("weight", &mut host.weight, number);
    section.set("check-period", &mut host.check_period_us, micros);
    host.slice_us = section.read("slice", short);
    section.set("console", &mut host.console, choice(&Console::NAMES));
    section.set("plane-rebuilds", &mut host.plane_rebuilds, number);
    section.set("plane-window", &mut host.plane_window_us, micros);
    section.set("watchdog", &mut host.watchdog_us, micros);
    section.set("host-watchdog", &mut host.host_watchdog_s, seconds);
    section.set("restarts", &mut host.restarts, number);
    section.set("restart-window", &mut host.restart_window_us, micros);
    host
}
