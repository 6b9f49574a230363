//! How much a guest may send: credit that grows with time.
//!
//! XenStore has it as "so many bytes in so many microseconds" (`rate`), which `xl` makes of `rate=10Mb/s`. A frame that
//! finds too little credit waits in the guest's ring.

use core::fmt;

/// The least that may be sent at once: two frames of the greatest length, or one could wait for ever.
const MIN_BURST: u64 = 131_072;

/// So many bytes in so many microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes.
    pub bytes: u64,
    /// Microseconds; not 0.
    pub period_us: u64,
}

/// A text that says no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadRate;

impl fmt::Display for BadRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected bytes and microseconds, as in \"125000,100000\"")
    }
}

impl core::error::Error for BadRate {}

impl core::str::FromStr for Rate {
    type Err = BadRate;

    fn from_str(text: &str) -> Result<Self, BadRate> {
        let (bytes, period) = text.split_once(',').ok_or(BadRate)?;
        let (bytes, period_us) = (bytes.parse().map_err(|_| BadRate)?, period.parse().map_err(|_| BadRate)?);
        // More bytes than a terabit per second lets through are no limit but an overflow.
        if period_us == 0 || bytes == 0 || bytes > u64::from(u32::MAX) {
            return Err(BadRate);
        }
        Ok(Self { bytes, period_us })
    }
}

/// The credit of one queue.
#[derive(Clone, Debug)]
pub struct Credit {
    rate: Option<Rate>,
    bytes: u64,
    filled_us: u64,
}

impl Credit {
    /// Full credit; none counts without a rate.
    pub const fn new(rate: Option<Rate>, now_us: u64) -> Self {
        let mut credit = Self { rate, bytes: 0, filled_us: now_us };
        credit.bytes = credit.burst();
        credit
    }

    const fn burst(&self) -> u64 {
        match self.rate {
            Some(Rate { bytes, .. }) if bytes > MIN_BURST => bytes,
            _ => MIN_BURST,
        }
    }

    /// Takes credit for a frame.
    ///
    /// # Errors
    /// There is too little: the microsecond at which there will be enough.
    pub fn take(&mut self, now_us: u64, length: usize) -> Result<(), u64> {
        let Some(Rate { bytes, period_us }) = self.rate else {
            return Ok(());
        };
        let elapsed_us = now_us.saturating_sub(self.filled_us);
        let earned = u128::from(elapsed_us) * u128::from(bytes) / u128::from(period_us);
        if earned > 0 {
            self.bytes = earned.saturating_add(u128::from(self.bytes)).min(u128::from(self.burst())) as u64;
            self.filled_us = now_us;
        }
        let length = length as u64;
        match self.bytes.checked_sub(length) {
            Some(left) => {
                self.bytes = left;
                Ok(())
            }
            None => {
                let missing = u128::from(length - self.bytes);
                Err(now_us
                    .saturating_add((missing * u128::from(period_us)).div_ceil(u128::from(bytes)) as u64))
            }
        }
    }

    /// Changes the rate. No credit is given for that.
    pub fn set_rate(&mut self, rate: Option<Rate>, now_us: u64) {
        self.rate = rate;
        self.bytes = self.bytes.min(self.burst());
        self.filled_us = now_us;
    }
}
