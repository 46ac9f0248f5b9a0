//! The detectors, one module each.

pub mod inv_queue;
pub mod monitor;
pub mod reconstruction;
pub mod range_churn;
pub mod slot_churn;
