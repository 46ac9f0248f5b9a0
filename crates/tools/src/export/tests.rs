//! What is in an event is in its row: compared over the schema, with the JSON form as witness.

use ::parquet::file::reader::{FileReader as _, SerializedFileReader};
use ::parquet::record::{Field, Row};
use bytes::Bytes;
use event::schema::{FieldDoc, KINDS, PARTS, WORDS};
use event::{Event, NetPing, Source};
use serde_json::{Map, Value, json};

use super::parquet::{Shape, write};
use super::rows::{Envelope, Rows};
use super::table::{Table, tables};

fn table(event: &Event) -> &'static Table {
    tables().iter().find(|table| Some(table.id) == event.id()).unwrap()
}

/// Events of one kind through Parquet, as they come back.
fn through(events: &[Event]) -> Vec<Map<String, Value>> {
    let table = table(&events[0]);
    let mut rows = Rows::new(table);
    let mut file = Shape::of(table).unwrap().begin(Vec::new()).unwrap();
    for (at, event) in events.iter().enumerate() {
        assert!(rows.push(table, &event.to_bytes()), "{event:?}");
        if at % 3 == 2 {
            write(&mut file, table, &mut rows).unwrap();
        }
    }
    write(&mut file, table, &mut rows).unwrap();
    let bytes = Bytes::from(file.into_inner().unwrap());
    let reader = SerializedFileReader::new(bytes).unwrap();
    reader.get_row_iter(None).unwrap().map(|row| group(&row.unwrap())).collect()
}

fn group(row: &Row) -> Map<String, Value> {
    row.get_column_iter().map(|(name, field)| (name.clone(), plain(field))).collect()
}

fn plain(field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => json!(value),
        Field::Int(value) => json!(value.to_string()),
        Field::UInt(value) => json!(value.to_string()),
        Field::Long(value) => json!(value.to_string()),
        Field::ULong(value) => json!(value.to_string()),
        Field::Double(value) => double(*value),
        Field::Str(text) => json!(text),
        Field::Bytes(bytes) => json!(bytes.data().iter().map(|byte| format!("{byte:02x}")).collect::<String>()),
        Field::Group(row) => Value::Object(group(row)),
        Field::ListInternal(list) => list.elements().iter().map(plain).collect(),
        other => panic!("{other:?}"),
    }
}

fn double(value: f64) -> Value {
    json!(format!("{value:?}"))
}

/// What should be there: the JSON form, flattened by the schema.
fn flat(fields: &[FieldDoc], json: &Value, prefix: &str, out: &mut Map<String, Value>) {
    for field in fields {
        let (label, kind) = field.kind.split_once(' ').unwrap_or(("", field.kind));
        let part = PARTS.iter().find(|part| part.message == kind);
        let value = json.get(field.json).unwrap_or(&Value::Null);
        let mut name = format!("{prefix}{}", field.name);
        while out.contains_key(&name) {
            // called like a column of the envelope
            name = format!("its {name}");
        }
        let value = match (label, part) {
            ("repeated", Some(part)) => value
                .as_array()
                .into_iter()
                .flatten()
                .map(|element| {
                    let mut inner = Map::new();
                    flat(part.fields, element, "", &mut inner);
                    Value::Object(inner)
                })
                .collect(),
            ("repeated", None) => value.as_array().into_iter().flatten().map(|value| scalar(field, value)).collect(),
            (_, Some(part)) => {
                flat(part.fields, value, &format!("{name}_"), out);
                continue;
            }
            // left out of the envelope where it is false
            (_, None) if name == "replay" && value.is_null() => json!(false),
            (_, None) => scalar(field, value),
        };
        out.insert(name, value);
    }
}

fn scalar(field: &FieldDoc, value: &Value) -> Value {
    let number = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned).parse::<i128>().unwrap();
    let time = |nanos: i128| i64::try_from(nanos).map_or(Value::Null, |nanos| json!(nanos.to_string()));
    let signed = |value: i128| i128::from(value as i64);
    match (field.text, value) {
        (_, Value::Null) => Value::Null,
        ("TEXT_TIME_NANOS", value) => time(number(value)),
        ("TEXT_TIME_SECONDS", value) => time(signed(number(value)) * 1_000_000_000),
        ("TEXT_HASH", Value::String(text)) if text.len() != 64 => Value::Null,
        (_, value) if field.kind.ends_with("double") => match value {
            Value::String(word) => json!(word.replace("Infinity", "inf")),
            value => double(value.as_f64().unwrap()),
        },
        (_, Value::Number(number)) => json!(number.to_string()),
        (_, value) => value.clone(),
    }
}

fn expected(event: &Event) -> Map<String, Value> {
    let json = serde_json::to_value(event).unwrap();
    let envelope = PARTS.iter().find(|part| part.message == "Event").unwrap();
    let mut out = Map::new();
    let fields: Vec<FieldDoc> = envelope.fields.iter().filter(|field| field.name != "node").copied().collect();
    flat(&fields, &json, "", &mut out);
    let kind = KINDS.iter().find(|kind| Some(kind.id) == event.id()).unwrap();
    flat(kind.fields, &json[&table(event).json], "", &mut out);
    out
}

#[track_caller]
fn check(events: &[Event]) {
    let short = events[0].id().unwrap().short_name();
    for (event, row) in events.iter().zip(through(events)) {
        let named = |(name, value): (String, Value)| (name.replace("its ", &format!("{short}_")), value);
        let expected: Map<String, Value> = expected(event).into_iter().map(named).collect();
        let pretty = |map: &Map<String, Value>| serde_json::to_string_pretty(&sorted(map)).unwrap();
        let Value::Object(row) = agreed(Value::Object(row), &Value::Object(expected.clone())) else { unreachable!() };
        assert_eq!(pretty(&row), pretty(&expected));
    }
}

/// A word that only a later release has is a number here, and the enumeration's first word in JSON.
fn agreed(row: Value, expected: &Value) -> Value {
    let later = row == "1000";
    match (row, expected) {
        (Value::Object(row), Value::Object(expected)) => {
            row.into_iter().map(|(key, value)| (key.clone(), agreed(value, expected.get(&key).unwrap_or(&Value::Null)))).collect()
        }
        (Value::Array(row), Value::Array(expected)) if row.len() == expected.len() => {
            row.into_iter().zip(expected).map(|(row, expected)| agreed(row, expected)).collect()
        }
        (_, Value::String(word))
            if later
                && WORDS
                    .iter()
                    .any(|words| words.words.first().is_some_and(|(first, number, _)| first == word && *number == 0)) =>
        {
            json!(word)
        }
        (row, _) => row,
    }
}

fn sorted(map: &Map<String, Value>) -> std::collections::BTreeMap<&String, &Value> {
    map.iter().collect()
}

#[test]
fn every_field_of_every_kind_arrives() {
    for event in testkit::events::samples() {
        check(&[event]);
    }
}

#[test]
fn an_empty_event_of_every_kind_arrives() {
    for event in testkit::events::samples() {
        // the kind's number, and a message of no bytes
        let number = event.id().unwrap() as u32;
        let mut bytes = Vec::new();
        prost_key(&mut bytes, number);
        bytes.push(0);
        let empty = Event::from_bytes(bytes.into()).unwrap();
        check(&[empty.clone(), event, empty]);
    }
}

fn prost_key(out: &mut Vec<u8>, number: u32) {
    let mut tag = number << 3 | 2;
    while tag >= 0x80 {
        out.push(tag as u8 | 0x80);
        tag >>= 7;
    }
    out.push(tag as u8);
}

#[test]
fn events_in_another_form_are_rows_too() {
    let ping = NetPing { peer: 7, nonce: Some(9), ..NetPing::default() };
    let event = Event { time: 5, sequence: 3, ..Event::new("alice", Source::Ebpf, ping) };
    let table = table(&event);
    let bytes = event.to_bytes();
    let plain = || {
        let mut rows = Rows::new(table);
        assert!(rows.push(table, &bytes));
        rows
    };
    // the time twice, the last one counts; behind the kind, where no encoder puts it
    let mut odd = vec![6 << 3, 99];
    odd.extend(&bytes[..]);
    odd.extend([6 << 3, 5]);
    assert!(Envelope::of(&odd).is_err());
    let mut rows = plain();
    for _ in 0..40 {
        assert!(rows.push(table, &odd));
    }
    assert_eq!(rows.rows, 41);
    let once = plain();
    for (cells, alone) in rows.cells.iter().zip(&once.cells) {
        assert_eq!(cells.definitions.len(), 41 * alone.definitions.len());
    }
    let before = format!("{:?}", plain().cells);
    let mut after = plain();
    // what is no event leaves nothing behind
    assert!(!after.push(table, &bytes[..bytes.len() - 1]));
    assert!(!after.push(table, b"\xff\xff"));
    assert_eq!(format!("{:?}", after.cells), before);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    #[test]
    fn any_event_arrives(seed: u64, count in 1_usize..5) {
        let first = testkit::events::arbitrary(seed);
        let of_kind = |event: &Event| event.id() == first.id();
        let more = (1..).map(|step| testkit::events::arbitrary(seed.wrapping_add(step))).take(500).filter(of_kind).take(count);
        check(&std::iter::once(first.clone()).chain(more).collect::<Vec<_>>());
    }

    #[test]
    fn no_bytes_make_it_panic(seed: u64, place: proptest::sample::Index, byte: u8, cut: proptest::sample::Index, noise: Vec<u8>) {
        let event = testkit::events::arbitrary(seed);
        let table = table(&event);
        let bytes = event.to_bytes();
        let mut changed = bytes.to_vec();
        let place = place.index(changed.len());
        changed[place] = byte;
        let mut rows = Rows::new(table);
        let pushed = [&changed[..], &bytes[..cut.index(bytes.len())], &noise, &bytes].map(|bytes| rows.push(table, bytes));
        proptest::prop_assert!(pushed[3]);
        proptest::prop_assert_eq!(rows.rows, pushed.iter().filter(|pushed| **pushed).count());
        // whatever was taken back, the rest is whole
        let mut file = Shape::of(table).unwrap().begin(Vec::new()).unwrap();
        write(&mut file, table, &mut rows).unwrap();
        let reader = SerializedFileReader::new(Bytes::from(file.into_inner().unwrap())).unwrap();
        let read = reader.get_row_iter(None).unwrap().map(Result::unwrap).last().map(|row| group(&row));
        proptest::prop_assert_eq!(read, through(&[event]).pop());
    }
}
