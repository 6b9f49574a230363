//! What the compiler cannot be asked to check: where `unsafe` stands, which lints each crate has, how long files are.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

use crate::workspace::{self, Crate, Workspace, WorkspaceError};

/// The only folder whose crates may use `unsafe`.
const UNSAFE_HOME: &str = "sys";
/// The lint that makes each `unsafe` block there say why it is sound.
const SAFETY_LINT: &str = "undocumented_unsafe_blocks";
/// Lines of a Rust file: one that is longer has two subjects.
const MAX_LINES: usize = 600;

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// Which file.
    path: PathBuf,
    /// Which line, where one can be named; from 1.
    line: Option<usize>,
    /// What is wrong with it.
    rule: Rule,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    UnsafeOutside,
    TooLong { lines: usize },
    NotRust { why: String },
    NoWorkspaceLints,
    NoSafetyLint,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        match &self.rule {
            Rule::UnsafeOutside => {
                write!(
                    f,
                    ": `unsafe` may stand under {UNSAFE_HOME}/ only: use what the library OS offers, or extend it"
                )
            }
            Rule::TooLong { lines } => {
                write!(f, ": {lines} lines, and {MAX_LINES} are the most: split it by subject")
            }
            Rule::NotRust { why } => write!(f, ": does not read as Rust: {why}"),
            Rule::NoWorkspaceLints => write!(f, ": asked for `[lints] workspace = true`"),
            Rule::NoSafetyLint => {
                write!(
                    f,
                    ": asked for `{SAFETY_LINT} = \"deny\"` in `[lints.clippy]`, or the workspace's lints"
                )
            }
        }
    }
}

/// Checks every crate of the workspace; answers what is broken.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Violation>, WorkspaceError> {
    let folders = [&workspace::HOST_FOLDERS[..], &workspace::UK_FOLDERS, &workspace::SYSTEM_FOLDERS].concat();
    let mut violations = Vec::new();
    for one in workspace.crates_in(&folders)? {
        let place = workspace.relative(&one.folder);
        let may_be_unsafe = place.starts_with(UNSAFE_HOME);
        let rule = lint_rule(&one, may_be_unsafe);
        violations.extend(rule.map(|rule| Violation { path: place.join("Cargo.toml"), line: None, rule }));
        for path in rust_files(&one.folder)? {
            let text = fs::read_to_string(&path)
                .map_err(|source| WorkspaceError::Read { path: path.clone(), source })?;
            let place = workspace.relative(&path);
            violations.extend(check_source(place, &text, may_be_unsafe));
        }
    }
    Ok(violations)
}

/// The lints that a crate must have: the workspace's, which forbid `unsafe`; under `sys/` a list of its own will do.
fn lint_rule(one: &Crate, may_be_unsafe: bool) -> Option<Rule> {
    let lints = one.manifest.get("lints");
    let inherits =
        lints.and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool) == Some(true);
    let own = lints.and_then(|lints| lints.get("clippy")?.get(SAFETY_LINT));
    let level = own.map(|lint| lint.get("level").unwrap_or(lint)).and_then(toml::Value::as_str);
    match (inherits, may_be_unsafe) {
        (true, _) => None,
        (false, false) => Some(Rule::NoWorkspaceLints),
        (false, true) => (!matches!(level, Some("deny" | "forbid"))).then_some(Rule::NoSafetyLint),
    }
}

fn check_source(path: &Path, text: &str, may_be_unsafe: bool) -> Vec<Violation> {
    let violation = |line, rule| Violation { path: path.to_path_buf(), line, rule };
    let mut found = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        found.push(violation(None, Rule::TooLong { lines }));
    }
    if !may_be_unsafe {
        match text.parse::<TokenStream>() {
            Ok(tokens) => found.extend(
                unsafe_lines(tokens).into_iter().map(|line| violation(Some(line), Rule::UnsafeOutside)),
            ),
            Err(error) => {
                let line = Some(error.span().start().line);
                found.push(violation(line, Rule::NotRust { why: error.to_string() }));
            }
        }
    }
    found
}

/// The lines on which the word `unsafe` stands as code: not in comments or strings, but in macros and in code that is
/// compiled out, which the compiler's own lint does not see.
fn unsafe_lines(tokens: TokenStream) -> Vec<usize> {
    let lines = tokens.into_iter().flat_map(|token| match token {
        TokenTree::Group(group) => unsafe_lines(group.stream()),
        TokenTree::Ident(word) if word == "unsafe" => vec![word.span().start().line],
        _ => Vec::new(),
    });
    lines.collect()
}

/// Every Rust file below `folder`.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, WorkspaceError> {
    let mut found = Vec::new();
    for path in workspace::entries(folder)? {
        let name = path.file_name().unwrap_or_default();
        if path.is_dir() && !path.is_symlink() && name != "target" {
            found.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str, may_be_unsafe: bool) -> Vec<(Option<usize>, Rule)> {
        let found = check_source(Path::new("a.rs"), text, may_be_unsafe);
        found.into_iter().map(|violation| (violation.line, violation.rule)).collect()
    }

    fn of_manifest(text: &str, may_be_unsafe: bool) -> Option<Rule> {
        let one = Crate { name: "a".into(), folder: "a".into(), manifest: text.parse().unwrap() };
        lint_rule(&one, may_be_unsafe)
    }

    #[test]
    fn unsafe_is_found_in_blocks_attributes_macros_and_code_left_out() {
        for text in [
            "fn f() {\n unsafe { g() } }",
            "fn f() {}\n#[unsafe(no_mangle)] fn g() {}",
            "macro_rules! m { () => {\n { unsafe { g() } } } }",
            "#[cfg(any())]\nunsafe fn f() {}",
        ] {
            assert_eq!(rules(text, false), [(Some(2), Rule::UnsafeOutside)], "{text}");
            assert_eq!(rules(text, true), [], "{text}");
        }
    }

    #[test]
    fn the_word_in_comments_strings_and_other_words_is_no_code() {
        let text = "//! unsafe\n/* unsafe */ const A: &str = \"unsafe\"; fn r#try() { unsafe_free() }";
        assert_eq!(rules(text, false), []);
    }

    #[test]
    fn long_files_and_files_that_are_not_rust_are_named() {
        let long = "//\n".repeat(MAX_LINES + 1);
        assert_eq!(rules(&long, true), [(None, Rule::TooLong { lines: MAX_LINES + 1 })]);
        assert_eq!(rules(&"//\n".repeat(MAX_LINES), true), []);
        let found = rules("fn f() {\n", false);
        assert!(matches!(&found[..], [(_, Rule::NotRust { .. })]), "{found:?}");
    }

    #[test]
    fn a_crate_has_the_workspaces_lints_or_under_sys_its_own() {
        let inherits = "[lints]\nworkspace = true";
        let own = "[lints.clippy]\nundocumented_unsafe_blocks = \"deny\"";
        let own_table = "[lints.clippy]\nundocumented_unsafe_blocks = { level = \"forbid\", priority = 1 }";
        let weak = "[lints.clippy]\nundocumented_unsafe_blocks = \"warn\"";
        assert_eq!(of_manifest(inherits, false), None);
        assert_eq!(of_manifest(inherits, true), None);
        assert_eq!(of_manifest(own, true), None);
        assert_eq!(of_manifest(own_table, true), None);
        assert_eq!(of_manifest(own, false), Some(Rule::NoWorkspaceLints));
        assert_eq!(of_manifest(weak, true), Some(Rule::NoSafetyLint));
        assert_eq!(of_manifest("", true), Some(Rule::NoSafetyLint));
    }
}
