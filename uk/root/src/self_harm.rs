//! Root's own faults, on the operator's demand: to see that it survives them.

use crate::books::Books;
use kernel::harm::{self, Harm};
use kernel::now_us;
use recovery_box::Record;
use serde::{Deserialize, Serialize};

/// When root was last made to fail. There is one, under key 0.
#[derive(Serialize, Deserialize)]
pub struct HarmRecord {
    /// When, in microseconds of Xen's system time.
    pub at_us: u64,
}

impl Record for HarmRecord {
    const TYPE: u16 = 5;
    const VERSION: u16 = 1;
}

/// Ends this life of root by `fault`.
pub fn commit(books: &mut Books, fault: Harm) {
    // The books have room for this one record.
    let _ = books.put(0, &HarmRecord { at_us: now_us() });
    harm::commit(fault);
}
