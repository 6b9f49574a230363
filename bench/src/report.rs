//! The report of a benchmark.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use crate::provenance;
use crate::summary::Summary;

/// Another program's figures for the same thing.
#[derive(Clone, Debug, Serialize)]
pub struct Peer {
    /// The program.
    pub name: String,
    /// Its figures.
    #[serde(flatten)]
    pub summary: Summary,
}

/// What was measured, once.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// A path such as `idle/ud2/micro-reboot/detect`.
    pub id: String,
    /// The unit of all its figures.
    pub unit: &'static str,
    /// The figures.
    #[serde(flatten)]
    pub summary: Summary,
    /// The better of the programs that do the same.
    pub peer: Option<Peer>,
    /// Our median over the peer's, measured in turns.
    pub ratio: Option<f64>,
    /// What the median is to be at most.
    pub aim: Option<u64>,
}

/// Everything that one run of a benchmark found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    bench: &'static str,
    commit: String,
    machine: String,
    versions: BTreeMap<&'static str, String>,
    seed: u64,
    rows: Vec<Row>,
}

impl Report {
    /// An empty report of the benchmark called `bench`.
    pub fn new(bench: &'static str) -> Self {
        Report {
            bench,
            commit: provenance::commit(),
            machine: provenance::machine(),
            versions: provenance::versions(),
            seed: 0,
            rows: Vec::new(),
        }
    }

    /// Adds the version of a program that has a part in the figures.
    pub fn version(&mut self, program: &'static str, version: impl ToString) {
        self.versions.insert(program, version.to_string());
    }

    /// Adds samples, in microseconds; none make no row.
    pub fn add(&mut self, id: impl Into<String>, samples_us: &[u64], aim_us: Option<u64>) {
        let row = |summary| Row { id: id.into(), unit: "us", summary, peer: None, ratio: None, aim: aim_us };
        self.rows.extend(Summary::of(samples_us).map(row));
    }

    /// Writes the report for machines.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_json(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The report for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        table.set_header(["", "unit", "n", "min", "p50", "p95", "p99", "max", "aim", ""]);
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for Row { id, unit, summary, aim, .. } in &self.rows {
            let Summary { n, min, p50, p95, p99, max } = summary;
            let verdict = match aim {
                None => "",
                Some(aim) if p50 <= aim => "reached",
                Some(_) => "not yet",
            };
            let aim = aim.map_or_else(String::new, |aim| aim.to_string());
            let figures = [n.to_string(), min.to_string(), p50.to_string(), p95.to_string()];
            let more = [p99.to_string(), max.to_string(), aim, verdict.to_owned()];
            let names = [id.clone(), (*unit).to_owned()];
            table.add_row(names.into_iter().chain(figures).chain(more));
        }
        write!(f, "{} at {} on {}\n{table}", self.bench, self.commit, self.machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_has_the_shape_that_all_benchmarks_share() {
        let mut report = Report::new("recovery");
        report.add("idle/ud2/micro-reboot/detect", &[3, 1, 2], Some(200));
        report.add("nothing/measured", &[], None);
        let json: serde_json::Value = serde_json::to_value(&report).unwrap();
        assert_eq!(json["bench"], "recovery");
        assert!(json["versions"].is_object());
        let rows = json["rows"].as_array().unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(
            rows[0],
            serde_json::json!({
                "id": "idle/ud2/micro-reboot/detect", "unit": "us", "n": 3, "min": 1, "p50": 2, "p95": 3, "p99": 3,
                "max": 3, "peer": null, "ratio": null, "aim": 200,
            })
        );
    }

    #[test]
    fn the_table_says_whether_an_aim_is_reached() {
        let mut report = Report::new("recovery");
        report.add("fast", &[1], Some(2));
        report.add("slow", &[3], Some(2));
        let table = report.to_string();
        let line = |id: &str| table.lines().find(|line| line.contains(id)).unwrap();
        assert!(line("fast").contains("reached"), "{table}");
        assert!(line("slow").contains("not yet"), "{table}");
    }
}
