//! Paths: their form, and their parts.
//!
//! A path is bytes, never NUL, in the form of the C daemon's `is_valid_nodename`: it begins with `/`, does not
//! end with one unless it is the root, has no empty part, and uses only letters, digits and `-/_@`.

use alloc::vec::Vec;

use xen_abi::Domid;

use crate::wire::Decimal;

/// The root's path.
pub const ROOT: &[u8] = b"/";
/// The special node whose watchers hear of new domains.
pub const INTRODUCE_DOMAIN: &[u8] = b"@introduceDomain";
/// The special node whose watchers hear of domains that shut down or went away.
pub const RELEASE_DOMAIN: &[u8] = b"@releaseDomain";

/// Whether this names a special event rather than a node.
pub fn is_special(name: &[u8]) -> bool {
    name.first() == Some(&b'@')
}

/// Whether this is a well-formed absolute path, of at most `limit` bytes (not counting the home of a domain).
pub fn is_valid(path: &[u8], limit: usize) -> bool {
    if path.first() != Some(&b'/') || path.len() > limit + home_prefix(path) {
        return false;
    }
    path == ROOT || parts_are_valid(&path[1..])
}

/// Whether what follows the first slash is made of one or more non-empty parts of allowed characters.
fn parts_are_valid(parts: &[u8]) -> bool {
    let mut previous = b'/';
    for &byte in parts {
        if !ALLOWED[usize::from(byte)] || (byte == b'/' && previous == b'/') {
            return false;
        }
        previous = byte;
    }
    previous != b'/'
}

/// Whether a special event's name has the form that newer daemons ask for.
pub(crate) fn is_valid_special(name: &[u8], limit: usize) -> bool {
    is_special(name) && name.len() <= limit && parts_are_valid(name)
}

/// The characters that may stand in a path.
static ALLOWED: [bool; 256] = {
    let mut allowed = [false; 256];
    let mut byte = 0;
    while byte < 128 {
        let character = byte as u8;
        allowed[byte] = character.is_ascii_alphanumeric() || matches!(character, b'-' | b'/' | b'_' | b'@');
        byte += 1;
    }
    allowed
};

/// How many bytes at the beginning are a domain's home with a slash after it: they do not count against the limit
/// of a path's length. The C daemon scans for `/local/domain/%5u/`, which also takes a sign.
fn home_prefix(path: &[u8]) -> usize {
    const HOMES: &[u8] = b"/local/domain/";
    let Some(rest) = path.strip_prefix(HOMES) else { return 0 };
    let sign = usize::from(rest.first() == Some(&b'-'));
    let digits = rest[sign..].iter().take(5 - sign).take_while(|byte| byte.is_ascii_digit()).count();
    if digits > 0 && rest.get(sign + digits) == Some(&b'/') { HOMES.len() + sign + digits + 1 } else { 0 }
}

/// Writes the path of a domain's home, where its relative paths lie.
pub fn push_home(domid: Domid, into: &mut Vec<u8>) {
    push_home_of_number(u32::from(domid.0), into);
}

/// Writes what would be the path of a domain's home if a domain had this number.
pub(crate) fn push_home_of_number(number: u32, into: &mut Vec<u8>) {
    into.extend_from_slice(b"/local/domain/");
    into.extend_from_slice(Decimal::new(u64::from(number)).as_bytes());
}

/// The path of the node above; the root's is the root's.
pub fn parent(path: &[u8]) -> &[u8] {
    match memchr::memrchr(b'/', path) {
        Some(0) | None => ROOT,
        Some(slash) => &path[..slash],
    }
}

/// The path of a node's child.
pub(crate) fn child(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut child = Vec::with_capacity(parent.len() + 1 + name.len());
    child.extend_from_slice(parent);
    if parent != ROOT {
        child.push(b'/');
    }
    child.extend_from_slice(name);
    child
}

/// The last part: a node's name among its siblings. Empty for the root.
pub fn leaf(path: &[u8]) -> &[u8] {
    match memchr::memrchr(b'/', path) {
        Some(slash) => &path[slash + 1..],
        None => path,
    }
}

/// How many parts a path has: 0 for the root.
pub fn depth(path: &[u8]) -> usize {
    if path == ROOT { 0 } else { memchr::memchr_iter(b'/', path).count() }
}

/// Whether `path` is `ancestor` or lies below it.
pub fn is_within(path: &[u8], ancestor: &[u8]) -> bool {
    ancestor == ROOT || path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// The path itself, then every path above it up to the root, or up to the name of a special event.
pub fn upwards(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut next = Some(path);
    core::iter::from_fn(move || {
        let current = next?;
        let above = parent(current);
        let is_top = current == ROOT || (above == ROOT && is_special(current));
        next = (!is_top).then_some(above);
        Some(current)
    })
}
