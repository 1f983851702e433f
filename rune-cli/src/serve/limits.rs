//! Every bound of the server in one place, each with its reason.

use std::time::Duration;

/// Connections at one time. Each takes a descriptor, of which a process often has 1,024.
pub const CONNECTIONS_MAX: usize = 512;

/// How long a client may take over the head of a request, its silence between two included.
pub const HEAD_MAX: Duration = Duration::from_secs(30);

/// How long a client may take over a body.
pub const BODY_MAX: Duration = Duration::from_secs(10);

/// What is in flight when the server is told to stop gets so long to end.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// Events that wait to be logged. Whoever reads the log too slowly misses some, and is told how many.
pub const LOG_QUEUE_MAX: usize = 256;
