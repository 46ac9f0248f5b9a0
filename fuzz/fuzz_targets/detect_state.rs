//! Any bytes as the kept state of the detectors: refused, or the same after writing and reading it.
//!
//! Input: what follows the checksum. Header and checksum are made to fit, or nothing else would ever be reached.
#![no_main]

use detect::Engine;
use detect::thresholds::Thresholds;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let _ = Engine::restore(input, Thresholds::default());
    let mut state = Engine::new(Thresholds::default(), 0).save();
    // magic and version
    state.truncate(11);
    state.extend(crc32fast::hash(input).to_le_bytes());
    state.extend(input);
    let Ok((engine, _)) = Engine::restore(&state, Thresholds::default()) else { return };
    let saved = engine.save();
    let (again, anew) = Engine::restore(&saved, Thresholds::default()).expect("it was just saved");
    assert!(anew.is_empty());
    assert_eq!(again.save(), saved);
});
