//! What is sent: an HTTP request with a signed body.

use crate::address::Address;
use crate::progress::Next;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use api::types::Notification;
use secure::{Signature, SigningKey};

/// The header that has the signature of the body.
const SIGNATURE: &str = "rvmm-signature";

/// Who tells one receiver.
#[derive(Clone, Debug)]
pub struct Sender<'h> {
    /// The host's name.
    pub host: &'h str,
    /// The number of its event log.
    pub log: u64,
    /// The receiver.
    pub to: Address<'h>,
    /// What it knows the host by.
    pub key: SigningKey,
}

impl Sender<'_> {
    /// The request that tells what is next, after `last` was told; none for what is not told.
    pub fn request(&self, next: &Next, last: u64) -> Option<Vec<u8>> {
        let (event, lost_from) = match next {
            Next::Pass(_) => return None,
            Next::Tell(event) => (Some(event.clone()), None),
            Next::TellLost(from, _) => (None, Some(*from)),
        };
        let notification = Notification {
            host: self.host.into(),
            log: format!("{:016x}", self.log),
            sequence: next.sequence(),
            after: last,
            event,
            lost_from,
        };
        // Nothing in it can fail to be written.
        let body = serde_json::to_vec(&notification).unwrap_or_default();
        let Address { ip, port, path, .. } = self.to;
        let (signature, length) = (self.key.sign(&body), body.len());
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {ip}:{port}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n{SIGNATURE}: {signature}\r\nconnection: close\r\n\r\n"
        );
        Some([head.into_bytes(), body].concat())
    }
}

/// The signature that a request's head has, as a receiver finds it; none if it has none.
pub fn signature(head: &str) -> Option<Signature> {
    head.lines().find_map(|line| {
        let (name, value): (&str, &str) = line.split_once(':')?;
        name.eq_ignore_ascii_case(SIGNATURE).then(|| String::from(value.trim()).parse().ok())?
    })
}
