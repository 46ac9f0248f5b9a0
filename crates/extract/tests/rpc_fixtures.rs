//! Real answers of each supported release, and the events that they become.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic as tests do")]

use std::fs;
use std::path::{Path, PathBuf};

use event::{Event, Source};
use expect_test::expect_file;
use extract::rpc::{METHODS, Method, peers_of};

fn releases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/rpc");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut releases: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    releases.sort();
    releases
}

#[test]
fn every_answer_becomes_its_event() {
    let releases = releases();
    assert!(!releases.is_empty());
    for release in releases {
        for method in METHODS {
            let answer = release.join(format!("{}.json", method.name));
            let json = fs::read(&answer).unwrap_or_else(|error| panic!("{}: {error}", answer.display()));
            let kind = method.decode(&json).unwrap_or_else(|error| panic!("{}: {error}", answer.display()));
            assert_eq!(kind.id(), method.kind, "{}", answer.display());
            let event = serde_json::to_value(Event::new("alice", Source::Rpc, kind)).unwrap();
            let kind = event.as_object().unwrap().values().find(|value| value.is_object()).unwrap();
            expect_file![release.join(format!("{}.event.json", method.name))].assert_eq(&format!("{kind:#}\n"));
        }
    }
}

/// Of the answers as they are, every shorter part is an error and none makes anything panic.
#[test]
fn a_part_of_an_answer_is_an_error() {
    for release in releases() {
        for method in METHODS {
            let json = fs::read(release.join(format!("{}.json", method.name))).unwrap();
            let json = json.trim_ascii_end();
            for end in (0..json.len()).step_by(json.len() / 200 + 1) {
                assert!(method.decode(&json[..end]).is_err(), "{} of {} up to {end}", method.name, release.display());
            }
        }
    }
}

#[test]
fn a_changed_byte_makes_nothing_panic() {
    for release in releases() {
        for method in METHODS {
            let json = fs::read(release.join(format!("{}.json", method.name))).unwrap();
            for at in (0..json.len()).step_by(json.len() / 300 + 1) {
                for byte in *b"\"{}[],:-0e.\\\xff" {
                    let mut changed = json.clone();
                    changed[at] = byte;
                    let _ = method.decode(&changed);
                }
            }
        }
    }
}

#[test]
fn peers_seed_a_table() {
    let release = releases().pop().unwrap();
    let method = Method::of_name("getpeerinfo").unwrap();
    let event::Kind::StatePeers(peers) = method.decode(&fs::read(release.join("getpeerinfo.json")).unwrap()).unwrap() else {
        panic!("peers");
    };
    let seeds: Vec<_> = peers_of(&peers).collect();
    assert_eq!(seeds.len(), peers.peers.len());
    assert!(seeds.iter().all(|peer| !peer.address.is_empty() && peer.connection_type.word() != "unspecified"));
}
