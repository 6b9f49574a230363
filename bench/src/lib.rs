//! What the benchmarks share: their options, summaries of samples, and the report with its two shapes, a table for people and JSON for machines.
//!
//! Each benchmark is a program of its own, in `bin`.

pub mod network;
pub mod options;
pub mod process;
pub mod provenance;
pub mod report;
pub mod summary;
