//! The detectors, one module each.

pub mod addr_flood;
pub mod addr_surge;
pub mod agent_lottery;
pub mod bad_block;
pub mod eclipse;
pub mod false_identity;
pub mod fork;
pub mod inv_queue;
pub mod listener;
pub mod monitor;
pub mod peer_loss;
pub mod ping_flood;
pub mod range_churn;
pub mod reconstruction;
pub mod replacement;
pub mod same_stranger;
pub mod slot_churn;
pub mod stale_tip;
pub mod withheld_block;
pub mod withheld_transaction;
