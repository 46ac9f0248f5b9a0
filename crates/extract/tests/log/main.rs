//! The log extractor: files that grow and are moved about, pipes, finished logs, and a real node's.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod bad;
mod finished;
mod following;
mod lives;
mod load;
mod real;
mod world;
