//! The screen in a real terminal, over recordings.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;
mod terminal;

use rustix::process::Signal;
use terminal::Terminal;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");

fn recording(speed: &str) -> Terminal {
    Terminal::start(&["top", "--recording", RECORDING, "--speed", speed])
}

fn at_its_end(screen: &str) -> bool {
    screen.contains("at its end")
}

#[test]
fn it_starts_obeys_keys_and_ends() {
    let mut terminal = recording("0");
    terminal.wait_for("the end of the recording", at_its_end);
    assert!(terminal.screen.text().contains("by msg/s"), "{}", terminal.screen.text());
    terminal.press("\u{1b}[C");
    terminal.wait_for("the next column", |screen| screen.contains("by in/s"));
    terminal.press("r");
    terminal.wait_for("the other way round", |screen| screen.contains("by in/s, reversed"));
    terminal.press("?");
    terminal.wait_for("help", |screen| screen.contains("quit; Esc too"));
    terminal.press("x");
    terminal.wait_for("the node again", |screen| screen.contains("by in/s, reversed"));
    terminal.press("q");
    let (status, rest) = terminal.ends();
    assert!(status.success(), "{rest}");
}

#[test]
fn it_follows_the_size_of_its_terminal() {
    let mut terminal = recording("0");
    terminal.wait_for("the end of the recording", at_its_end);
    terminal.resize(160, 50);
    terminal.wait_for("the wide screen", |screen| screen.contains("What happened") && screen.contains("client"));
    terminal.resize(60, 20);
    terminal.wait_for("a word about the size", |screen| screen.contains("there are 60 by 20"));
    terminal.resize(80, 24);
    terminal.wait_for("the screen", at_its_end);
    // a key that is a sequence for itself is told from one that begins others by the time that passes
    terminal.press("\u{1b}");
    assert!(terminal.ends().0.success());
}

#[test]
fn signals_and_control_c_end_it() {
    for signal in [Signal::TERM, Signal::INT] {
        // in the middle, and at the end
        for speed in ["0.001", "0"] {
            let mut terminal = recording(speed);
            // a recording that is played without pause may be at its end before the first screen is drawn
            terminal.wait_for("the screen", |screen| screen.contains("recording") || at_its_end(screen));
            terminal.signal(signal);
            let (status, rest) = terminal.ends();
            assert!(status.success(), "{rest}");
        }
    }
    let mut terminal = recording("0.001");
    terminal.wait_for("the screen", |screen| screen.contains("recording"));
    terminal.press("\u{3}");
    assert!(terminal.ends().0.success());
}

/// What is wrong is said on the screen of before.
#[test]
fn a_recording_that_is_damaged_is_told_after_the_screen() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged.rec");
    let whole = std::fs::read(RECORDING).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let terminal = Terminal::start(&["top", "--recording", path.to_str().unwrap(), "--speed", "0"]);
    let (status, rest) = terminal.ends();
    assert_eq!(status.code(), Some(7), "{rest}");
    assert!(rest.contains("error: "), "{rest}");
}

#[test]
fn without_a_terminal_it_says_what_to_do() {
    for args in [&["top", "--recording", RECORDING][..], &["run", "--top"]] {
        let output = program::output(args);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            said,
            "error: standard output is no terminal\nhint: `run` without `--top`, and `logger`, print lines, `metrics` serves numbers: none \
             of them needs a terminal\n"
        );
    }
    let output = program::output(&["top"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("hint: give `--nats URL` or `--recording FILES`"));
}
