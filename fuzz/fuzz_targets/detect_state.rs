//! Any bytes as the kept state of the detectors: refused, or the same after writing and reading it.
//!
//! Input: the number of a section, and what stands in it. Table and checksums are made to fit, or nothing else would ever be reached.
#![no_main]

use std::sync::LazyLock;

use detect::thresholds::Thresholds;
use detect::{Engine, Sections};
use libfuzzer_sys::fuzz_target;

/// A state that has every section.
static STATE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut engine = Engine::new(Thresholds::default(), 0);
    let mut said = Vec::new();
    testkit::events::samples().into_iter().for_each(|event| engine.observe(event.into(), &mut said));
    engine.finish(&mut said);
    engine.save()
});

fuzz_target!(|input: &[u8]| {
    let _ = Engine::restore(input, Thresholds::default());
    let Some((which, body)) = input.split_first() else { return };
    let mut sections = Sections::read(&STATE).expect("it was just saved");
    let names: Vec<String> = sections.names().map(|(name, _)| name.to_owned()).collect();
    sections.replace(&names[usize::from(*which) % names.len()], None, body.to_vec());
    let (engine, _) = Engine::restore(&sections.to_bytes(), Thresholds::default()).expect("its table is right");
    let saved = engine.save();
    let (again, anew) = Engine::restore(&saved, Thresholds::default()).expect("it was just saved");
    assert!(anew.is_empty());
    let again = again.save();
    let (again, saved) = (Sections::read(&again).expect("it was just saved"), Sections::read(&saved).expect("it was just saved"));
    // which source counts is kept in a map that has no order
    for (name, _) in saved.names().filter(|(name, _)| *name != "primaries") {
        assert_eq!(again.body(name), saved.body(name), "{name}");
    }
});
