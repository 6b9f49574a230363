//! The operator's command, and the client that it speaks to a host with.
//!
//! | file | subject |
//! |---|---|
//! | `access` | where a host is, by which key it is known, and which token is shown |
//! | `client` | requests over the encrypted channel |
//! | `cli` | what can be typed |
//! | `upload` | a file to a volume, however often the connection breaks |
//! | `verbs` | `xl`'s verbs, and ours |
//! | `show` | what is printed, in `xl`'s form |
//! | `top` | components, repairs and guests on one screen |
//! | `host` | a host in QEMU on this machine |

pub mod access;
pub mod cli;
pub mod client;
pub mod host;
pub mod show;
mod top;
pub mod upload;
pub mod verbs;
