//! The strings and numbers inside payloads, read exactly as lenient as the C daemon reads them.

use memchr::memchr;

/// The payload's one string, if the payload is exactly one string with its NUL at the end.
pub(crate) fn one_string(payload: &[u8]) -> Option<&[u8]> {
    let end = memchr(0, payload)?;
    (end + 1 == payload.len()).then(|| &payload[..end])
}

/// How many NUL-terminated strings the payload holds; what follows the last NUL does not count.
pub(crate) fn string_count(payload: &[u8]) -> usize {
    memchr::memchr_iter(0, payload).count()
}

/// The payload's NUL-terminated strings, without their NULs.
pub(crate) fn strings(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = payload;
    core::iter::from_fn(move || {
        let end = memchr(0, rest)?;
        let string = &rest[..end];
        rest = &rest[end + 1..];
        Some(string)
    })
}

/// What `strtol` makes of a text: the value, and how many bytes it took (0 if it found no number).
/// Values beyond 64 bits saturate.
pub(crate) fn strtol(text: &[u8], base: u32) -> (i64, usize) {
    let space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let mut at = text.iter().take_while(|byte| space(byte)).count();
    let negative = text.get(at) == Some(&b'-');
    if negative || text.get(at) == Some(&b'+') {
        at += 1;
    }
    let digit = |at: usize, base: u32| text.get(at).and_then(|byte| (*byte as char).to_digit(base));
    let mut base = base;
    if base == 0 {
        let hexadecimal = text.get(at) == Some(&b'0')
            && matches!(text.get(at + 1), Some(b'x' | b'X'))
            && digit(at + 2, 16).is_some();
        base = match text.get(at) {
            _ if hexadecimal => 16,
            Some(b'0') => 8,
            _ => 10,
        };
        at += 2 * usize::from(hexadecimal);
    }
    let (first, mut value) = (at, 0i64);
    while let Some(digit) = digit(at, base) {
        let digit = if negative { -i64::from(digit) } else { i64::from(digit) };
        value = value.saturating_mul(i64::from(base)).saturating_add(digit);
        at += 1;
    }
    if at == first { (0, 0) } else { (value, at) }
}

/// What `atoi` makes of a text: its low 32 bits as an unsigned number, 0 if there is no number.
pub(crate) fn number(text: &[u8]) -> u32 {
    strtol(text, 10).0 as u32
}

/// What `atoi` makes of a text.
pub(crate) fn signed_number(text: &[u8]) -> i32 {
    strtol(text, 10).0 as i32
}

/// A number's decimal digits, without an allocation.
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: u8,
}

impl Decimal {
    pub(crate) fn new(mut value: u64) -> Self {
        let mut digits = [b'0'; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (value % 10) as u8;
            value /= 10;
            if value == 0 {
                return Self { digits, start: start as u8 };
            }
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.digits[usize::from(self.start)..]
    }
}
