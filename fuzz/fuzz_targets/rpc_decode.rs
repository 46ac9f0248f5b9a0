//! An answer of a node's RPC, of any method: it becomes an event of the method's kind that survives being written, or an error.
#![no_main]

use event::{Event, Source};
use extract::rpc::METHODS;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((selector, answer)) = input.split_first() else { return };
    let method = &METHODS[usize::from(*selector) % METHODS.len()];
    if let Ok(kind) = method.decode(answer) {
        assert_eq!(kind.id(), method.kind);
        let event = Event::new("alice", Source::Rpc, kind);
        assert_eq!(Event::from_bytes(event.to_bytes()).ok(), Some(event), "{}", method.name);
    }
});
