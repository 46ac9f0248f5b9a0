//! What detectors are made of: small measures over event time, each with a bound on its memory.
//!
//! None of them reads a clock; all of them can be kept and go on where they were.

mod bucket;
mod concentration;
mod cusum;
mod distinct;
mod divergence;
mod evidence;
mod poisson;
mod recent;
mod robust;
mod sliding;
mod table;

pub use bucket::TokenBucket;
pub use concentration::{Heavy, hhi, top_share};
pub use cusum::Cusum;
pub use distinct::{Distinct, hash};
pub use divergence::jensen_shannon;
pub use evidence::Evidence;
pub use poisson::surprise;
pub use recent::Recent;
pub use robust::{Robust, quantile};
pub use sliding::SlidingCount;
pub use table::Table;
