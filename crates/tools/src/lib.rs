//! How events leave: each tool takes a subscription and shows, keeps or counts what comes.
//!
//! A tool is a module with a `Config` (its flags, its section in the configuration file, its manual) and a `run` that receives
//! everything ready-made: the subscription, the output. It returns when the subscription ends. No tool cares which extractor made an
//! event, or whether the event is live or from a recording.

pub mod archive;
mod complaint;
pub mod connect;
pub mod detect;
pub mod export;
pub mod incidents;
mod intake;
pub mod join;
pub mod listen;
pub mod logger;
pub mod messages;
pub mod metrics;
pub mod reconcile;
mod server;
pub mod ship;
pub mod target;
pub mod top;
pub mod web;

pub use complaint::Complaint;
