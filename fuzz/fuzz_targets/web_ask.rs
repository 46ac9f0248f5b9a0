//! What a client of the pages sends: a subscription, the query of an address, a command to a recording, what to do with
//! an incident.
//!
//! What is a subscription is the same after writing and reading it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tools::web::act::Deed;
use tools::web::playback::Command;
use tools::web::wants::Ask;

fuzz_target!(|input: &[u8]| {
    let _ = Command::parse(input);
    let _ = Deed::parse(input);
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let _ = Ask::of_query(&[(key.to_owned(), value.to_owned())]).and_then(|ask| ask.wants());
    let Ok(ask) = Ask::parse(text) else { return };
    let written = serde_json::to_string(&ask).expect("it was JSON");
    assert_eq!(ask.wants().ok(), Ask::parse(&written).expect("it is what was read").wants().ok());
});
