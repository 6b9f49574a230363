//! How much of everything there may be. A server of a few MiB says no before it runs short.

/// Bytes of a request's head: its line and its headers.
pub const MAX_HEAD: usize = 2048;

/// Headers of a request. The client sends three, `curl` five.
pub const MAX_HEADERS: usize = 24;

/// Bytes of a request's body. The longest is an `xl.cfg`, and XenStore, where it is journalled, takes 4 KiB in a node.
pub const MAX_BODY: usize = 4096;

/// Bytes of the body that brings a volume's content. Who sends more than [`MAX_BODY`] has shown a token that lets it.
pub const MAX_CONTENT: usize = 64 * 1024;

/// Bytes of a volume whose checksum is asked for at a time.
pub const MAX_DIGEST: u64 = 1024 * 1024;

/// Bytes of an answer's body; lists that do not fit are cut into pages, by what they are asked from.
pub const MAX_ANSWER: usize = 16 * 1024;

/// Connections at a time. The next one is refused, and has to come again.
pub const CONNECTIONS: usize = 8;

/// Seconds that a client has to show that it knows the host's key: until then it may be anybody.
pub const HANDSHAKE_S: u64 = 5;

/// Seconds that a client has for each request, from its first byte to its last, and to take the answer.
pub const REQUEST_S: u64 = 10;

/// Seconds that a connection may say nothing between two requests.
pub const IDLE_S: u64 = 30;

/// The most seconds that a client can ask to wait for news.
pub const MAX_WAIT_S: u64 = 20;

/// Requests that a connection may make in a second, in the long run. What is more has to wait.
pub const REQUESTS_PER_S: u32 = 50;

/// Requests that it may make at once.
pub const BURST: u32 = 100;

/// Bytes of a console in one answer, before they are written in base64.
pub const CONSOLE_BYTES: usize = 4096;

/// Volumes in one answer.
pub const VOLUMES: usize = 12;

/// Lines of the event log in one answer.
pub const EVENTS: usize = 32;
