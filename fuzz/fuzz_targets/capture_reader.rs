//! Any bytes as a capture file of Bitcoin Core: no panic; every record that is read is where it says, and an event.
//!
//! Input: the file.
#![no_main]

use extract::capture::Place;
use libfuzzer_sys::fuzz_target;
use testkit::events::assert_decodes_or_is_kept;

fuzz_target!(|input: &[u8]| {
    let (mut place, mut rest) = (Place::default(), input);
    while let Ok(Some(time)) = place.look(&mut rest) {
        assert_eq!(place.position() as usize, input.len() - rest.len());
        let Ok(record) = place.take(&mut rest) else { break };
        assert_eq!(record.time, time);
        assert_eq!(place.offset() as usize, input.len() - rest.len());
        assert!(input[..input.len() - rest.len()].ends_with(&record.payload));
        assert_decodes_or_is_kept(record.message_type(), &record.payload);
    }
});
