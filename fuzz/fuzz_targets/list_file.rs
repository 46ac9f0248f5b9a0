//! Any bytes as a file of strangers. No panic; what is refused is refused with its lines, in a sentence of bounded length.
//!
//! Input: a byte that says which form, then the file.
#![no_main]

use detect::entity::lists::List;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((form, bytes)) = input.split_first() else { return };
    if let Err(error) = List::read(if form & 1 == 1 { "x.toml" } else { "x.txt" }, bytes) {
        assert!(!error.faults.is_empty() && error.to_string().len() < 20_000);
    }
});
