//! The pages in a browser: every one of them over the bundled recording, as the program serves it. And that what is inside the program is
//! what is in `web/src`.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use std::sync::Arc;

use detect::incident::Told;
use event::{EntityKind, Event, Finding, FindingEntity, FindingInput, FindingOpened, IncidentDelivered, Severity, Source, Verdict};
use extract::recording::Writer;
use program::{Running, program};
use tools::incidents::slice::Slice;
use tools::incidents::{Act, Book};

fn web() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web").canonicalize().unwrap()
}

/// Runs a command in `web/` to its end; what it said is part of the failure.
#[track_caller]
fn run(command: &mut Command) {
    let output = command.current_dir(web()).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {said}");
    println!("{said}");
}

fn works(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Whether npm is here, and what the pages are built and tested with; says visibly where a test is skipped because it is not.
fn tools() -> bool {
    static INSTALLED: OnceLock<Result<(), String>> = OnceLock::new();
    let installed = INSTALLED.get_or_init(|| {
        if !works("node") || !works("npm") {
            return Err("no node and npm on PATH".to_owned());
        }
        let wanted = std::fs::read(web().join("package-lock.json")).unwrap();
        // npm writes this file when it is done; it names the versions that it put there
        let stamp = web().join("node_modules/.lock-of-last-install");
        if std::fs::read(&stamp).is_ok_and(|last| last == wanted) {
            return Ok(());
        }
        // esbuild's script would only look for its binary, which is a package of its own
        let install = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
        let output = Command::new("npm").args(install).current_dir(web()).output().map_err(|error| error.to_string())?;
        if !output.status.success() {
            return Err(format!(
                "npm cannot install what web/package-lock.json names: {}",
                String::from_utf8_lossy(&output.stderr)
            ));
        }
        std::fs::write(stamp, wanted).map_err(|error| error.to_string())
    });
    if let Err(reason) = installed {
        testkit::skipped(reason);
    }
    installed.is_ok()
}

/// Of a server that lets in nobody without it.
const TOKEN: &str = "correct-horse-battery";

/// Pages over the bundled recording, and their address.
fn serve(more: &[&str]) -> (Running, String) {
    let recording = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");
    let mut command = program();
    let mut server = Running::start(command.args(["web", "--recording", recording, "--web-listen", "127.0.0.1:0"]).args(more));
    let said = server.wait_for_error("its address", |line| line.contains("http://127.0.0.1:"));
    let address = said.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
    (server, address)
}

#[test]
fn what_is_in_the_program_is_made_of_its_sources() {
    if tools() {
        run(Command::new("npm").args(["run", "--silent", "check"]));
    }
}

/// The bundled recording holds no incident. What a book made of two findings within its half minute, as a recording.
fn incidents(folder: &Path) -> String {
    const SECOND: u64 = 1_000_000_000;
    let at = |second: u64| (1_795_345_080 + second) * SECOND;
    let found = |second: u64, node: &str, detector: &str, name: &str, kind: EntityKind| {
        let input =
            FindingInput { name: "largest_queue".into(), value: 20_000.0, unit: "transactions".into(), threshold: Some(10_000.0) };
        let finding = Finding {
            id: format!("{second:016x}"),
            detector: detector.into(),
            name: name.into(),
            entity: Some(FindingEntity { kind: kind.into(), ..FindingEntity::default() }),
            severity: Severity::Warn.into(),
            verdict: Verdict::Investigate.into(),
            score: 2.0,
            inputs: vec![input],
            opened: at(second),
            summary: "the longest queue of announcements holds 20,000 transactions".into(),
            ..Finding::default()
        };
        let kind = FindingOpened { finding: Some(finding) };
        Arc::new(Event { time: at(second), ..Event::new(node, Source::Detect, kind) })
    };
    let mut book = Book::open(&folder.join("book")).unwrap();
    let mut told = book.record(&[found(25, "demo", "D39", "inv_queue", EntityKind::Node)]).unwrap();
    told.extend(book.record(&[found(26, detect::FLEET, "D50", "reconstruction", EntityKind::Fleet)]).unwrap());
    for (act, number, by, text, second) in [
        (Act::Acknowledge, 1, "ann", "", 30),
        (Act::Note, 1, "ben", "as in March: the same range, the abuse desk knows", 31),
        (Act::Close, 2, "ann", "it was our own crawler", 32),
    ] {
        told.push(book.act(act, number, by, text, at(second)).unwrap());
    }
    let slice = Slice {
        incident: 1,
        from: at(0),
        to: at(33),
        node: "demo".into(),
        done: at(33),
        file: "000001-0.poa".into(),
        events: 1_234,
        bytes: 56_789,
        ..Slice::default()
    };
    told.extend(book.kept(&slice, at(33)).unwrap());
    let error = Some("the receiver answered 503: busy".to_owned());
    let delivered = IncidentDelivered { receiver: "webhook".into(), sent: 1, failed: 1, waiting: 1, error, ..Default::default() };
    told.push(Told { time: at(34), kind: delivered.into() });
    let path = folder.join("incidents.rec");
    let mut writer = Writer::new(std::fs::File::create(&path).unwrap(), 1).unwrap();
    for (Told { time, kind }, sequence) in told.into_iter().zip(0..) {
        writer.write(&Event { time, run: 1, sequence, ..Event::new(detect::FLEET, Source::Tool, kind) }).unwrap();
    }
    writer.finish().unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn every_page_shows_the_recording_and_complains_of_nothing() {
    if !tools() {
        return;
    }
    if !["chromium", "chromium-browser", "google-chrome"].into_iter().any(works) {
        testkit::skipped("no chromium on PATH");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = serve(&["--recording", &incidents(folder.path())]);
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let (locked, door) = serve(&["--web-token-file", token.to_str().unwrap()]);
    let mut drive = Command::new("node");
    drive.args(["tests/drive.mjs", &address, "--locked", &door, "--token", TOKEN]);
    // to renew the pictures of the manual
    if let Some(folder) = std::env::var_os("PAGES_SHOTS") {
        drive.arg("--shots").arg(folder);
    }
    run(&mut drive);
    for server in [server, locked] {
        let (_, _, status) = server.end(rustix::process::Signal::TERM);
        assert!(status.success(), "{status}");
    }
}
