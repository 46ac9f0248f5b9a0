//! Any bytes as rows of an export: a row for what is an event of the table, nothing for what is none, and nothing left behind of it.
//!
//! Input: an event's protobuf, tried as a row of every table.
#![no_main]

use event::Event;
use libfuzzer_sys::fuzz_target;
use tools::export::rows::Rows;
use tools::export::table::tables;

fuzz_target!(|input: &[u8]| {
    let event = Event::from_bytes(input.to_vec().into()).ok();
    for table in tables() {
        let mut rows = Rows::new(table);
        let pushed = rows.push(table, input);
        assert_eq!(rows.rows, usize::from(pushed), "{}", table.name);
        // what the encoder writes is a row of its table and of no other
        if let Some(event) = &event {
            assert_eq!(pushed, event.id() == Some(table.id), "{}", table.name);
            assert_eq!(rows.push(table, &event.to_bytes()), event.id() == Some(table.id), "{}", table.name);
        }
    }
});
