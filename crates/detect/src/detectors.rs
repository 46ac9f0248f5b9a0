//! The detectors, one module each.

pub mod inv_queue;
pub mod monitor;
pub mod reconstruction;
