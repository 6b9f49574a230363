//! Numbers that look random and are the same each time.

use std::env;

/// Steele, Lea and Flood's SplitMix64.
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// Less than `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// Whether something happens that does so once in `times`.
    pub fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of several.
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// The runs to be made: one that is asked for, or `usually` of them.
pub fn seeds(usually: u64) -> Vec<u64> {
    let number = |name| env::var(name).ok().map(|text| text.parse().expect("a number"));
    match number("NETWORK_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("NETWORK_RUNS").unwrap_or(usually)).collect(),
    }
}

/// Makes runs, and says which one failed.
pub fn for_each_seed(usually: u64, run: impl Fn(u64) + std::panic::RefUnwindSafe) {
    for seed in seeds(usually) {
        let made = std::panic::catch_unwind(|| run(seed));
        if let Err(cause) = made {
            eprintln!("this was NETWORK_SEED={seed}");
            std::panic::resume_unwind(cause);
        }
    }
}
