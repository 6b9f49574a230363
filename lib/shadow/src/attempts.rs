//! How often a part has been made anew of late: one that fails again at once is not what is broken.

/// Attempts within a window of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    count: u8,
    since_us: u64,
}

impl Attempts {
    /// A part that fails more often than this within [the window](Self::WINDOW_US) is not what is broken: everything is made anew then.
    pub const MOST: u8 = 5;

    /// The window, in microseconds: tests kill a part every second, and one that dies each time it is started does so in milliseconds.
    pub const WINDOW_US: u64 = 1_000_000;

    /// There were none.
    pub const NONE: Self = Self { count: 0, since_us: 0 };

    /// Counts another one, and says whether there are no more than `most` in the window of `window_us` that it falls into.
    pub fn another(&mut self, now_us: u64, most: u8, window_us: u64) -> bool {
        if now_us.saturating_sub(self.since_us) >= window_us {
            *self = Self { count: 0, since_us: now_us };
        }
        self.count = self.count.saturating_add(1);
        self.count <= most
    }
}
