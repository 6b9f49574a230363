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

    /// Adds a count of what must not happen at all.
    pub fn add_count(&mut self, id: impl Into<String>, count: u64) {
        let row =
            |summary| Row { id: id.into(), unit: "times", summary, peer: None, ratio: None, aim: Some(0) };
        self.rows.extend(Summary::of(&[count]).map(row));
    }

    /// Adds samples of our program and of others that do the same, measured in turns; less is better. `aim` is what our median may be
    /// at most, over that of the better of the others.
    pub fn add_beside(
        &mut self,
        id: impl Into<String>,
        unit: &'static str,
        samples: &[u64],
        others: &[(&str, &[u64])],
        aim: Option<f64>,
    ) {
        let known = others.iter().filter_map(|(name, samples)| {
            Some(Peer { name: (*name).to_owned(), summary: Summary::of(samples)? })
        });
        let peer = known.min_by_key(|peer| peer.summary.p50);
        let Some(summary) = Summary::of(samples) else { return };
        let beside = peer.as_ref().map(|peer| peer.summary.p50 as f64);
        let ratio = beside.map(|beside| summary.p50 as f64 / beside.max(1.0));
        let aim = beside.zip(aim).map(|(beside, aim)| (beside * aim) as u64);
        self.rows.push(Row { id: id.into(), unit, summary, peer, ratio, aim });
    }

    /// Prints the report for people, and writes it for machines if there is a path.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn publish(&self, json: Option<&Path>) -> Result<()> {
        println!("{self}");
        json.map_or(Ok(()), |path| self.write_json(path))
    }

    /// Writes the report for machines.
    fn write_json(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The report for people.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(UTF8_BORDERS_ONLY);
        table.set_header(["", "unit", "n", "min", "p50", "p95", "p99", "max", "peer", "ratio", "aim", ""]);
        for column in table.column_iter_mut().skip(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        for Row { id, unit, summary, peer, ratio, aim } in &self.rows {
            let Summary { n, min, p50, p95, p99, max } = summary;
            let verdict = match aim {
                None => "",
                Some(aim) if p50 <= aim => "reached",
                Some(_) => "not yet",
            };
            let aim = aim.map_or_else(String::new, |aim| aim.to_string());
            let figures = [n.to_string(), min.to_string(), p50.to_string(), p95.to_string()];
            let peer =
                peer.as_ref().map_or_else(String::new, |peer| format!("{} {}", peer.name, peer.summary.p50));
            let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
            let more = [p99.to_string(), max.to_string(), peer, ratio, aim, verdict.to_owned()];
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
    fn the_better_peer_is_the_measure() {
        let mut report = Report::new("xenstore");
        report.add_beside(
            "read",
            "ns",
            &[10, 20, 30],
            &[("slow", &[100]), ("fast", &[40]), ("none", &[])],
            Some(0.5),
        );
        let json: serde_json::Value = serde_json::to_value(&report).unwrap();
        let row = &json["rows"][0];
        assert_eq!((&row["peer"]["name"], &row["peer"]["p50"]), (&"fast".into(), &40.into()));
        assert_eq!((&row["ratio"], &row["aim"], &row["unit"]), (&0.5.into(), &20.into(), &"ns".into()));
        assert!(report.to_string().contains("fast 40"), "{report}");
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
