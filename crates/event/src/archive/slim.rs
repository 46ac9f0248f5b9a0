//! Events without bodies: profile `low-data`.

use std::collections::HashMap;
use std::sync::LazyLock;

use bytes::Bytes;

use super::wire::Cursor;
use crate::schema::KINDS;
use crate::{DecodeError, Event, KindId};

/// Fields that are raw bytes, by kind.
static BODIES: LazyLock<HashMap<KindId, Vec<u32>>> = LazyLock::new(|| {
    let bodies = |fields: &[crate::schema::FieldDoc]| {
        let raw = fields.iter().filter(|field| field.kind.ends_with("bytes") && field.text == "TEXT_HEX");
        raw.map(|field| field.number).collect::<Vec<_>>()
    };
    // what could not be decoded is in its bytes and nowhere else
    let decoded = KINDS.iter().filter(|kind| kind.id.short_name() != "undecodable");
    decoded.map(|kind| (kind.id, bodies(kind.fields))).filter(|(_, fields)| !fields.is_empty()).collect()
});

/// The event without its raw bytes; `None` where it has none.
///
/// # Errors
///
/// An event that cannot be read back, which none of ours is.
pub fn slim(event: &Event) -> Result<Option<Event>, DecodeError> {
    let Some(id) = event.id() else { return Ok(None) };
    let Some(fields) = BODIES.get(&id) else { return Ok(None) };
    // most events come without
    if event.kind.as_ref().and_then(crate::Kind::net).is_some_and(|net| net.raw.is_none()) && fields.len() == 1 {
        return Ok(None);
    }
    let whole = event.to_bytes();
    let envelope = Event { kind: None, ..event.clone() }.to_bytes();
    let Some(kind) = without(&whole[envelope.len()..], fields) else { return Ok(None) };
    let mut bytes = envelope.to_vec();
    super::wire::put(&mut bytes, u64::from(id as u32) << 3 | 2);
    super::wire::put_bytes(&mut bytes, &kind);
    Event::from_bytes(Bytes::from(bytes)).map(Some)
}

/// A message without some of its fields; `None` where it has none of them.
fn without(kind: &[u8], fields: &[u32]) -> Option<Vec<u8>> {
    let mut cursor = Cursor(kind);
    cursor.varint().ok()?;
    let mut message = Cursor(cursor.bytes().ok()?);
    let mut out = Vec::with_capacity(message.0.len());
    let mut found = false;
    while !message.0.is_empty() {
        let before = message.0;
        let key = message.varint().ok()?;
        match key & 7 {
            0 => drop(message.varint().ok()?),
            1 => drop(message.array::<8>().ok()?),
            2 => drop(message.bytes().ok()?),
            5 => drop(message.array::<4>().ok()?),
            _ => return None,
        }
        if u32::try_from(key >> 3).is_ok_and(|number| fields.contains(&number)) {
            found = true;
        } else {
            out.extend_from_slice(&before[..before.len() - message.0.len()]);
        }
    }
    found.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NetPing, NetUndecodable, Source};

    #[test]
    fn raw_bytes_go_and_everything_else_stays() {
        let ping = NetPing { peer: 3, nonce: Some(5), size: 8, ..NetPing::default() };
        let raw = NetPing { raw: Some(vec![1; 8].into()), ..ping.clone() };
        let event = |ping| Event { time: 7, run: 2, sequence: 9, ..Event::new("n", Source::Ebpf, ping) };
        assert_eq!(slim(&event(raw)).unwrap(), Some(event(ping.clone())));
        assert_eq!(slim(&event(ping)).unwrap(), None);
    }

    #[test]
    fn what_was_not_decoded_is_kept() {
        let kept = NetUndecodable { raw: Some(vec![1; 8].into()), ..Default::default() };
        assert_eq!(slim(&Event::new("n", Source::Ebpf, kept)).unwrap(), None);
    }

    #[test]
    fn every_message_has_a_body_to_leave_out() {
        for id in KindId::ALL.into_iter().filter(|id| id.family() == "net" && *id != KindId::NetUndecodable) {
            assert!(BODIES[&id].contains(&7), "{id}");
        }
    }
}
