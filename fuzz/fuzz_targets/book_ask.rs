//! What comes over the socket of an incident book: a question.
//!
//! What is read is the same after writing and reading it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tools::incidents::ask;

fuzz_target!(|input: &[u8]| {
    let Ok(asked) = ask::question(input) else { return };
    let packed = ask::packed(&asked);
    assert_eq!(ask::question(&packed[5..]).expect("it is what was read"), asked);
});
