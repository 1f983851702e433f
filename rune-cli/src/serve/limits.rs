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

/// Evaluations of one batch. A page of a list asks for some hundred; what asks for more can ask twice.
pub const BATCH_EVALUATIONS_MAX: usize = 1_000;

/// Bytes of the evaluations of a batch, each with the defaults that it takes: names and strings by their length, any other value
/// as one. A body without defaults never comes to as much, and no default is read more often than this allows.
pub const BATCH_BYTES_MAX: usize = 4 << 20;

/// Characters of a message within an answer. Some messages quote the request, and a batch may have one for each item.
pub const MESSAGE_CHARS_MAX: usize = 300;

/// How long the evaluations of a batch may take together. A decision takes microseconds; who has asked for so much is better told
/// than kept waiting.
pub const BATCH_TIME_MAX: Duration = Duration::from_secs(2);

/// After so long a batch lets others have its thread, between two evaluations. One decision is never interrupted.
pub const BATCH_TURN_MAX: Duration = Duration::from_millis(1);

/// Explanations that are made at one time. Each may take a thread for seconds where a ruleset is large.
pub const EXPLANATIONS_MAX: usize = 2;

/// Characters of a token. Half as many of hexadecimal digits are beyond guessing.
pub const TOKEN_CHARS_MIN: usize = 32;

/// How long clients may keep the metadata: after a restart with another public URL, so long until all of them know.
pub const METADATA_AGE_MAX: Duration = Duration::from_secs(3600);
