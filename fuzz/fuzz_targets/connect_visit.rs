//! Any bytes from whoever was dialled, in pieces: no panic, nothing more after a fault, and a bounded hello.
#![no_main]

use std::sync::LazyLock;

use event::p2p::network::KNOWN;
use event::p2p::transport::{Version, frame};
use libfuzzer_sys::fuzz_target;
use tools::connect::visit::{Greeting, Visit};

static PAYLOADS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(testkit::events::payloads);

fuzz_target!(|input: (bool, u8, Vec<(u8, Vec<u8>)>)| {
    let (v2, piece, parts) = input;
    let (_, network) = KNOWN[0];
    let transport = if v2 { Version::V2 } else { Version::V1 };
    let user_agent = "/peer-observer:fuzz(https://example.org)/".to_owned();
    let mut visit = Visit::new(Greeting { network, transport, secret: [9; 32], nonce: 5, time: 1_750_000_000, user_agent });
    let mut stream = Vec::new();
    // as messages, or as they are
    for (at, bytes) in &parts {
        match PAYLOADS.get(usize::from(*at)) {
            Some((message_type, payload)) if bytes.is_empty() => frame(network, message_type, payload, &mut stream),
            Some((message_type, _)) => frame(network, message_type, bytes, &mut stream),
            None => stream.extend(bytes),
        }
    }
    let mut end = None;
    for piece in stream.chunks(usize::from(piece) + 1) {
        let result = visit.receive(piece);
        visit.take_output();
        if end.is_some() {
            assert_eq!(visit.hello().cloned(), end, "nothing happens after the end");
        } else if !matches!(result, Ok(false)) {
            end = visit.hello().cloned();
        }
    }
    visit.meant();
    if let Some(hello) = visit.hello() {
        assert!(hello.user_agent.len() <= 256 && hello.user_agent.bytes().all(|byte| matches!(byte, b' '..=b'~')));
    }
});
