//! Any bytes from whoever connects to the P2P extractor, in pieces: no panic, and after a fault nothing more.
#![no_main]

use std::sync::LazyLock;

use extract::p2p::network::{KNOWN, Networks};
use extract::p2p::session::{Greeting, Session};
use extract::p2p::transport::frame;
use libfuzzer_sys::fuzz_target;

static PAYLOADS: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(testkit::events::payloads);

fuzz_target!(|input: (u8, u8, Vec<(u8, Vec<u8>)>)| {
    let (start, piece, parts) = input;
    let (_, magic) = KNOWN[4];
    let networks = Networks { only: (start & 4 != 0).then_some(magic), learned: None };
    let greeting = Greeting { secret: [9; 32], nonce: 5, time: 1_750_000_000 };
    let mut session = Session::new(networks, greeting, start & 8 != 0);
    let mut stream = Vec::new();
    // past the handshake, or not
    if start & 1 != 0 {
        let (_, version) = PAYLOADS.iter().find(|(name, _)| name == "version").expect("a payload of each type");
        frame(magic, "version", version, &mut stream);
        frame(magic, "verack", &[], &mut stream);
    }
    // as messages, or as they are
    for (at, bytes) in &parts {
        match PAYLOADS.get(usize::from(*at)) {
            Some((message_type, _)) => frame(magic, message_type, bytes, &mut stream),
            None => stream.extend(bytes),
        }
    }
    let mut failed = false;
    for piece in stream.chunks(usize::from(piece) + 1) {
        let result = session.receive(piece, |_| assert!(!failed, "nothing happens after a fault"));
        failed |= result.is_err();
        session.ping(1);
        session.take_output();
    }
});
