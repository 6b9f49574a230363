//! The log: to the journal in its own format, or to standard error.
//!
//! On standard error each line begins with its priority in angle brackets (sd-daemon(3)) if that is a pipe of the
//! journal's or of a service manager's, and with nothing if it is a terminal.

use std::fmt::{self, Write as _};
use std::io::IsTerminal;

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::{LogTo, Options};

/// Sets the log up for the process.
pub fn start(options: &Options) {
    let most = if options.verbose { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let wants_journal = match options.log {
        LogTo::Journal => true,
        LogTo::Stderr => false,
        LogTo::Auto => options.detached || std::env::var_os("JOURNAL_STREAM").is_some(),
    };
    let journal = if wants_journal { tracing_journald::layer().ok() } else { None };
    let stderr = journal.is_none().then(|| Lines { priorities: !std::io::stderr().is_terminal() });
    let journal = journal.map(|layer| layer.with_syslog_identifier("xenstored".to_owned()));
    // A second start in one process is a test's; its log goes where the first one's does.
    let _ = tracing_subscriber::registry().with(most).with(journal).with(stderr).try_init();
}

/// Lines on standard error: the message, then its fields.
struct Lines {
    priorities: bool,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let priority = match *event.metadata().level() {
            Level::ERROR => "<3>",
            Level::WARN => "<4>",
            Level::INFO => "<6>",
            _ => "<7>",
        };
        let priority = if self.priorities { priority } else { "" };
        let text = format!("{priority}xenstored: {}{}\n", line.message, line.fields);
        crate::account::wrote(text.len());
        eprint!("{text}");
    }
}

/// An event, as text.
#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string does not fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}
