//! What the targets and their seeds share.

use event::KindId;
use event::archive::{Head, Packer, Unpacker};

/// The message types that are decoded, in the order by which an input selects them.
pub fn message_types() -> impl Iterator<Item = &'static str> {
    KindId::ALL.into_iter().filter(|id| id.family() == "net" && *id != KindId::NetUndecodable).map(KindId::short_name)
}

/// The events of a packer come out as they went in.
pub fn assert_survive(packer: &mut Packer, events: &[Vec<u8>]) {
    let mut compressor = zstd::bulk::Compressor::new(1).expect("there is such a level");
    let Some((head, frame)) = packer.finish(&mut compressor) else { return assert!(events.is_empty()) };
    let length = Head::length(&frame).expect("it begins with a head");
    assert_eq!(Head::from_bytes(&frame[..length]).as_ref(), Ok(&head));
    let mut decompressor = zstd::bulk::Decompressor::new().expect("there is memory for it");
    let mut unpacker = Unpacker::new(&head, &frame[length..], &mut decompressor).expect("it was just packed");
    let mut event = Vec::new();
    for expected in events {
        event.clear();
        unpacker.next(&mut event).expect("it was just packed").expect("there are more");
        assert_eq!(&event, expected);
    }
    assert_eq!(unpacker.next(&mut event), Ok(None));
    // as values, where all of them are some
    let values: Result<Vec<_>, _> = events.iter().map(|event| event::Event::from_bytes(event.clone().into())).collect();
    let Ok(values) = values else { return };
    let mut unpacker = Unpacker::new(&head, &frame[length..], &mut decompressor).expect("it was just packed");
    for expected in values {
        let event = unpacker.next_event(|_| true).expect("it was just packed").expect("there are more");
        assert_eq!(event.to_bytes(), expected.to_bytes());
    }
}
