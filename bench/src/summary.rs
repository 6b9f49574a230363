//! A few numbers that stand for many samples.

use serde::Serialize;

/// The distribution of a set of samples.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Summary {
    /// How many samples there were.
    pub n: usize,
    /// The smallest.
    pub min: u64,
    /// The median.
    pub p50: u64,
    /// The 95th percentile.
    pub p95: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

impl Summary {
    /// Sums samples up; `None` if there are none. A percentile is the smallest sample that is not below so many per cent of all (the
    /// nearest rank): always a sample, never a mean of two.
    pub fn of(samples: &[u64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_unstable();
        let rank = |percent: usize| (sorted.len() * percent).div_ceil(100).max(1) - 1;
        Some(Summary {
            n: sorted.len(),
            min: *sorted.first()?,
            p50: *sorted.get(rank(50))?,
            p95: *sorted.get(rank(95))?,
            p99: *sorted.get(rank(99))?,
            max: *sorted.last()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hundred_samples_are_their_own_percentiles() {
        let samples: Vec<u64> = (1..=100).rev().collect();
        let summary = Summary { n: 100, min: 1, p50: 50, p95: 95, p99: 99, max: 100 };
        assert_eq!(Summary::of(&samples), Some(summary));
    }

    #[test]
    fn few_samples_are_enough_and_none_are_not() {
        assert_eq!(Summary::of(&[7]), Some(Summary { n: 1, min: 7, p50: 7, p95: 7, p99: 7, max: 7 }));
        assert_eq!(Summary::of(&[9, 4]).map(|summary| (summary.p50, summary.p95)), Some((4, 9)));
        assert_eq!(Summary::of(&[]), None);
    }
}
