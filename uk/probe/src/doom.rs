//! Faults that last: a crash in each of so many lives. How many are left stands in the recovery box, so that a rebuild
//! does not end them either.

use crate::journal::{Doom, Journal};
use core::cell::RefCell;
use libos::fault;
use libos::uk_abi::fault::Fault;

/// Ends this life if it is doomed not to beat at all.
///
/// # Panics
/// That is how it ends.
pub fn at_boot(journal: &RefCell<Journal>) {
    if take_one(journal, true) {
        panic!("injected: {} before the first beat", Fault::CrashAtBoot);
    }
}

/// Ends this life if it is doomed to end once it has beaten, and takes orders that doom lives to come.
///
/// The order to crash in a loop counts this life, which has beaten; the order to crash at boot ends it, too, but counts
/// only lives that do not beat. Without a number either means one.
///
/// # Panics
/// That is how lives end.
#[libos::task(embassy_executor = libos::embassy_executor)]
pub async fn run(journal: &'static RefCell<Journal>) {
    // The first turn of the executor ends with the first beat.
    libos::futures::yield_now().await;
    if take_one(journal, false) {
        panic!("injected: {} after the first beat", Fault::CrashLoop);
    }
    loop {
        let (fault, argument) = fault::for_program().await;
        let lives = argument.max(1);
        match fault {
            Fault::CrashLoop => journal.borrow_mut().set_doom(Doom { lives: lives - 1, at_boot: false }),
            Fault::CrashAtBoot => journal.borrow_mut().set_doom(Doom { lives, at_boot: true }),
            _ => {
                log::warn!("a probe has nothing to fail by {fault} with");
                continue;
            }
        }
        panic!("injected: {fault} in {lives} lives");
    }
}

/// Takes one of the doomed lives off the record; answers whether there was one.
fn take_one(journal: &RefCell<Journal>, at_boot: bool) -> bool {
    let mut journal = journal.borrow_mut();
    let doom = journal.doom().filter(|doom| doom.at_boot == at_boot && doom.lives > 0);
    if let Some(doom) = doom {
        journal.set_doom(Doom { lives: doom.lives - 1, ..doom });
    }
    doom.is_some()
}
