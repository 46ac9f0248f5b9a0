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

/// Pages over recordings of `fixtures/`, and their address.
fn serve(recordings: &[&str], more: &[&str]) -> (Running, String) {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures");
    let mut command = program();
    command.args(["web", "--web-listen", "127.0.0.1:0"]).args(more);
    for recording in recordings {
        command.arg("--recording").arg(fixtures.join(recording));
    }
    let mut server = Running::start(&mut command);
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

const SECOND: u64 = 1_000_000_000;

/// A finding at a node. `time` is nanoseconds since the epoch.
fn found(time: u64, node: &str, detector: &str, name: &str, kind: EntityKind) -> Arc<Event> {
    let input =
        FindingInput { name: "largest_queue".into(), value: 20_000.0, unit: "transactions".into(), threshold: Some(10_000.0) };
    let finding = Finding {
        id: format!("{:016x}", time / SECOND),
        detector: detector.into(),
        name: name.into(),
        entity: Some(FindingEntity { kind: kind.into(), ..FindingEntity::default() }),
        severity: Severity::Warn.into(),
        verdict: Verdict::Investigate.into(),
        score: 2.0,
        inputs: vec![input],
        opened: time,
        summary: "the longest queue of announcements holds 20,000 transactions".into(),
        ..Finding::default()
    };
    Arc::new(Event { time, ..Event::new(node, Source::Detect, FindingOpened { finding: Some(finding) }) })
}

/// The recordings of two nodes hold no finding: one of each, and one of both, as a recording.
fn findings(folder: &Path) -> String {
    let path = folder.join("findings.rec");
    let mut writer = Writer::new(std::fs::File::create(&path).unwrap(), 1).unwrap();
    for (second, node, detector, name, kind) in [
        (16, "north", "D39", "inv_queue", EntityKind::Node),
        (16, "south", "D28", "ping_flood", EntityKind::Node),
        (17, detect::FLEET, "D50", "reconstruction", EntityKind::Fleet),
    ] {
        // 2026-11-23 05:22 UTC
        writer.write(&found((1_795_411_320 + second) * SECOND, node, detector, name, kind)).unwrap();
    }
    writer.finish().unwrap();
    path.to_str().unwrap().to_owned()
}

/// The bundled recording holds no incident. What a book made of two findings within its half minute, as a recording.
fn incidents(folder: &Path) -> String {
    let at = |second: u64| (1_795_345_080 + second) * SECOND;
    let mut book = Book::open(&folder.join("book")).unwrap();
    let mut told = book.record(&[found(at(25), "demo", "D39", "inv_queue", EntityKind::Node)]).unwrap();
    told.extend(book.record(&[found(at(26), detect::FLEET, "D50", "reconstruction", EntityKind::Fleet)]).unwrap());
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

/// Whether there is what drives a browser, and one.
fn browser() -> bool {
    let chromium = ["chromium", "chromium-browser", "google-chrome"].into_iter().any(works);
    if !chromium {
        testkit::skipped("no chromium on PATH");
    }
    chromium && tools()
}

/// Drives a browser; `PAGES_SHOTS` names where pictures go, to renew those of the manual.
fn drive(script: &str, arguments: &[&str]) {
    let mut drive = Command::new("node");
    drive.arg(script).args(arguments);
    if let Some(folder) = std::env::var_os("PAGES_SHOTS") {
        drive.arg("--shots").arg(folder);
    }
    run(&mut drive);
}

fn end(server: Running) {
    let (_, _, status) = server.end(rustix::process::Signal::TERM);
    assert!(status.success(), "{status}");
}

#[test]
fn two_nodes_are_shown_side_by_side_and_apart() {
    if !browser() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = serve(&["pair/north.rec", "pair/south.rec", &findings(folder.path())], &[]);
    drive("tests/pair.mjs", &[&address]);
    end(server);
}

#[test]
fn every_page_shows_the_recording_and_complains_of_nothing() {
    if !browser() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (server, address) = serve(&["demo.rec", &incidents(folder.path())], &[]);
    let token = folder.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let (locked, door) = serve(&["demo.rec"], &["--web-token-file", token.to_str().unwrap()]);
    drive("tests/drive.mjs", &[&address, "--locked", &door, "--token", TOKEN]);
    end(server);
    end(locked);
}
