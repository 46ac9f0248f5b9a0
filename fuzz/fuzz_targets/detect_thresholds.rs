//! Any text as a threshold that an operator sets: refused in words, or in force afterwards.
#![no_main]

use detect::thresholds::{Limit, Thresholds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (name, value) = input.split_once('=').unwrap_or((input, "1"));
    let Ok(value) = value.parse::<f64>() else { return };
    let mut thresholds = Thresholds::default();
    match thresholds.set(Some("alice"), name, value) {
        Ok(()) => assert_eq!(thresholds.of("alice").get(Limit::from_name(name).expect("it was just set")), value),
        Err(error) => assert!(error.to_string().len() < 1000),
    }
});
