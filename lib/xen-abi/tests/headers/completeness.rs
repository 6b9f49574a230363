//! That the tables hold all that the crate declares: its sources are searched for it.

use crate::table::Table;
use std::fs;
use std::path::Path;

/// Declarations without a counterpart in Xen's headers, and why.
const NOT_IN_HEADERS: &[(&str, &[&str])] = &[
    (
        "our own types, over several of Xen's or beside them",
        &[
            "domctl::CreateDomain",
            "domctl::Sbdf",
            "errno::XenError",
            "event_channel::PortState",
            "grant_table::CopyPlace",
            "grant_table::GrantError",
            "mmu::Foreign",
            "payload::Payload",
            "version::AbiVersion",
            "version::BUILD_ID_MAX",
            "version::XenVersion",
        ],
    ),
    (
        "the CPU's",
        &[
            "mmu::PTES_PER_TABLE",
            "mmu::PTE_FRAME_MASK",
            "mmu::Pte",
            "mmu::PteFlags",
            "types::PAGE_SHIFT",
            "types::PAGE_SIZE",
        ],
    ),
    ("the firmware's (E820)", &["memory::MemoryMapEntry", "memory::MemoryType"]),
    (
        "bare numbers or strings in the headers' comments, or only in Xen's source",
        &[
            "domctl::TscMode",
            "elfnote::OWNER",
            "physdev::Polarity",
            "physdev::Triggering",
            "start_info::MAGIC_PREFIX",
        ],
    ),
];

/// What a line of source declares, in the open or as input of a macro: structures and enums of the module
/// and, further to the left, its constants and types. What an `impl` declares belongs to a type.
fn declared(line: &str) -> Option<&str> {
    let words: &[&str] = match line.strip_prefix("    ") {
        Some(_) => &["    pub struct ", "    pub enum "],
        None => &["pub struct ", "pub enum ", "pub const ", "pub type "],
    };
    let rest = words.iter().find_map(|word| line.strip_prefix(word))?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    Some(&rest[..end]).filter(|name| !matches!(*name, "" | "fn"))
}

/// The declarations of a source file, as `module::Name`.
fn declarations(file: &Path, module: &str) -> Vec<String> {
    let source = fs::read_to_string(file).expect("the crate's source can be read");
    source.lines().filter_map(declared).map(|name| format!("{module}::{name}")).collect()
}

/// The declarations of the whole crate.
fn all_declarations() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut directories = vec![(root, None)];
    while let Some((directory, parent)) = directories.pop() {
        for entry in fs::read_dir(directory).expect("the crate's source can be read") {
            let path = entry.expect("the crate's source can be read").path();
            let name = path.file_stem().and_then(|stem| stem.to_str()).expect("names are text").to_owned();
            let module: &String = parent.as_ref().unwrap_or(&name);
            if path.is_dir() {
                directories.push((path, Some(name)));
            } else if name != "macros" {
                found.extend(declarations(&path, module));
            }
        }
    }
    found
}

/// Fails if something is declared but neither compared nor excepted, or excepted but not declared.
pub(crate) fn check(table: &Table) {
    let declared = all_declarations();
    let excepted: Vec<String> =
        NOT_IN_HEADERS.iter().flat_map(|(_, names)| names.iter().map(|&name| name.into())).collect();
    let missing: Vec<_> =
        declared.iter().filter(|&name| !table.covered.contains(name) && !excepted.contains(name)).collect();
    assert!(missing.is_empty(), "declared, but compared with nothing: {missing:?}");
    let gone: Vec<_> =
        excepted.iter().chain(&table.covered).filter(|name| !declared.contains(name)).collect();
    assert!(gone.is_empty(), "in the tables, but not declared: {gone:?}");
}
