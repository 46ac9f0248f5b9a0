#![no_main]

use detect::entity::lists::List;
use libfuzzer_sys::fuzz_target;

// the form, and a file: what is refused is refused with a line of bounded length
fuzz_target!(|input: (bool, Vec<u8>)| {
    let (toml, bytes) = input;
    if let Err(error) = List::read(if toml { "x.toml" } else { "x.txt" }, &bytes) {
        assert!(!error.faults.is_empty() && error.to_string().len() < 20_000);
    }
});
