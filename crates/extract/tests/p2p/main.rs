//! The P2P extractor against nodes that tests make up, strangers, and real nodes.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

mod fake;
mod fakes;
mod real;
mod session;
mod strangers;
mod world;
