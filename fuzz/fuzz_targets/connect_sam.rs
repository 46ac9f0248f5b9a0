//! Any line from an I2P router: no panic, and what is taken for a destination can be put into a line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tools::connect::sam::{Answer, connect, is_destination};

fuzz_target!(|line: &str| {
    for kind in ["HELLO REPLY", "SESSION STATUS", "NAMING REPLY", "STREAM STATUS"] {
        let Ok(answer) = Answer::read(line, kind) else { continue };
        assert!(!answer.result.is_empty());
        if let Some(value) = answer.value.filter(|value| is_destination(value)) {
            let line = connect("1", value);
            assert_eq!((line.matches('\n').count(), line.split(' ').count()), (1, 5));
        }
    }
});
