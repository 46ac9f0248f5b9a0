//! Any bytes as kept profiles. No panic; what is taken is the same after keeping it again.
#![no_main]

use detect::entity::Profiles;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(profiles) = Profiles::restore(input) {
        assert_eq!(Profiles::restore(&profiles.save()).as_ref(), Ok(&profiles));
    }
});
