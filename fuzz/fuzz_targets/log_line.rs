//! Lines of debug.log, one after another: whatever is stated is an event like any other, and no line gets lost in the account.
#![no_main]

use event::log::{Options, Parser};
use event::{Event, Source};
use libfuzzer_sys::fuzz_target;
use testkit::events::assert_survives;

fuzz_target!(|input: &[u8]| {
    let mut parser = Parser::new(Options { unmatched: true });
    for line in input.split(|c| *c == b'\n') {
        parser.line(line, &mut |time, kind| {
            let event = Event { time, ..Event::new("fuzz", Source::Log, kind) };
            assert!(event.memory() < 16 << 10, "{} bytes", event.memory());
            assert_survives(&event);
        });
    }
    parser.settle(&mut |_, kind| assert_survives(&Event::new("fuzz", Source::Log, kind)));
    let totals = parser.totals();
    assert_eq!(totals.lines, totals.matched + totals.unmatched + totals.continuations);
    parser.health(&mut |_, kind| assert_survives(&Event::new("fuzz", Source::Log, kind)));
});
