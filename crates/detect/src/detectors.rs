//! A detector in each module.

pub mod addr_flood;
pub mod addr_surge;
pub mod inv_queue;
pub mod listener;
pub mod peer_loss;
pub mod withheld_block;
