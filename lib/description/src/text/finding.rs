//! What is wrong with a text, and how that is shown.

use core::fmt;
use core::ops::Range;

/// One thing that is wrong with a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What was asked for, what was found, what is needed.
    pub what: String,
    /// What to do, or what else to know.
    pub notes: Vec<String>,
    /// How many characters are meant, within the line.
    width: usize,
    /// The line's text.
    source: String,
}

/// Everything that is wrong with a text, in the order of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    file: String,
    findings: Vec<Finding>,
}

/// What has been found so far.
#[derive(Default)]
pub(super) struct Findings(Vec<Draft>);

/// A finding that still has its place in bytes.
struct Draft {
    span: Range<usize>,
    what: String,
    notes: Vec<String>,
}

/// What is wrong with a value: what, and what to do about it.
pub(super) struct Complaint {
    pub(super) what: String,
    pub(super) help: Option<String>,
}

impl Complaint {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(format!("help: {}", help.into()));
        self
    }
}

impl Findings {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, span: Range<usize>, what: impl Into<String>) {
        self.complain(span, Complaint::new(what));
    }

    pub(super) fn complain(&mut self, span: Range<usize>, complaint: Complaint) {
        self.note(span, complaint.what, complaint.help);
    }

    /// Adds a finding with notes; what was found before at the same place is not repeated.
    pub(super) fn note(&mut self, span: Range<usize>, what: String, notes: impl IntoIterator<Item = String>) {
        if !self.0.iter().any(|old| old.span == span && old.what == what) {
            self.0.push(Draft { span, what, notes: notes.into_iter().collect() });
        }
    }

    pub(super) fn into_report(mut self, file: &str, text: &str) -> Report {
        self.0.sort_by_key(|draft| draft.span.start);
        let findings = self.0.into_iter().map(|draft| draft.locate(text)).collect();
        Report { file: file.into(), findings }
    }
}

impl Draft {
    fn locate(self, text: &str) -> Finding {
        let start = text.floor_char_boundary(self.span.start);
        let before = &text[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = text.floor_char_boundary(self.span.end).clamp(start, line_end);
        Finding {
            line: before.matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            what: self.what,
            notes: self.notes,
            width: text[start..end].trim_end().chars().count().max(1),
            source: text[line_start..line_end].trim_end().into(),
        }
    }
}

impl Report {
    /// What is wrong, in the order of the text.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let Finding { line, column, what, .. } = finding;
            writeln!(f, "error: {what}")?;
            let margin = line.to_string().len();
            writeln!(f, "{:margin$}--> {}:{line}:{column}", "", self.file)?;
            // Tabs stay, so that the caret stands below what it points at.
            let indent = finding.source.chars().take(column - 1).map(|c| if c == '\t' { c } else { ' ' });
            writeln!(f, "{:margin$} |", "")?;
            writeln!(f, "{line} | {}", finding.source)?;
            writeln!(f, "{:margin$} | {}{}", "", indent.collect::<String>(), "^".repeat(finding.width))?;
            for note in &finding.notes {
                writeln!(f, "{:margin$} = {note}", "")?;
            }
            writeln!(f)?;
        }
        let count = self.findings.len();
        write!(f, "{}: {count} {}", self.file, if count == 1 { "error" } else { "errors" })
    }
}

impl core::error::Error for Report {}
