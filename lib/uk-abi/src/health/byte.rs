//! Where things are in the health page, in bytes: what assembly needs of [`word`].

use crate::health::word;

/// See [`word::BOOT_WANTED`].
pub const BOOT_WANTED: usize = word::BOOT_WANTED * 8;
/// See [`word::CRASH_SEQUENCE`].
pub const CRASH_SEQUENCE: usize = word::CRASH_SEQUENCE * 8;
/// See [`word::CRASH_VECTOR`].
pub const CRASH_VECTOR: usize = word::CRASH_VECTOR * 8;
/// See [`word::CRASH_ERROR`].
pub const CRASH_ERROR: usize = word::CRASH_ERROR * 8;
/// See [`word::CRASH_RIP`].
pub const CRASH_RIP: usize = word::CRASH_RIP * 8;
/// See [`word::CRASH_RFLAGS`].
pub const CRASH_RFLAGS: usize = word::CRASH_RFLAGS * 8;
/// See [`word::CRASH_CR2`].
pub const CRASH_CR2: usize = word::CRASH_CR2 * 8;
/// See [`word::CRASH_RSP`].
pub const CRASH_RSP: usize = word::CRASH_RSP * 8;
/// See [`word::CRASH_REGISTERS`].
pub const CRASH_REGISTERS: usize = word::CRASH_REGISTERS * 8;
/// See [`word::CRASH_TRACE_LEN`].
pub const CRASH_TRACE_LEN: usize = word::CRASH_TRACE_LEN * 8;
/// See [`word::CRASH_TRACE`].
pub const CRASH_TRACE: usize = word::CRASH_TRACE * 8;
