//! The rules of a guest.

use super::{Checker, Keys, MIB, check_text};
use crate::{Amount, Guest, Problem, Source};

pub(super) fn check(guest: &Guest, to: &mut Checker<'_>) {
    match &guest.source {
        Source::Config { path } => check_path(&["config"], path, to),
        Source::Kernel { kernel, ramdisk, cmdline, memory_pages, vcpus, weight } => {
            check_path(&["kernel"], kernel, to);
            if let Some(path) = ramdisk {
                check_path(&["ramdisk"], path, to);
            }
            check_text(&["cmdline"], cmdline, to);
            let memory = Amount::pages(*memory_pages);
            to.least(&["memory"], memory, 8 * MIB, "no kernel of today starts in less");
            let why = "a tebibyte is more than any host that this is for has";
            to.most(&["memory"], memory, 1024 * 1024 * MIB, why);
            let vcpus = Amount::count(*vcpus);
            to.least(&["vcpus"], vcpus, 1, "a guest runs on something");
            to.most(&["vcpus"], vcpus, 128, "Xen gives a guest no more");
            to.least(&["weight"], Amount::count(*weight), 1, "credit2 divides the CPU by weights");
        }
    }
}

fn check_path(keys: Keys, path: &str, to: &mut Checker<'_>) {
    if path.is_empty() {
        to.problem(keys, Problem::Impossible { why: "a path has at least one character" });
    }
    check_text(keys, path, to);
}
