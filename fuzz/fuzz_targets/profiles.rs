//! Any bytes as kept profiles. No panic; what is taken is the same after keeping it again.
#![no_main]

use detect::entity::Profiles;
use detect::thresholds::Thresholds;
use detect::{Engine, Sections};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let state = Engine::new(Thresholds::default(), 0).save();
    let mut sections = Sections::read(&state).expect("it was just saved");
    sections.replace("profiles", None, input.to_vec());
    let state = sections.to_bytes();
    if Profiles::of_state(&state).is_ok() {
        let (engine, anew) = Engine::restore(&state, Thresholds::default()).expect("its table is right");
        assert!(anew.is_empty());
        assert_eq!(Profiles::of_state(&engine.save()).as_ref(), Ok(engine.profiles()));
    }
});
