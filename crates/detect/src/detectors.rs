//! The detectors, one module each.

pub mod inv_queue;
pub mod monitor;
pub mod range_churn;
pub mod reconstruction;
pub mod slot_churn;
