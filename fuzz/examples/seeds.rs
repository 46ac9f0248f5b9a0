//! Writes inputs to start from: `cargo run --example seeds` in this folder.
//!
//! A valid payload of every message type, a sample of every kind of event, and recordings of both. Made, not stored: they follow
//! the schema.

use std::error::Error;
use std::path::Path;

use event::archive::Packer;
use event::archive::segment::{Header, Index};
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
    let mut packer = Packer::default();
    for event in samples() {
        let name = event.id().ok_or("a sample without a kind")?.name();
        let bytes = event.to_bytes();
        seed("event_bytes", name, &bytes)?;
        seed("json", name, &bytes)?;
        seed("export_rows", name, &bytes)?;
        let mut recording = vec![3];
        write(&event, &mut recording);
        seed("recording_reader", name, &recording)?;
        write(&event, &mut all);
        if let Ok(length) = u8::try_from(bytes.len()) {
            seed("archive_events", name, &[&[length], &bytes[..]].concat())?;
        }
        packer.push(&event);
        frame(name, &mut packer)?;
    }
    samples().iter().chain(&samples()).for_each(|event| packer.push(event));
    frame("all", &mut packer)?;
    let header = Header { created: 1, writer: "0.0.1".into(), kinds: "net".into(), profile: "full".into() };
    seed("archive_segment", "header", &[&[0], &header.to_bytes()[..]].concat())?;
    seed("recording_reader", "all", &all)?;

    for number in 0..200 {
        let bytes = arbitrary(number).to_bytes();
        seed("event_bytes", &format!("arbitrary-{number}"), &bytes)?;
        seed("json", &format!("arbitrary-{number}"), &bytes)?;
        seed("export_rows", &format!("arbitrary-{number}"), &bytes)?;
    }

    for release in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/rpc"))? {
        let release = release?;
        for (selector, method) in (0..).zip(METHODS) {
            let Ok(answer) = std::fs::read(release.path().join(format!("{}.json", method.name))) else { continue };
            let name = format!("{}-{}", release.file_name().display(), method.name);
            seed("rpc_decode", &name, &[&[selector], &answer[..]].concat())?;
        }
    }

    for (name, line) in [
        ("hello", "HELLO REPLY RESULT=OK VERSION=3.1"),
        ("name", "NAMING REPLY RESULT=OK NAME=x.b32.i2p VALUE=AbC~-9="),
        ("away", "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"it is away\""),
    ] {
        seed("connect_sam", name, line.as_bytes())?;
    }

    let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/log");
    seed("log_line", "catalogue", &std::fs::read(log.join("catalogue.log"))?)?;
    for release in std::fs::read_dir(log)?.flatten().filter(|entry| entry.path().is_dir()) {
        for name in ["options", "play"] {
            let lines = std::fs::read(release.path().join(format!("{name}.log")))?;
            seed("log_line", &format!("{}-{name}", release.file_name().display()), &lines)?;
        }
    }

    for (name, text) in [
        ("sections", "-signet\n-rpcport=1\0rpccookiefile=a\nincludeconf=more\n[signet]\nrpcport=2 # mine\nincludeconf=s\0pid=p\n"),
        ("taken-back", "\0regtest=1\nnorpccookiefile=1\nrpccookiefile=b\ndebug=net\ndebug=0\nmain.datadir=e\n\0includeconf=x\n"),
        ("words", "--chain=testnet4\n-noconf\n-nodebuglogfile\n-debug=net\n-nodebug\n-datadir=x\0\0"),
    ] {
        seed("node_conf", name, text.as_bytes())?;
    }

    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lists/linkinglion.toml");
    seed("list_file", "linkinglion", &[&[1], &std::fs::read(list)?[..]].concat())?;
    seed("list_file", "plain", b"\0# version: 1\n198.51.100.1\n2001:db8::/32 # all of it\n")?;
    // everything is AS 1: a `return` of two class bits and fifteen others, and padding
    seed("asmap", "one", &[0; 19])?;
    let mut engine = detect::Engine::new(detect::thresholds::Thresholds::default(), 0);
    let mut said = Vec::new();
    samples().into_iter().for_each(|event| engine.observe(event.into(), &mut said));
    engine.finish(&mut said);
    let state = engine.save();
    let sections = detect::Sections::read(&state)?;
    for (number, (name, _)) in sections.names().enumerate() {
        let body = sections.body(name).unwrap_or_default();
        seed("detect_state", &name.replace(' ', "-"), &[&[u8::try_from(number)?], body].concat())?;
    }
    seed("profiles", "samples", sections.body("profiles").unwrap_or_default())?;
    for row in detect::thresholds::TABLE {
        seed("detect_thresholds", row.name, format!("{}={}", row.name, row.default).as_bytes())?;
    }
    Ok(())
}

/// The body of a frame as it is before compression, and its head.
fn frame(name: &str, packer: &mut Packer) -> Result<(), Box<dyn Error>> {
    let (head, bytes) = packer.finish(&mut zstd::bulk::Compressor::new(1)?).ok_or("a frame without events")?;
    let length = bytes.len() - head.body_length();
    seed("archive_segment", name, &[&[1], &bytes[..length]].concat())?;
    let mut index = Index::default();
    index.push(40, &head, &bytes[..length]);
    seed("archive_segment", &format!("{name}-index"), &[&[2], &index.to_bytes(40 + bytes.len() as u64)[..]].concat())?;
    let mut input = u16::try_from(head.events)?.to_le_bytes().to_vec();
    let (mut body, mut at) = (Vec::new(), length);
    for number in 0..8 {
        let section = head.sections.get(number).copied();
        let stored = section.map_or(0, |section| section.stored as usize);
        let raw = match section {
            Some(section) if section.compressed => zstd::bulk::decompress(&bytes[at..at + stored], section.raw as usize)?,
            _ => bytes[at..at + stored].to_vec(),
        };
        at += stored;
        input.extend(u16::try_from(raw.len())?.to_le_bytes());
        body.extend(raw);
    }
    seed("archive_frame", name, &[input, body].concat())?;
    Ok(())
}

fn seed(target: &str, name: &str, input: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("seed-{name}")), input)
}
