//! What a process and those that it has started use of the machine.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// A process and all that descend from it.
fn family(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|text| text.parse().ok()).flat_map(family);
    std::iter::once(pid).chain(children).collect()
}

/// The processor's time that a process, all its threads and all that descend from it have had.
///
/// # Errors
/// When there is no such process.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let mut sum = 0;
    for pid in family(pid) {
        for thread in fs::read_dir(format!("/proc/{pid}/task")).with_context(|| format!("process {pid}"))? {
            // Threads come and go.
            let text = fs::read_to_string(thread?.path().join("schedstat")).unwrap_or_default();
            sum += text.split_whitespace().next().and_then(|text| text.parse().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(sum))
}

/// The memory that a process and all that descend from it have, in bytes. What they share counts once for each.
///
/// # Errors
/// When there is no such process.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let mut sum = 0;
    for pid in family(pid) {
        let status =
            fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib: u64 = line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0);
        sum += kib << 10;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_time() {
        let pid = std::process::id();
        assert!(resident_bytes(pid).unwrap() > 0);
        let before = cpu_time(pid).unwrap();
        let mut number = 1u64;
        while cpu_time(pid).unwrap() == before {
            number = std::hint::black_box(number.wrapping_mul(3));
        }
        assert!(resident_bytes(u32::MAX).is_err());
    }
}
