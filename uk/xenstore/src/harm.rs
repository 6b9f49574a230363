//! What is found damaged and mended, as the event log tells it; and bits that are flipped on demand, with the time until
//! somebody has noticed.
//!
//! ```text
//! found=3 found_us=410: 12 damaged words in the vault, to be written anew
//! mended=2 found_us=410 mended_us=2950: the vault was written anew, without the damage
//! ```
//!
//! `found` and `mended` count what this life has found and mended. The times are there if a bit was flipped on demand: microseconds
//! from that moment on.

use libos::clock;
use libos::uk_abi::fault::Fault;
use replica::report::{Report, Stage};

/// The damage of this life.
#[derive(Debug, Default)]
pub struct Harm {
    found: u64,
    mended: u64,
    /// Something was found that is not mended yet.
    is_open: bool,
    /// When a bit was flipped that nobody has mended yet, and how much later that was noticed.
    flipped: Option<(u64, Option<u64>)>,
}

impl Harm {
    /// Notes what was flipped; nothing if there was nothing to flip.
    pub fn note_flip(&mut self, fault: Fault, flipped: Option<&str>) {
        match flipped {
            Some(what) => {
                self.flipped = Some((clock::now_us(), None));
                log::warn!("injected: {fault}: a bit of {what}");
            }
            None => log::error!("there is nothing that {fault} could flip a bit of"),
        }
    }

    /// Writes a report to the log.
    pub fn log(&mut self, report: &Report) {
        let stage = report.stage();
        let now = clock::now_us();
        let since = |flipped_at: u64| now.saturating_sub(flipped_at);
        if let Stage::Found | Stage::FoundAndMended { .. } = stage {
            self.found += 1;
            self.is_open = true;
            let took_us = if let Stage::FoundAndMended { took_us } = stage { took_us } else { 0 };
            if let Some((flipped_at, found_us)) = &mut self.flipped {
                found_us.get_or_insert(since(*flipped_at).saturating_sub(took_us));
            }
        }
        match stage {
            Stage::None => log::warn!("{report}"),
            Stage::Mended if !self.is_open => log::warn!("{report}"),
            Stage::Found => match self.flipped {
                Some((_, Some(found_us))) => log::warn!("found={} found_us={found_us}: {report}", self.found),
                _ => log::warn!("found={}: {report}", self.found),
            },
            Stage::Mended | Stage::FoundAndMended { .. } => {
                self.mended += 1;
                self.is_open = false;
                match self.flipped.take() {
                    Some((flipped_at, Some(found_us))) => {
                        let mended_us = since(flipped_at);
                        log::warn!(
                            "mended={} found_us={found_us} mended_us={mended_us}: {report}",
                            self.mended
                        );
                    }
                    not_found => {
                        self.flipped = not_found;
                        log::warn!("mended={}: {report}", self.mended);
                    }
                }
            }
        }
    }
}
