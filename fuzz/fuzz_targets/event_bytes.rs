//! Any bytes as an event: no panic; an event that was read survives being written, takes no more memory than it may, and can be
//! redacted.
#![no_main]

use event::redact::Redactor;
use event::{Event, Filter};
use libfuzzer_sys::fuzz_target;
use testkit::events::assert_survives;

fuzz_target!(|input: &[u8]| {
    if let Ok(event) = Event::from_bytes(input.to_vec().into()) {
        assert_survives(&event);
        assert_eq!(Filter::all().matches(&event), event.kind.is_some());
        assert_eq!(event.subject().is_some(), event.kind.is_some());
        assert!(event.memory() >= event.node.len());
        // the budget of its lists, and 48 bytes that are reckoned for what an element holds
        assert!(event.memory() <= 50 * input.len() + (128 << 10), "{} bytes took {}", input.len(), event.memory());
        if let Some(redacted) = Redactor::new([7; 32]).redact(event) {
            assert_survives(&redacted);
        }
    }
});
