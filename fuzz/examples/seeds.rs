//! Writes inputs to start from: `cargo run --example seeds` in this folder.
//!
//! A valid payload of every message type, a sample of every kind of event, and recordings of both. Made, not stored: they follow
//! the schema.

use std::error::Error;
use std::path::Path;

use event::recording::write;
use extract::rpc::METHODS;
use testkit::events::{arbitrary, payloads, samples};

fn main() -> Result<(), Box<dyn Error>> {
    for (message_type, payload) in payloads() {
        let selector = po_fuzz::message_types().position(|known| known == message_type).ok_or("a payload of an unknown type")?;
        seed("p2p_decode", &message_type, &[&[u8::try_from(selector)?], &payload[..]].concat())?;
    }
    let mut captured = Vec::new();
    for (message_type, payload) in payloads() {
        let mut padded = [0; 12];
        padded[..message_type.len()].copy_from_slice(message_type.as_bytes());
        captured.extend(
            [&1_750_000_000_000_000_u64.to_le_bytes()[..], &padded, &u32::try_from(payload.len())?.to_le_bytes(), &payload]
                .concat(),
        );
    }
    seed("capture_reader", "all", &captured)?;
    let unknown = b"sendpackages";
    seed("p2p_decode", "unknown", &[&[0xff, unknown.len() as u8], &unknown[..], &[1, 2, 3]].concat())?;

    let mut all = vec![7];
    for event in samples() {
        let name = event.id().ok_or("a sample without a kind")?.name();
        let bytes = event.to_bytes();
        seed("event_bytes", name, &bytes)?;
        seed("json", name, &bytes)?;
        let mut recording = vec![3];
        write(&event, &mut recording);
        seed("recording_reader", name, &recording)?;
        write(&event, &mut all);
    }
    seed("recording_reader", "all", &all)?;

    for number in 0..200 {
        let bytes = arbitrary(number).to_bytes();
        seed("event_bytes", &format!("arbitrary-{number}"), &bytes)?;
        seed("json", &format!("arbitrary-{number}"), &bytes)?;
    }

    for release in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/rpc"))? {
        let release = release?;
        for (selector, method) in (0..).zip(METHODS) {
            let Ok(answer) = std::fs::read(release.path().join(format!("{}.json", method.name))) else { continue };
            let name = format!("{}-{}", release.file_name().display(), method.name);
            seed("rpc_decode", &name, &[&[selector], &answer[..]].concat())?;
        }
    }

    let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/log");
    seed("log_line", "catalogue", &std::fs::read(log.join("catalogue.log"))?)?;
    for release in std::fs::read_dir(log)?.flatten().filter(|entry| entry.path().is_dir()) {
        for name in ["options", "play"] {
            let lines = std::fs::read(release.path().join(format!("{name}.log")))?;
            seed("log_line", &format!("{}-{name}", release.file_name().display()), &lines)?;
        }
    }
    Ok(())
}

fn seed(target: &str, name: &str, input: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("seed-{name}")), input)
}
