//! What the system description tells XenStore, by its `args`.

use alloc::vec::Vec;
use libos::xen_abi::Domid;

/// The domains that may do everything. A word that is not known is reported and passed over.
pub fn privileged(text: &str) -> Vec<Domid> {
    let domain = |word: &str| {
        let domid = word.strip_prefix("privileged=").and_then(|value| value.parse().ok()).map(Domid);
        if domid.is_none() {
            log::warn!("`{word}` among the arguments means nothing to XenStore");
        }
        domid
    };
    text.split_ascii_whitespace().filter_map(domain).collect()
}
