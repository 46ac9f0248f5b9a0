//! `peer-observer web` as others use it: the program in docs/web.md, and an interface that is tried at random.

mod program;

use std::path::{Path, PathBuf};
use std::process::Command;

use program::{Running, output, program as observer};

const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");

/// The program, showing the bundled recording, and the address where it does.
fn shown(more: &[&str]) -> (Running, String) {
    let mut running = Running::start(observer().args(["web", "--recording", DEMO, "--web-listen", "127.0.0.1:0"]).args(more));
    let line = running.wait_for_error("the address", |line| line.contains("serving pages"));
    let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()).expect("an address").to_owned();
    (running, address)
}

/// A Python with a package, which is installed for these tests where it is not; `None`, visibly, where it cannot be had.
///
/// Of one version: another checks other things.
fn python(module: &str, requirement: &str) -> Option<PathBuf> {
    testkit::python::with(&[(module, requirement)], Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// The block of Python in the manual.
fn in_the_manual() -> String {
    let page = include_str!("../../../docs/web.md");
    let block = page.split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
    block.expect("the manual has a program").to_owned()
}

#[test]
fn the_program_in_the_manual_works() {
    let script = in_the_manual();
    assert!(script.lines().filter(|line| !line.is_empty()).count() <= 10, "the manual says ten lines");
    let Some(python) = python("websockets", "websockets==17.4") else { return };
    let (running, address) = shown(&[]);
    let mut client = Running::start(Command::new(python).args(["-c", &script, &format!("ws://{address}/api/stream")]));
    let seen = client.wait_for("an announcement", |line| line.ends_with(" demo net.inv"));
    assert!(seen.iter().all(|line| line.starts_with("20") && line.contains(" demo ")), "{seen:?}");
    drop(client);
    drop(running);
}

/// What is described is what is: requests made of the description, and of what it excludes.
#[test]
fn the_interface_is_as_described_whatever_is_asked() {
    let Some(python) = python("schemathesis", "schemathesis==4.32.5") else { return };
    let (running, address) = shown(&["--speed", "100"]);
    let checked = Command::new(python)
        .args(["-c", "from schemathesis.cli import schemathesis; schemathesis()"])
        .args(["run", &format!("http://{address}/openapi.json"), "--url", &format!("http://{address}")])
        // these do not end
        .args(["--exclude-path", "/api/events", "--exclude-path", "/api/stream"])
        .args(["--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"])
        .args(["--max-examples", "10", "--rate-limit", "90/s", "--seed", "1", "--no-color"])
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("it is installed");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}{}", String::from_utf8_lossy(&checked.stderr));
    drop(running);
}

#[track_caller]
fn refused(args: &[&str], code: i32, because: &str) {
    let output = output(args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(said.contains(because) && said.contains("\nhint: "), "{said}");
}

#[test]
fn what_cannot_be_served_is_said() {
    refused(&["web"], 2, "error: `web` needs a bus or a recording to show");
    refused(&["web", "--recording", "/nowhere.rec", "--web-listen", "127.0.0.1:0"], 7, "/nowhere.rec");
    refused(&["web", "--recording", DEMO, "--web-listen", "0.0.0.0:0"], 2, "error: pages on 0.0.0.0:0 could be seen by everybody");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it listens").to_string();
    refused(&["web", "--recording", DEMO, "--listen", &address], 1, &format!("error: failed to serve pages on {address}"));
}

#[test]
fn a_signal_ends_it() {
    let (running, _) = shown(&[]);
    let (_, said, status) = running.end(rustix::process::Signal::TERM);
    assert!(status.success(), "{said:?}");
}
