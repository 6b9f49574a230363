//! A fuse that ends a program's life.

use std::boxed::Box;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;

/// What unwinds out of a program that dies: nobody's message, so that it cannot be taken for a failed test.
struct Death;

/// Counts the moments at which a program can die, and kills it at one of them. All clones are the same fuse.
#[derive(Clone, Debug, Default)]
pub struct Fuse {
    /// Moments left; none if it does not burn.
    left: Rc<Cell<Option<u64>>>,
    passed: Rc<Cell<u64>>,
}

impl Fuse {
    /// Lets the program have so many moments more. It dies of the next one.
    pub fn light(&self, moments: u64) {
        self.left.set(Some(moments));
    }

    /// Lets the program live for ever.
    pub fn put_out(&self) {
        self.left.set(None);
    }

    /// Moments that have passed, lit or not.
    pub fn passed(&self) -> u64 {
        self.passed.get()
    }

    /// A moment passes: something is done, or about to be, that can be seen from outside. Returns whether it is the last one;
    /// the program is then to [die](Self::die), and the fuse is out.
    #[must_use]
    pub fn burns_out(&self) -> bool {
        self.passed.set(self.passed.get() + 1);
        let left = self.left.get();
        self.left.set(left.and_then(|left| left.checked_sub(1)));
        left == Some(0)
    }

    /// A moment passes, of which the program dies if it is the last one.
    pub fn burn(&self) {
        if self.burns_out() {
            self.die();
        }
    }

    /// The program dies at this very point.
    pub fn die(&self) -> ! {
        resume_unwind(Box::new(Death))
    }

    /// Lets the program do something; none if it has died of it. Other panics go on.
    pub fn guard<T>(&self, act: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(act)) {
            Ok(value) => Some(value),
            Err(cause) if cause.is::<Death>() => None,
            Err(cause) => resume_unwind(cause),
        }
    }

    /// Lets the program do something, and die after so many moments if it takes more. Returns none if it has died.
    pub fn run<T>(&self, moments: u64, act: impl FnOnce() -> T) -> Option<T> {
        self.light(moments);
        let result = self.guard(act);
        self.put_out();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::Fuse;

    #[test]
    fn a_program_has_as_many_moments_as_it_is_left() {
        let fuse = Fuse::default();
        for moments in 0..5 {
            let before = fuse.passed();
            assert_eq!(fuse.run(moments, || (0..moments).for_each(|_| fuse.burn())), Some(()));
            assert_eq!(fuse.run(moments, || (0..=moments).for_each(|_| fuse.burn())), None);
            assert_eq!(fuse.passed() - before, 2 * moments + 1);
            assert_eq!(fuse.guard(|| fuse.burn()), Some(()));
        }
    }
}
