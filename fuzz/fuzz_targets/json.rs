//! Any event as JSON: it is JSON, and it has the shape that the schema says.
#![no_main]

use event::Event;
use libfuzzer_sys::fuzz_target;
use testkit::events::assert_json;

fuzz_target!(|input: &[u8]| {
    if let Ok(event) = Event::from_bytes(input.to_vec().into()) {
        assert_json(&event);
    }
});
