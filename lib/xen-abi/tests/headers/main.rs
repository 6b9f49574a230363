//! Compares every structure, number and flag of this crate with Xen's own headers.
//!
//! The tables name the C side of each. A C program, made from them and compiled against the headers, prints
//! what the compiler knows; it must be what the crate says. `XEN_HEADERS` lists the include directories to
//! compare with, separated as in `PATH`: for instance the `usr/include` of two unpacked libxen-dev packages.
//! Without it, the system's own headers are used.

#[macro_use]
mod table;
mod completeness;
mod constants;
mod flags;
mod numbers;
mod structs;

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use table::{Entry, Table};
use xen_abi::AbiVersion;

/// Where headers are if nobody says otherwise.
const SYSTEM_HEADERS: &str = "/usr/include";

fn header_directories() -> Vec<PathBuf> {
    let directories = match env::var_os("XEN_HEADERS") {
        Some(list) => env::split_paths(&list).collect(),
        None => vec![PathBuf::from(SYSTEM_HEADERS)],
    };
    for directory in &directories {
        assert!(
            directory.join("xen/xen.h").is_file(),
            "no Xen headers: {} does not exist. Install libxen-dev, or set XEN_HEADERS to the include \
             directories of unpacked libxen-dev packages.",
            directory.join("xen/xen.h").display(),
        );
    }
    directories
}

fn table() -> Table {
    let mut table = Table::default();
    structs::fill(&mut table);
    numbers::fill(&mut table);
    flags::fill(&mut table);
    constants::fill(&mut table);
    table
}

/// The headers that the tables draw on.
const HEADERS: [&str; 19] = [
    "xen",
    "callback",
    "domctl",
    "elfnote",
    "event_channel",
    "features",
    "grant_table",
    "memory",
    "physdev",
    "sched",
    "sysctl",
    "vcpu",
    "version",
    "io/blkif",
    "io/console",
    "io/netif",
    "io/ring",
    "io/xenbus",
    "io/xs_wire",
];

/// The list of errors as Xen itself has it, which is longer by two.
const ERRORS: &str = "\
#define __XEN__ 1
#define XEN_ERRNO(name, value) ERROR_##name = (value),
enum error {
#include <xen/errno.h>
};
";

/// A program that prints the number and value of each entry that these headers know.
fn c_program(entries: &[Entry]) -> String {
    let mut program = String::from("#define __XEN_TOOLS__ 1\n");
    for header in ["stddef", "stdint", "stdio"]
        .map(String::from)
        .into_iter()
        .chain(HEADERS.map(|name| format!("xen/{name}")))
    {
        program.push_str(&format!("#include <{header}.h>\n"));
    }
    program.push_str(ERRORS);
    program.push_str("int main(void) {\n");
    for (index, entry) in entries.iter().enumerate() {
        let line = format!("    printf(\"{index} %lld\\n\", (long long)({}));\n", entry.c);
        match entry.only_if {
            Some(condition) => program.push_str(&format!("#if {condition}\n{line}#endif\n")),
            None => program.push_str(&line),
        }
    }
    program.push_str("    return 0;\n}\n");
    program
}

/// Compiles the program against the headers and runs it.
fn values_in(headers: &Path, entries: &[Entry], name: &str) -> BTreeMap<usize, i64> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let source = scratch.join(format!("{name}.c"));
    let program = scratch.join(name);
    fs::write(&source, c_program(entries)).expect("the scratch directory can be written");
    let compiled = Command::new("cc")
        .args(["-std=gnu11", "-w", "-I"])
        .args([headers, Path::new("-o"), &program, &source])
        .output()
        .expect("a C compiler named cc is installed");
    let messages = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{} does not compile:\n{messages}", source.display());

    let output = Command::new(&program).output().expect("what was compiled runs");
    assert!(output.status.success(), "{} failed: {}", program.display(), output.status);
    let parse = |line: &str| {
        let (index, value) = line.split_once(' ')?;
        Some((index.parse().ok()?, value.parse().ok()?))
    };
    let text = String::from_utf8(output.stdout).expect("the program prints numbers");
    text.lines().map(|line| parse(line).unwrap_or_else(|| panic!("not two numbers: {line}"))).collect()
}

#[test]
fn the_crate_agrees_with_xens_headers() {
    let entries = table().entries;
    let mut differences = Vec::new();
    for (number, headers) in header_directories().iter().enumerate() {
        let values = values_in(headers, &entries, &format!("headers{number}"));
        for (index, entry) in entries.iter().enumerate() {
            let at = |found: &str| {
                format!(
                    "{}: {} is {}, but {} is {found}",
                    headers.display(),
                    entry.rust,
                    entry.value,
                    entry.c
                )
            };
            match values.get(&index) {
                Some(&value) if value == entry.value => {}
                Some(value) => differences.push(at(&value.to_string())),
                None if entry.only_if.is_some() => {}
                None => differences.push(at("not there")),
            }
        }
    }
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn the_headers_interface_versions_are_known() {
    let entry = |c: &str| Entry { rust: String::new(), value: 0, c: c.into(), only_if: None };
    let asked = [entry("XEN_DOMCTL_INTERFACE_VERSION"), entry("XEN_SYSCTL_INTERFACE_VERSION")];
    for (number, headers) in header_directories().iter().enumerate() {
        let found = values_in(headers, &asked, &format!("versions{number}"));
        let known = AbiVersion::ALL.iter().any(|version| {
            i64::from(version.domctl_interface_version()) == found[&0]
                && i64::from(version.sysctl_interface_version()) == found[&1]
        });
        assert!(known, "{}: domctl {:#x}, sysctl {:#x}", headers.display(), found[&0], found[&1]);
    }
}

#[test]
fn nothing_that_the_crate_declares_is_left_out() {
    completeness::check(&table());
}
