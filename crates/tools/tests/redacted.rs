//! A slice for others holds no secret: neither in its events nor in what the archive says around them.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod world;

use std::fs;
use std::path::Path;

use event::archive::Packer;
use event::archive::segment::{Header, TAIL};
use event::redact::Redactor;
use event::{Event, KindId, LocalAddress, Source, StateNetwork};
use testkit::secrets::{self, NODE, OWN, Output, Secret};
use tools::archive::copy::{Copied, LEVEL};
use tools::archive::segment::{Segment, Writer};
use tools::archive::{Progress, Selection, info, redacted};
use tools::logger::{Colour, Line};
use world::{all, written};

const KEY: [u8; 32] = *b"thirty-two bytes that are secret";

/// Every kind with a secret in every field and with the node's own address in every text; what says that it is the node's own comes last.
fn planted() -> Vec<Event> {
    let stated = OWN.map(|address| LocalAddress { address: address.rsplit_once(':').unwrap().0.into(), ..Default::default() });
    let network = StateNetwork { local_addresses: stated.into(), ..Default::default() };
    let mut events: Vec<Event> = secrets::events().into_iter().map(|(event, _)| event).chain(secrets::own()).collect();
    events.push(Event::new(NODE, Source::Rpc, network));
    for (event, sequence) in events.iter_mut().zip(0..) {
        (event.sequence, event.time) = (sequence, 1_750_000_000_000_000_000 + sequence);
    }
    events
}

fn recorded(directory: &Path) -> (Vec<Event>, std::path::PathBuf) {
    let (events, path) = (planted(), directory.join(format!("{NODE}.poa")));
    written(&path, &events.chunks(300).collect::<Vec<_>>());
    (events, path)
}

fn cut(from: &Path, selection: &Selection, to: &Path, key: [u8; 32]) -> Copied {
    let copied = redacted::cut(&[from.to_owned()], selection, to, 7, &mut Redactor::new(key), &Progress::default()).unwrap();
    assert!(copied.fault.is_none(), "{:?}", copied.fault);
    copied
}

/// What somebody can make of a file: its bytes, what is compressed in it, what tools say of it.
fn crawl(path: &Path) -> Output {
    let mut out = Output::default();
    out.push(path.file_name().unwrap().as_encoded_bytes());
    out.push(fs::read(path).unwrap());
    let segment = Segment::open(path, |_, _| true).unwrap().unwrap();
    for entry in &segment.entries {
        let body = segment.body(entry).unwrap();
        let mut rest = &body[..];
        for section in &entry.head.sections {
            let (stored, more) = rest.split_at(section.stored as usize);
            rest = more;
            out.push(if section.compressed {
                zstd::bulk::decompress(stored, section.raw as usize).unwrap()
            } else {
                stored.to_vec()
            });
        }
        out.push(format!("{:?}", entry.head));
    }
    let mut info = info::info(&[path.to_owned()], 0).unwrap();
    // where it lies here is nobody else's business
    info.files.iter_mut().for_each(|file| file.path = file.path.file_name().unwrap().into());
    out.push(info.to_string());
    out.push(serde_json::to_string(&info).unwrap());
    for event in all(path) {
        out.push(serde_json::to_string(&event).unwrap());
        out.push(Line(&event, Colour::Off).to_string());
        out.push(event.to_bytes());
    }
    out
}

fn found(path: &Path) -> Vec<&'static str> {
    let out = crawl(path);
    let mut secrets = secrets::of_the_node();
    secrets.push(Secret::of_bytes("key", &KEY));
    for address in OWN {
        // somebody who is the node's own is not a stranger either
        secrets.push(Secret::of_bytes("identifier", Redactor::new(KEY).identifier(address).as_bytes()));
    }
    secrets.iter().filter(|secret| secret.is_in(&out)).map(|secret| secret.field).collect()
}

#[test]
fn nothing_of_the_node_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let (_, path) = recorded(directory.path());
    let to = directory.path().join("slice.poa");
    cut(&path, &Selection::default(), &to, KEY);
    assert_eq!(found(&to), [""; 0]);
    // the search finds what is there
    let fields = found(&path);
    assert!(fields.contains(&"name") && fields.contains(&"address"), "{fields:?}");
}

/// Head, tables, index: all of it is made of redacted events, and of nothing else.
#[test]
fn the_file_is_that_of_the_redacted_events() {
    let directory = tempfile::tempdir().unwrap();
    let (events, path) = recorded(directory.path());
    let (to, expected) = (directory.path().join("slice.poa"), directory.path().join("expected.poa"));
    let copied = cut(&path, &Selection::default(), &to, KEY);
    let mut redactor = Redactor::new(KEY);
    events.iter().for_each(|event| redactor.learn(event));
    let header = Header { created: 7, writer: env!("CARGO_PKG_VERSION").to_owned(), ..Header::default() };
    let mut writer = Writer::create(&expected, &header, LEVEL).unwrap();
    let mut packer = Packer::default();
    let redacted: Vec<Event> = events.iter().filter_map(|event| redactor.redact(event.clone())).collect();
    for event in &redacted {
        packer.push(event);
        if packer.is_full() {
            writer.frame(&mut packer).unwrap();
        }
    }
    writer.frame(&mut packer).unwrap();
    writer.finish().unwrap();
    assert_eq!((copied.events, copied.withheld), (redacted.len() as u64, (events.len() - redacted.len()) as u64));
    assert!(copied.withheld > 0 && copied.events > copied.withheld);
    assert!(fs::read(&to).unwrap() == fs::read(&expected).unwrap(), "another file than one of the redacted events");
    assert!(fs::metadata(&to).unwrap().len() > TAIL as u64);
}

/// What teaches is outside of the slice.
#[test]
fn a_slice_knows_what_all_of_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let (events, path) = recorded(directory.path());
    let to = directory.path().join("slice.poa");
    let opened = Some([KindId::ConnOpened].into_iter().collect());
    let copied = cut(&path, &Selection { kinds: opened, ..Selection::default() }, &to, KEY);
    assert_eq!(copied.events, events.iter().filter(|event| event.id() == Some(KindId::ConnOpened)).count() as u64);
    assert_eq!(found(&to), [""; 0]);
}

#[test]
fn strangers_are_the_same_under_one_key_only() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.poa");
    let opened = event::ConnOpened { peer: 1, address: "203.0.113.7:8333".into(), ..Default::default() };
    written(&path, &[&[Event::new("x", Source::Ebpf, opened)]]);
    let address = |name: &str, key| {
        let to = directory.path().join(name);
        cut(&path, &Selection::default(), &to, key);
        all(&to)[0].kind.as_ref().unwrap().address().to_owned()
    };
    let one = address("one.poa", KEY);
    assert!(one.starts_with("peer-"), "{one}");
    assert_eq!(address("again.poa", KEY), one);
    assert_ne!(address("other.poa", [1; 32]), one);
}

#[test]
fn a_name_that_tells_is_refused_before_anything_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let (_, path) = recorded(directory.path());
    let to = directory.path().join("of-Honeypot-Seven.poa");
    let error = redacted::cut(&[path], &Selection::default(), &to, 7, &mut Redactor::new(KEY), &Progress::default()).unwrap_err();
    assert!(error.to_string().ends_with("tells the name of the node `honeypot-seven`"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}
