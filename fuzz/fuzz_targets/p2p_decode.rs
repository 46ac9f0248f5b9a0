//! Any payload under any message type: no panic; what is decoded would be written with the same bytes; what is not keeps them.
//!
//! Input: one byte that selects the message type, then the payload. A byte beyond the known types is followed by the length of a
//! type and that type.
#![no_main]

use libfuzzer_sys::fuzz_target;
use testkit::events::assert_decodes_or_is_kept;

fuzz_target!(|input: &[u8]| {
    let Some((&selector, rest)) = input.split_first() else { return };
    if let Some(message_type) = po_fuzz::message_types().nth(selector.into()) {
        assert_decodes_or_is_kept(message_type.as_bytes(), rest);
    } else if let Some((&length, rest)) = rest.split_first() {
        let (message_type, payload) = rest.split_at(rest.len().min(length.into()));
        assert_decodes_or_is_kept(message_type, payload);
    }
});
