//! Text that somebody else wrote.

use core::fmt::{self, Write};

/// Shows bytes of unknown origin on one line of printable ASCII: everything else becomes a `.`.
///
/// Root prints what a broken unikernel said; without this a log record could forge a line of root's own.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0 {
            f.write_char(if matches!(byte, b' '..=b'~') { byte as char } else { '.' })?;
        }
        Ok(())
    }
}

/// The part of a NUL-padded field that comes before the padding.
pub(crate) fn until_nul(field: &[u8]) -> &[u8] {
    let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
    &field[..end]
}

/// A NUL-padded field of `N` bytes that holds as much of `text` as fits, cut between two characters.
pub(crate) fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [0; N];
    let fits = &text.as_bytes()[..text.floor_char_boundary(N)];
    field[..fits.len()].copy_from_slice(fits);
    field
}

/// Collects formatted text in `N` bytes on the stack and cuts what does not fit.
#[derive(Clone, Debug)]
pub struct Line<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Line<N> {
    /// An empty line.
    pub const fn new() -> Self {
        Line { bytes: [0; N], len: 0 }
    }

    /// What has been written so far; it is UTF-8, unless its bytes are changed through [`Write`] by halves.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl<const N: usize> Default for Line<N> {
    fn default() -> Self {
        Line::new()
    }
}

impl<const N: usize> Write for Line<N> {
    /// Appends `text`, or as much of it as fits. Once something has been cut nothing more is taken, and the
    /// error ends the formatting early.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.floor_char_boundary(N - self.len);
        self.bytes[self.len..self.len + fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.len += fits;
        if fits == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

#[cfg(test)]
mod tests;
