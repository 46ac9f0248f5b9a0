//! Rows as lines: CSV, or the one JSON form.

use event::Event;
use serde_json::Value;

use super::Format;
use super::table::{Column, Form, Table};

/// What a file begins with: of CSV, the names of the columns.
pub(super) fn head(format: Format, table: &Table) -> String {
    if format != Format::Csv {
        return String::new();
    }
    let names = table.tops().filter_map(|columns| columns.first()).map(|column| column.name.as_str());
    csv(std::iter::once("node").chain(names))
}

/// Adds an event.
pub(super) fn write(out: &mut Vec<u8>, format: Format, table: &Table, event: &Event) {
    if format == Format::Csv {
        out.extend(row(table, event).bytes());
        return;
    }
    serde_json::to_writer(&mut *out, event).expect("an event is JSON, and a Vec grows");
    out.push(b'\n');
}

/// An event as a line of CSV (RFC 4180): lists are JSON, what is absent is empty.
fn row(table: &Table, event: &Event) -> String {
    let json = serde_json::to_value(event).unwrap_or_default();
    let message = json.get(&table.json).unwrap_or(&Value::Null);
    let cells = table.tops().enumerate().filter_map(|(at, columns)| {
        let column = columns.first()?;
        Some(cell(if at < table.envelope.len() { &json } else { message }, column))
    });
    let cells: Vec<String> = std::iter::once(event.node.clone()).chain(cells).collect();
    csv(cells.iter().map(String::as_str))
}

fn cell(json: &Value, column: &Column) -> String {
    let Some((last, around)) = column.json.split_last() else { return String::new() };
    let Some(object) = around.iter().try_fold(json, |json, key| json.get(key)) else { return String::new() };
    let is_time = matches!(column.form, Form::Nanos | Form::Seconds) && column.lists.is_empty();
    // beside the number stands the time as people read it; where it is none, nothing
    let key = if is_time { &format!("{last}Text") } else { *last };
    match object.get(key) {
        None | Some(Value::Null) if column.nullable || !matches!(column.form, Form::Bool) => String::new(),
        // left out where it is false
        None | Some(Value::Null) => "false".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

fn csv<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let mut line = String::new();
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            line.push(',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            line.push('"');
            line.push_str(&cell.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(cell);
        }
    }
    line.push_str("\r\n");
    line
}

#[cfg(test)]
mod tests {
    use event::{Inventory, InventoryType, NetInv, NetVersion, Source};
    use expect_test::{Expect, expect};

    use super::*;
    use crate::export::table::tables;

    #[track_caller]
    fn check(kind: impl Into<event::Kind>, expected: Expect) {
        let event = Event { time: 1_750_000_000_123_456_789, ..Event::new("alice", Source::Ebpf, kind) };
        let table = tables().iter().find(|table| Some(table.id) == event.id()).unwrap();
        expected.assert_eq(&(head(Format::Csv, table) + &row(table, &event)).replace('\r', ""));
    }

    #[test]
    fn a_list_is_a_cell() {
        let items = vec![Inventory { r#type: InventoryType::Wtx as i32, hash: vec![7; 32].into(), number: None }];
        check(
            NetInv { peer: 3, items, ..NetInv::default() },
            expect![[r#"
            node,node_run,source,run,sequence,time,replay,peer,direction,address,connection_type,network,size,raw,items
            alice,,ebpf,0,0,2025-06-15T15:06:40.123456789Z,false,3,unspecified,,unspecified,unspecified,0,,"[{""hash"":""0707070707070707070707070707070707070707070707070707070707070707"",""type"":""wtx""}]"
        "#]],
        );
    }

    #[test]
    fn what_a_peer_chose_stays_in_its_cell() {
        let user_agent = "a,\"b\"\n=c".to_owned();
        check(
            NetVersion { peer: 3, time: i64::MAX, user_agent, ..NetVersion::default() },
            expect![[r#"
            node,node_run,source,run,sequence,time,replay,peer,direction,address,connection_type,network,size,raw,version,services,version_time,receiver_services,receiver_address,sender_services,sender_address,nonce,user_agent,start_height,relay
            alice,,ebpf,0,0,2025-06-15T15:06:40.123456789Z,false,3,unspecified,,unspecified,unspecified,0,,0,0,,0,,0,,0,"a,""b""
            =c",0,false
        "#]],
        );
    }
}
