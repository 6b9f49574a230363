//! Where figures come from: which commit, which machine, which versions.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::thread;

/// What is said when something cannot be found out.
const UNKNOWN: &str = "unknown";

/// The commit that is checked out, with `+` if files differ from it.
pub fn commit() -> String {
    let git = |arguments: &[&str]| output("git", arguments);
    match (git(&["rev-parse", "HEAD"]), git(&["status", "--porcelain"])) {
        (Some(commit), Some(changes)) if changes.is_empty() => commit,
        (Some(commit), _) => commit + "+",
        (None, _) => UNKNOWN.into(),
    }
}

/// The processor, and how many there are.
pub fn machine() -> String {
    let information = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = information.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let count = thread::available_parallelism().map_or(1, usize::from);
    format!("{count} x {}", model.map_or(UNKNOWN, |(_, model)| model))
}

/// The versions of the programs that have a part in the figures; more can be added.
pub fn versions() -> BTreeMap<&'static str, String> {
    let first_line = |program| output(program, &["--version"])?.lines().next().map(str::to_owned);
    ["qemu-system-x86_64", "rustc"]
        .into_iter()
        .map(|program| (program, first_line(program).unwrap_or_else(|| UNKNOWN.into())))
        .collect()
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
