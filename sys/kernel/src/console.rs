//! Xen's console: where the event log is printed and the operator's emergency commands come from.

use xen_abi::Hypercall;
use xen_abi::console_io::ConsoleIo;

/// Bytes of a line at most; what is longer is cut.
const LINE: usize = 320;

/// Prints `line` and ends it, in one call: between two, Xen may print a line of its own. What Xen
/// refuses is lost: there is nowhere else to say so.
pub fn write_line(line: &str) {
    let mut bytes = heapless::Vec::<u8, LINE>::new();
    bytes.extend(line.bytes().take(LINE - 1).chain([b'\n']));
    let text = &bytes;
    // SAFETY: Xen reads `len` bytes of a live string.
    let _ = unsafe {
        pv::hypercall::call(
            Hypercall::ConsoleIo,
            [ConsoleIo::Write.raw().into(), text.len() as u64, text.as_ptr() as u64],
        )
    };
}

/// Reads what has been typed, at most `buffer.len()` bytes of it.
pub fn read(buffer: &mut [u8]) -> &[u8] {
    // SAFETY: Xen writes at most `len` bytes to a live buffer.
    let answer = unsafe {
        pv::hypercall::call(
            Hypercall::ConsoleIo,
            [ConsoleIo::Read.raw().into(), buffer.len() as u64, buffer.as_mut_ptr() as u64],
        )
    };
    let len = answer.map_or(0, |len| buffer.len().min(len as usize));
    &buffer[..len]
}
