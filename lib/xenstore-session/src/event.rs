//! Watch events.

use alloc::string::String;

/// Something has changed under a watch, or the watch has just been set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What has changed: a path as the watch named it, absolute or below the caller's home.
    pub path: String,
    /// Which watch it is.
    pub token: String,
}

impl Event {
    /// The event of a message's payload; none if it is not two strings.
    pub(crate) fn read(payload: &[u8]) -> Option<Self> {
        let mut strings = payload.split(|byte| *byte == 0);
        let mut text = || Some(String::from_utf8_lossy(strings.next()?).into_owned());
        let event = Self { path: text()?, token: text()? };
        // After the last NUL comes nothing.
        (strings.next() == Some(&[])).then_some(event)
    }
}
