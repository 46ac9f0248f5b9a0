//! A store of S3's kind: one that works (`moto`), and some that do not.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod world;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use expect_test::{Expect, expect};
use testkit::{Moto, moto};
use tools::archive::Selection;
use tools::archive::amount::Age;
use tools::export::manifest::Manifest;
use tools::export::{self, Format, Job, Progress, parts};
use tools::ship::{Shipper, shipped};
use tools::target::s3::{Options, S3};
use tools::target::{Checksum, Place, Target, TargetError};
use world::{DEMO, pings, written};

fn moto() -> Option<Moto> {
    Moto::start(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap()
}

fn options(directory: &Path, endpoint: &str, timeout: Duration) -> Options {
    Options {
        s3_endpoint: Some(endpoint.to_owned()),
        s3_region: Some("eu-central-1".to_owned()),
        s3_credentials_file: Some(moto::credentials(directory).unwrap()),
        s3_timeout: Age(timeout),
    }
}

fn open(directory: &Path, endpoint: &str) -> Target {
    Target::S3(S3::open("bucket", "a/prefix", &options(directory, endpoint, Duration::from_secs(30))).unwrap())
}

fn file(directory: &Path, name: &str, bytes: usize) -> (PathBuf, Checksum) {
    let path = directory.join(name);
    fs::write(&path, (0..bytes).map(|at| ((at * 31) >> 7) as u8).collect::<Vec<_>>()).unwrap();
    let sum = Checksum::of(&path).unwrap();
    (path, sum)
}

#[test]
fn files_arrive_whole_in_one_part_or_several() {
    let Some(moto) = moto() else { return };
    let directory = tempfile::tempdir().unwrap();
    let target = open(directory.path(), moto.endpoint());
    assert_eq!(target.size("small").unwrap(), None);
    assert_eq!(target.read("small").unwrap(), None);
    for (name, bytes) in [("small", 10), ("empty", 0), ("deep/er.poa", 100_000), ("large", (17 << 20) + 5)] {
        let (path, sum) = file(directory.path(), "file", bytes);
        let mut told = 0;
        let mut pace = |bytes| {
            told += bytes;
            true
        };
        target.send(&path, name, &sum, &mut pace).unwrap();
        assert_eq!(told, bytes, "every byte is told of before it is sent");
        target.check(name, &sum).unwrap();
        assert_eq!(target.size(name).unwrap(), Some(bytes as u64));
        // what is there is another one
        let other = Checksum { sha256: "00".repeat(32), ..sum.clone() };
        assert!(matches!(target.check(name, &other), Err(TargetError::Other { .. })));
        let longer = Checksum { bytes: sum.bytes + 1, ..sum };
        assert!(matches!(target.check(name, &longer), Err(TargetError::Other { .. })));
    }
    target.write("small", b"other").unwrap();
    assert_eq!(target.read("small").unwrap().as_deref(), Some(&b"other"[..]));
    // an upload that is ended leaves nothing
    let (path, sum) = file(directory.path(), "file", 17 << 20);
    let mut parts = 0;
    let mut pace = |_| {
        parts += 1;
        parts < 2
    };
    assert!(matches!(target.send(&path, "half", &sum, &mut pace), Err(TargetError::Stopped)));
    assert_eq!(target.size("half").unwrap(), None);
}

#[test]
fn an_export_goes_to_a_bucket_and_goes_on_there() {
    let Some(moto) = moto() else { return };
    let directory = tempfile::tempdir().unwrap();
    let target = open(directory.path(), moto.endpoint());
    let run = || {
        let job = Job {
            recordings: vec![DEMO.into()],
            selection: Selection::default(),
            format: Format::Parquet,
            license: None,
            redactor: None,
            limits: parts::Limits::default(),
        };
        export::run(job, &target, "s3://bucket/a/prefix", &Progress::default(), &AtomicBool::new(false)).unwrap()
    };
    let first = run();
    assert_eq!((first.events, first.rows), (2245, 2245));
    let manifest: Manifest = serde_json::from_slice(&target.read("manifest.json").unwrap().unwrap()).unwrap();
    assert_eq!(manifest.files.len() as u64, first.files);
    for file in &manifest.files {
        target.check(&file.path, &file.sum).unwrap();
    }
    let second = run();
    assert_eq!((second.events, second.known), (0, 1));
}

/// An archive with one segment, and a shipper that sends it to `endpoint`.
fn shipper(directory: &Path, endpoint: &str, timeout: Duration) -> (PathBuf, Shipper) {
    let archive = directory.join("archive");
    fs::create_dir_all(&archive).unwrap();
    let path = archive.join("00000001-20250615T150640Z.poa");
    if !path.exists() {
        written(&path, &[&pings(0..10)]);
    }
    let place: Place = "s3://bucket/ship".parse().unwrap();
    let target = Target::S3(S3::open("bucket", "ship", &options(directory, endpoint, timeout)).unwrap());
    (archive.clone(), Shipper::new(target, &place, "host", &[archive], None))
}

#[test]
fn segments_are_shipped_to_a_bucket() {
    let Some(moto) = moto() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (archive, mut shipper) = shipper(directory.path(), moto.endpoint(), Duration::from_secs(30));
    let round = shipper.round(Duration::ZERO, &AtomicBool::new(false));
    assert_eq!((round.files, round.errors.len()), (1, 0), "{:?}", round.errors);
    assert_eq!(shipped::read(&archive).len(), 1);
    let (_, mut again) = self::shipper(directory.path(), moto.endpoint(), Duration::from_secs(30));
    assert_eq!(again.round(Duration::ZERO, &AtomicBool::new(false)).files, 0);
}

/// Whether a request comes a first time, its line, and what it brings: the answer, or none.
type Answer = fn(line: &str, body: &[u8]) -> Option<Vec<u8>>;

/// A server that answers as it likes, on a port of its own, until the test ends.
fn server(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || serve(stream, answer));
        }
    });
    endpoint
}

fn serve(stream: TcpStream, answer: Answer) {
    let mut input = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    loop {
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if input.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
            head += &line;
        }
        let mut body = vec![0; length];
        if input.read_exact(&mut body).is_err() {
            return;
        }
        match answer(head.lines().next().unwrap_or_default(), &body) {
            Some(bytes) if stream.write_all(&bytes).is_ok() => {}
            Some(_) => return,
            // says nothing, and stays
            None => {
                let _ = input.read(&mut [0]);
                return;
            }
        }
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend(body);
    Some(bytes)
}

/// How long a shipper waits for a store that does not answer as it should, and for one that does.
const SOON: Duration = Duration::from_millis(300);
const LATE: Duration = Duration::from_secs(30);

/// What a store of this kind does to a shipper: an error, and nothing listed, nothing deleted.
#[track_caller]
fn check(store: Answer, timeout: Duration, expected: Expect) {
    let directory = tempfile::tempdir().unwrap();
    let endpoint = server(store);
    let (archive, mut shipper) = shipper(directory.path(), &endpoint, timeout);
    let round = shipper.round(Duration::ZERO, &AtomicBool::new(false));
    assert_eq!((round.files, round.errors.len()), (0, 1), "{:?}", round.errors);
    assert!(shipped::read(&archive).is_empty());
    assert_eq!(fs::read_dir(&archive).unwrap().count(), 1, "nothing is deleted");
    let folder = archive.canonicalize().unwrap().display().to_string().trim_start_matches('/').replace(['/', '.'], "-");
    let text = round.errors[0].to_string().replace(&folder, "FOLDER").replace(&endpoint, "ENDPOINT");
    assert!(!text.contains("hush"), "{text}");
    // how long the client tried is not the point
    let text = text.split(", after ").next().unwrap();
    // the answer of a store is cut short, which depends on what stands before it
    let text = text.split(": <Error>").next().unwrap();
    let words: Vec<&str> = text.split(' ').collect();
    let is_time = |word: &str| word.ends_with('s') && word.starts_with(|first: char| first.is_ascii_digit());
    let text = words.iter().map(|word| if is_time(word) { "TIME" } else { word }).collect::<Vec<_>>().join(" ");
    expected.assert_eq(&text);
}

#[test]
fn a_store_that_says_nothing() {
    check(
        |_, _| None,
        SOON,
        expect![
            "failed to read s3://bucket/ship/host/FOLDER/manifest.json: Generic S3 error: Error performing GET ENDPOINT/bucket/ship/host/FOLDER/manifest.json in TIME"
        ],
    );
}

#[test]
fn a_store_that_talks_nonsense() {
    check(
        |_, _| Some(b"220 mail.example.org ESMTP\r\n".to_vec()),
        SOON,
        expect![
            "failed to read s3://bucket/ship/host/FOLDER/manifest.json: Generic S3 error: Error performing GET ENDPOINT/bucket/ship/host/FOLDER/manifest.json in TIME"
        ],
    );
}

#[test]
fn a_store_that_refuses() {
    let denied = |_: &str, _: &[u8]| answer("403 Forbidden", "", b"<Error><Code>AccessDenied</Code></Error>");
    check(
        denied,
        LATE,
        expect![
            "failed to read s3://bucket/ship/host/FOLDER/manifest.json: The operation lacked the necessary privileges to complete for path ship/host/FOLDER/manifest.json: Error performing GET ENDPOINT/bucket/ship/host/FOLDER/manifest.json in TIME - Server returned non-2xx status code: 403 Forbidden"
        ],
    );
}

#[test]
fn a_store_that_answers_without_end() {
    let endless = |_: &str, _: &[u8]| {
        let mut bytes =
            b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nLast-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\nContent-Length: 99999999\r\n\r\n"
                .to_vec();
        bytes.resize(20 << 20, b'x');
        Some(bytes)
    };
    check(
        endless,
        SOON,
        expect![
            "failed to read s3://bucket/ship/host/FOLDER/manifest.json: Generic S3 error: Error performing GET ENDPOINT/bucket/ship/host/FOLDER/manifest.json in TIME"
        ],
    );
}

/// What a store says of a file that has 10 pings in it.
fn stored(line: &str, size: usize, body: &[u8]) -> Option<Vec<u8>> {
    let headers = "ETag: \"x\"\r\nLast-Modified: Wed, 01 Jan 2025 00:00:00 GMT\r\n";
    match line.split(' ').next().unwrap() {
        "PUT" => answer("200 OK", "ETag: \"x\"\r\n", b""),
        "HEAD" => Some(format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {size}\r\n\r\n").into_bytes()),
        _ if line.contains("manifest.json") => answer("404 Not Found", "", b""),
        _ => answer("206 Partial Content", &format!("{headers}Content-Range: bytes 0-{}/{size}\r\n", size - 1), body),
    }
}

fn size() -> usize {
    // each request asks for it, and has to be answered in time
    static SIZE: LazyLock<usize> = LazyLock::new(|| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pings.poa");
        written(&path, &[&pings(0..10)]);
        fs::metadata(path).unwrap().len() as usize
    });
    *SIZE
}

#[test]
fn a_store_that_keeps_half() {
    check(
        |line, _| stored(line, size() / 2, b""),
        LATE,
        expect!["s3://bucket/ship/host/FOLDER/00000001-20250615T150640Z.poa arrived with 243 bytes instead of 486"],
    );
}

#[test]
fn a_store_that_keeps_something_else() {
    check(
        |line, _| stored(line, size(), &vec![7; size()]),
        LATE,
        expect!["s3://bucket/ship/host/FOLDER/00000001-20250615T150640Z.poa arrived with another checksum"],
    );
}

#[test]
fn a_store_that_forgets() {
    let forgets = |line: &str, _: &[u8]| match line.split(' ').next().unwrap() {
        "PUT" => answer("200 OK", "ETag: \"x\"\r\n", b""),
        _ => answer("404 Not Found", "", b""),
    };
    check(
        forgets,
        LATE,
        expect!["failed to read back s3://bucket/ship/host/FOLDER/00000001-20250615T150640Z.poa: it is not there"],
    );
}

#[test]
fn a_store_that_is_not_there() {
    let directory = tempfile::tempdir().unwrap();
    // nobody listens on a port that was just given back
    // an address that no other test binds
    let endpoint = format!("http://{}", TcpListener::bind("127.77.250.2:0").unwrap().local_addr().unwrap());
    let (_, mut shipper) = shipper(directory.path(), &endpoint, SOON);
    let round = shipper.round(Duration::ZERO, &AtomicBool::new(false));
    let text = round.errors[0].to_string();
    assert!(text.contains("Connection refused") && text.contains("s3://bucket/ship/"), "{text}");
    assert_eq!(shipper.total().failures, 1);
}
