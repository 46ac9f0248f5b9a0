//! The detectors, one module each.

pub mod inv_queue;
