//! Where events start: probes in a Bitcoin node's process, captured in the kernel, decoded here.
//!
//! x
mod args;
pub mod bench;
pub mod control;
pub mod decoder;
pub mod notes;
pub mod peers;
pub mod privileges;
pub mod probes;
pub mod process;
pub mod programs;
pub mod reader;
pub mod record;
mod skel;
pub mod source;
pub mod tracer;

pub use control::Problem;
pub use source::{Item, Source};
pub use tracer::Tracer;
