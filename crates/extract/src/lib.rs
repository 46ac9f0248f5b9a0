//! How events enter: each extractor is a module that reads one interface of a node and publishes what it learns.
//!
//! An extractor has a `Config` (its flags, its section in the configuration file, its manual) and a `run` that receives what it needs
//! ready-made. Extractors never subscribe. [`replay`] is one of them in spirit: its node is a recording.

pub mod capture;
mod clock;
#[cfg(feature = "ebpf")]
pub mod ebpf;
mod interval;
pub mod ipc;
pub mod life;
pub mod log;
pub mod node;
pub mod p2p;
pub mod proc;
pub mod recording;
pub mod replay;
pub mod rpc;
pub mod size;
