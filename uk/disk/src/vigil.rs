//! When to look at the devices rather than to sleep until they interrupt.
//!
//! To fall asleep and to be woken costs two switches of the processor to another domain and an interrupt, which together take about as
//! long as a fast disk takes for a command. So who has given a disk something to do looks at it some times before it sleeps. Where that
//! was in vain, it sleeps at once the next times, twice as often each time: a slow disk costs next to nothing.
//!
//! Before each look everybody else who can run does: a guest that has more to ask for comes to that, and is then answered for all of it
//! together.

/// How often it looks in a row with nothing ended before looking was in vain. A look takes from one microsecond, on a machine, to some, in an
/// emulated one; so all of them together take some times as long as a fast disk of either takes for a command.
const LOOKS: u32 = 50;

/// How often it sleeps at once at most, before it tries again whether looking is worth it.
const MOST_RESTS: u32 = 64;

/// Who looks.
#[derive(Debug, Default)]
pub struct Vigil {
    /// How many looks are left, if it looks.
    looks_left: Option<u32>,
    /// How many commands had ended by its last look.
    ended: u64,
    /// How often it has slept at once after it had last looked in vain, and is to do so still.
    rests: u32,
    rests_left: u32,
}

impl Vigil {
    /// Whether to look again, while the devices have `under_way` commands and `ended` have ended, ever.
    pub fn goes_on(&mut self, ended: u64, under_way: usize) -> bool {
        let has_gained = core::mem::replace(&mut self.ended, ended) != ended && self.looks_left.is_some();
        if has_gained {
            self.rests = 0;
        }
        if under_way == 0 {
            self.looks_left = None;
            return false;
        }
        match self.looks_left {
            Some(0) if !has_gained => {
                self.rests = (self.rests * 2).clamp(1, MOST_RESTS);
                (self.looks_left, self.rests_left) = (None, self.rests);
                false
            }
            Some(left) if !has_gained => {
                self.looks_left = Some(left - 1);
                true
            }
            None if self.rests_left > 0 => {
                self.rests_left -= 1;
                false
            }
            Some(_) | None => {
                self.looks_left = Some(LOOKS);
                true
            }
        }
    }
}
