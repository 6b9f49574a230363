//! The text form of a description: `rvmm.toml`.
//!
//! ```
//! let text = r#"
//!     [[component]]
//!     name = "net"
//!     devices = [{ class = "net" }]
//!     dma = "512 KiB"
//! "#;
//! let description = description::text::parse("rvmm.toml", text).unwrap();
//! assert_eq!(description.components[0].heartbeat_period_us, 5_000);
//!
//! let report = description::text::parse("rvmm.toml", &text.replace("dma", "dmma")).unwrap_err();
//! assert!(report.to_string().contains("did you mean \"dma\"?"));
//! ```
//!
//! [`parse`] reports everything that is wrong at once, each [`Finding`] with its place in the text. What a value means
//! stands in the types of this crate, and every key in the manual's page on the system description.

mod component;
mod device;
mod finding;
mod guest;
mod host;
mod place;
mod section;
mod shared;
mod value;

pub use finding::{Finding, Report};

use crate::Description;
use finding::Findings;
use section::Section;
use toml::de::DeTable;

/// Reads and checks a description. `file` is the name to show in the report.
pub fn parse(file: &str, text: &str) -> Result<Description, Report> {
    let mut findings = Findings::default();
    let (root, errors) = DeTable::parse_recoverable(text);
    for error in errors {
        findings.add(error.span().unwrap_or(0..0), format!("not TOML: {}", error.message().trim_end()));
    }
    // Rules about what a damaged text seems to say would only mislead.
    let description =
        if findings.is_empty() { read(root.get_ref(), &mut findings) } else { Description::default() };
    if findings.is_empty() { Ok(description) } else { Err(findings.into_report(file, text)) }
}

/// Reads all tables, then asks the rules about what could be read.
fn read(root: &DeTable<'_>, findings: &mut Findings) -> Description {
    let mut top = Section::new(Some(root), 0..0, findings);
    let (host, host_origin) = top.table("host", host::read);
    let defaults = top.value("defaults").and_then(|value| value.get_ref().as_table());
    let ((), defaults_origin) = top.table("defaults", component::check_defaults);
    let fall_back = defaults.map(|table| (table, &defaults_origin));
    let drafts = top.tables("component", |section| component::read(section, fall_back));
    let shared = top.tables("shared", shared::read);
    let guests = top.tables("guest", guest::read);
    let mut map = place::Map::new(top.finish(), host_origin);

    let mut description = Description { host, ..Description::default() };
    let names = component::expand(drafts, &mut description, &mut map, findings);
    shared::collect(shared, &names, &mut description, &mut map, findings);
    guest::collect(guests, &mut description, &mut map, findings);
    description.check(&mut |place, problem| map.report(place, &problem, &description, findings));
    description
}
