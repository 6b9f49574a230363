//! How long a device may finish nothing before its driver is taken to hang: some times as long as it has been seen to take.
//!
//! No number fits a disk in a datacentre, one that spins, and one that a busy machine emulates. So a device that is not known yet is
//! trusted with much; each time that it finishes something it is trusted with a little less, down to some times what it took at the
//! longest of late. Whoever gives up on it too early does that once: it is trusted with some times as much from then on, unless it
//! finishes what it has at once when its driver is another. Then it was the driver.
//!
//! Time is counted in looks at the device, of whoever looks: while nobody has a processor to look, no time passes.

/// How much longer than it was seen to take it may take.
const FACTOR: u32 = 4;

/// The most, in looks: half a minute, if they are five milliseconds apart. Linux gives a disk as long.
const MOST: u32 = 6000;

/// Parts of a look that are reckoned with; and the part of it all that is forgotten at each look that finds something finished: of a
/// pause as long as the least, what lies above the least is forgotten within three seconds, if they are five milliseconds apart. On a
/// busy machine the next pause comes sooner than that.
const PARTS: u32 = 256;
const FORGOTTEN: u32 = 512;

/// What a device is trusted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// In parts of a look.
    allowed: u32,
    /// What it was before it ended, if nothing was finished since.
    before: Option<u32>,
}

impl Patience {
    /// The least that any device is trusted with, in looks: one that takes no time at all may still be looked at early and late. At half of it, a
    /// busy machine had a disk's healthy driver restarted some times in a minute.
    pub const LEAST: u32 = 12;

    /// With a device that is not known yet.
    pub const fn new(looks: u32) -> Self {
        Self { allowed: looks * PARTS, before: None }
    }

    /// Whether it ends when nothing was finished at so many looks in a row.
    pub const fn ends_at(&self, looks: u32) -> bool {
        looks > self.allowed / PARTS
    }

    /// Takes in that something was finished, when nothing had been at so many looks in a row, or since the driver was made anew.
    pub fn took(&mut self, looks: u32) {
        if let Some(before) = self.before.take().filter(|_| looks <= Self::LEAST) {
            self.allowed = before;
        }
        let less = self.allowed - self.allowed / FORGOTTEN;
        self.allowed = less.max(Self::bounded(looks.saturating_mul(FACTOR)));
    }

    /// Takes in that it has ended: the driver was made anew, which took as long as so many looks.
    pub fn ended(&mut self, looks: u32) {
        self.before.get_or_insert(self.allowed);
        self.allowed = Self::bounded((self.allowed / PARTS).max(looks).saturating_mul(FACTOR));
    }

    fn bounded(looks: u32) -> u32 {
        looks.clamp(Self::LEAST, MOST) * PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many looks it lasts.
    fn lasts(patience: &Patience) -> u32 {
        (0..).find(|&looks| patience.ends_at(looks + 1)).unwrap()
    }

    #[test]
    fn a_fast_device_is_soon_trusted_with_little() {
        let mut patience = Patience::new(400);
        assert_eq!(lasts(&patience), 400);
        (0..50).for_each(|_| patience.took(0));
        assert!((Patience::LEAST + 1..400).contains(&lasts(&patience)), "not at once");
        (0..4 * FORGOTTEN).for_each(|_| patience.took(0));
        assert_eq!(lasts(&patience), Patience::LEAST);
    }

    #[test]
    fn a_slow_device_is_trusted_with_some_times_what_it_took() {
        let mut patience = Patience::new(20);
        patience.took(30);
        assert_eq!(lasts(&patience), 30 * FACTOR);
        (0..FORGOTTEN).for_each(|_| patience.took(0));
        assert!(lasts(&patience) > 30, "once in a while is enough");
    }

    #[test]
    fn a_driver_that_hangs_costs_its_device_no_trust() {
        let mut patience = Patience::new(Patience::LEAST);
        patience.ended(0);
        patience.took(1);
        assert_eq!(lasts(&patience), Patience::LEAST);
        patience.ended(Patience::LEAST + 1);
        patience.took(Patience::LEAST + 1);
        assert_eq!(lasts(&patience), FACTOR * (Patience::LEAST + 1), "the device is slow");
    }

    #[test]
    fn who_gives_up_too_early_does_not_do_so_for_ever() {
        let mut patience = Patience::new(Patience::LEAST);
        let mut waited = 0;
        for _ in 0..8 {
            waited += lasts(&patience);
            patience.ended(0);
        }
        assert!(waited > 2 * MOST, "work that is started eight times has had a minute");
        assert_eq!(lasts(&patience), MOST);
    }
}
