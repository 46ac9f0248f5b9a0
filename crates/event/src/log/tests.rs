//! Lines to events.

use std::path::{Path, PathBuf};

use expect_test::{Expect, expect, expect_file};

use super::*;
use crate::text::Rfc3339;
use crate::{Event, Source};

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/log")).join(name)
}

/// Time, kind and content of everything that lines state, a line each; the last says what became of the lines.
fn render(log: &[u8], options: Options) -> String {
    use std::fmt::Write as _;
    let mut parser = Parser::new(options);
    let mut text = String::new();
    for line in log.strip_suffix(b"\n").unwrap_or(log).split(|c| *c == b'\n') {
        let mut out = String::new();
        let session = parser.line(line, &mut |time, kind| writeln!(out, "{}", shown(time, kind)).unwrap());
        if let Some(Session { time, version }) = session {
            writeln!(text, "--- {} {version}", Rfc3339::from_nanos(time)).unwrap();
        }
        text.push_str(&out);
    }
    let mut out = String::new();
    parser.settle(&mut |time, kind| writeln!(out, "{}", shown(time, kind)).unwrap());
    text.push_str(&out);
    let Totals { lines, dated, matched, unmatched, continuations, .. } = parser.totals();
    assert_eq!(lines, matched + unmatched + continuations, "every line is accounted for");
    write!(text, "{lines} lines: {dated} dated, {matched} matched, {unmatched} unmatched, {continuations} continuations").unwrap();
    text
}

fn shown(time: u64, kind: Kind) -> String {
    let event = Event::new("", Source::Log, kind);
    let name = event.id().unwrap().name();
    let json = serde_json::to_value(&event).unwrap();
    let body = json.as_object().unwrap().iter().find(|(_, value)| value.is_object()).unwrap().1;
    // empty text says nothing, and most addresses are empty
    let body: serde_json::Map<_, _> =
        body.as_object().unwrap().iter().filter(|(_, v)| *v != "").map(|(k, v)| (k.clone(), v.clone())).collect();
    format!("{} {name} {}", Rfc3339::from_nanos(time), serde_json::Value::Object(body))
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "reads better in every case below")]
fn check(log: &str, expect: Expect) {
    expect.assert_eq(&render(log.as_bytes(), Options::default()));
}

mod grammar {
    use super::*;

    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "reads better in every case below")]
    fn check(line: &str, expect: Expect) {
        let Line { suppressing, time, mocktime, thread, source, category, level, message } = split(line.as_bytes());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut parts = Vec::new();
        parts.extend(suppressing.then(|| "suppressing".to_owned()));
        parts.extend(time.map(|time| Rfc3339::from_nanos(time).to_string()));
        parts.extend(mocktime.map(|time| format!("mocktime {}", Rfc3339::from_nanos(time))));
        parts.extend(thread.map(|thread| format!("thread {}", text(thread))));
        parts.extend(source.map(|source| format!("{} in {}", text(source.place), text(source.function))));
        parts.push(format!("{}:{}", category.name(), level.word()));
        parts.push(format!("{:?}", text(message)));
        expect.assert_eq(&parts.join(" | "));
    }

    #[test]
    fn times() {
        check("2025-11-05T12:34:56Z text", expect![[r#"2025-11-05T12:34:56Z | :info | "text""#]]);
        check("2025-11-05T12:34:56.123456Z text", expect![[r#"2025-11-05T12:34:56.123456Z | :info | "text""#]]);
        check(
            "2025-11-05T12:34:56Z (mocktime: 2030-01-01T00:00:00Z) text",
            expect![[r#"2025-11-05T12:34:56Z | mocktime 2030-01-01T00:00:00Z | :info | "text""#]],
        );
        check("2024-02-29T23:59:60Z leap", expect![[r#"2024-03-01T00:00:00Z | :info | "leap""#]]);
        check("text", expect![[r#":info | "text""#]]);
        check("2025-13-05T12:34:56Z no month", expect![[r#":info | "2025-13-05T12:34:56Z no month""#]]);
        check("2025-11-05T12:34:56.1234Z short", expect![[r#":info | "2025-11-05T12:34:56.1234Z short""#]]);
        check("2025-11-05T12:34:56Z", expect![[r#"2025-11-05T12:34:56Z | :info | """#]]);
    }

    #[test]
    fn categories_and_levels() {
        check("[net] text", expect![[r#"net:debug | "text""#]]);
        check("[net:trace] text", expect![[r#"net:trace | "text""#]]);
        check("[warning] text", expect![[r#":warning | "text""#]]);
        check("[all:info] text", expect![[r#":info | "text""#]]);
        check("[ipc:error] text", expect![[r#"ipc:error | "text""#]]);
        check("[other] text", expect![[r#":info | "[other] text""#]]);
    }

    #[test]
    fn threads_and_places() {
        check("[msghand] [net] text", expect![[r#"thread msghand | net:debug | "text""#]]);
        check("[init] text", expect![[r#"thread init | :info | "text""#]]);
        check("[net] [net] text", expect![[r#"thread net | net:debug | "text""#]]);
        check("[http] [http:trace] text", expect![[r#"thread http | http:trace | "text""#]]);
        check("[basic block filter index] text", expect![[r#"thread basic block filter index | :info | "text""#]]);
        check("[newthread] [net.cpp:12] [f] text", expect![[r#"thread newthread | net.cpp:12 in f | :info | "text""#]]);
        check("[net.cpp:12] [AcceptConnection] [net] text", expect![[r#"net.cpp:12 in AcceptConnection | net:debug | "text""#]]);
        check(
            "[msghand] [src/net_processing.cpp:12] [auto f(std::array<int[3]>) [with T = a[2]]] [net:info] [x] text",
            expect![[
                r#"thread msghand | src/net_processing.cpp:12 in auto f(std::array<int[3]>) [with T = a[2]] | net:info | "[x] text""#
            ]],
        );
        check(
            "[*] 2025-11-05T12:34:56Z [init] text",
            expect![[r#"suppressing | 2025-11-05T12:34:56Z | thread init | :info | "text""#]],
        );
    }

    #[test]
    fn messages_that_begin_with_brackets() {
        check(
            "2025-11-05T12:34:56Z [background validation] UpdateTip: new best=",
            expect![[r#"2025-11-05T12:34:56Z | :info | "[background validation] UpdateTip: new best=""#]],
        );
        check("[my wallet] text", expect![[r#":info | "[my wallet] text""#]]);
        check("[snapshot] text", expect![[r#":info | "[snapshot] text""#]]);
        check("[", expect![[r#":info | "[""#]]);
        check("[net]", expect![[r#":info | "[net]""#]]);
    }

    /// `net` and `http` are threads and categories: what the lines before had decides.
    #[test]
    fn the_lines_before_tell_a_thread_from_a_category() {
        let thread = |lines: &[&str]| {
            let mut splitter = Splitter::default();
            let mut last = None;
            for line in lines {
                last = splitter.split(line.as_bytes()).thread.map(<[u8]>::to_vec);
            }
            last.map(|name| String::from_utf8(name).unwrap())
        };
        assert_eq!(thread(&["[msghand] [net] x", "[net] x"]).as_deref(), Some("net"));
        assert_eq!(thread(&["[msghand] [net] x", "[snapshot] x"]).as_deref(), Some("snapshot"));
        assert_eq!(thread(&["[init] x", "2025-11-05T12:34:56Z x", "[net] x"]), None);
        assert_eq!(thread(&["[mempool] x", "[net] x"]), None);
    }
}

mod catalogue {
    use super::*;

    /// A line of every wording that a row stands for.
    #[test]
    fn every_wording_gives_its_event() {
        let log = std::fs::read(fixture("catalogue.log")).unwrap();
        let rendered = render(&log, Options::default());
        assert!(
            rendered.contains(" 0 unmatched"),
            "{}",
            rendered.lines().filter(|l| l.contains("health.template")).collect::<String>()
        );
        expect_file![fixture("catalogue.events")].assert_eq(&rendered);
    }

    #[test]
    fn every_row_is_covered_by_a_line() {
        let log = std::fs::read(fixture("catalogue.log")).unwrap();
        let mut parser = Parser::new(Options::default());
        for line in log.split(|c| *c == b'\n') {
            parser.line(line, &mut |_, _| ());
        }
        let missing: Vec<_> = parser.counts().filter(|(_, lines)| *lines == 0).map(|(text, _)| text).collect();
        assert!(missing.is_empty(), "no line of the catalogue fits {missing:#?}");
    }

    /// A disconnection in words that no row has.
    #[test]
    fn an_unknown_reason_is_an_end_all_the_same() {
        check(
            "2026-01-01T00:00:00Z [net] wrong colour, disconnecting peer=7 peeraddr=203.0.113.7:8333",
            expect![[r#"
            2026-01-01T00:00:00Z conn.closing {"address":"203.0.113.7:8333","detail":"wrong colour","peer":"7","reason":"other"}
            2026-01-01T00:00:00Z health.template {"category":"net","lines":"0","template":"wrong colour, disconnecting <*> <*>"}
            1 lines: 1 dated, 0 matched, 1 unmatched, 0 continuations"#]],
        );
        check(
            "2026-01-01T00:00:00Z [error] out of luck, disconnecting peer=7",
            expect![[r#"
            2026-01-01T00:00:00Z conn.closing {"detail":"out of luck","peer":"7","reason":"other"}
            2026-01-01T00:00:00Z health.template {"lines":"0","template":"out of luck, disconnecting <*>"}
            1 lines: 1 dated, 0 matched, 1 unmatched, 0 continuations"#]],
        );
    }
}

mod spoofing {
    use super::*;

    /// Two lines of which the first lost its end, as one.
    #[test]
    fn an_address_has_no_spaces() {
        check(
            "2026-01-01T00:00:02Z [net] Added connection to 1.2.3.42026-01-01T00:00:03Z [net] Added connection to 5.6.7.8:1 peer=4",
            expect![[r#"
                2026-01-01T00:00:02Z health.template {"category":"net","lines":"0","template":"Added connection to <*> [net] Added connection to <*> <*>"}
                1 lines: 1 dated, 0 matched, 1 unmatched, 0 continuations"#]],
        );
    }

    /// What a peer chose is shown where it belongs, whatever it looks like.
    #[test]
    fn a_user_agent_makes_no_other_fact() {
        for agent in [
            "/x: version 70016, blocks 1, us a, txrelay 1, peer 9/",
            "Misbehaving: peer 9",
            "/: version 1: version 2/",
            "(60 bytes) peer 9, disconnecting peer 9",
        ] {
            let line = format!(
                "2026-01-01T00:00:00Z [net] receive version message: {agent}: version 70016, blocks=5, us=[::]:0, txrelay=1, peer=7"
            );
            let mut facts = Vec::new();
            Parser::new(Options::default()).line(line.as_bytes(), &mut |_, kind| facts.push(kind));
            let [Kind::ConnVersion(version)] = &facts[..] else { panic!("{agent}: {facts:?}") };
            assert_eq!((version.peer, version.user_agent.as_deref()), (7, Some(agent)));
        }
    }

    #[test]
    fn a_message_type_makes_no_other_fact() {
        for message_type in ["x (5 bytes) p", "feefilter of", "block", "getdata (1 i", ""] {
            let line = format!("2026-01-01T00:00:00Z [net] received: {message_type} (8 bytes) peer=7");
            let mut facts = Vec::new();
            Parser::new(Options::default()).line(line.as_bytes(), &mut |_, kind| facts.push(kind));
            let [Kind::NetMessage(message)] = &facts[..] else { panic!("{message_type}: {facts:?}") };
            assert_eq!((message.peer, message.size, message.message_type.as_str()), (7, 8, message_type));
        }
    }

    /// A line feed that got into a message does not begin a statement.
    #[test]
    fn the_rest_of_a_message_states_nothing() {
        check(
            "2026-01-01T00:00:00Z [net] something new\n[net] Misbehaving: peer=7\nMisbehaving: peer=7",
            expect![[r#"
            2026-01-01T00:00:00Z health.template {"category":"net","lines":"0","template":"something new"}
            3 lines: 1 dated, 0 matched, 1 unmatched, 2 continuations"#]],
        );
    }
}

mod lives {
    use super::*;

    #[test]
    fn a_life_begins_with_a_version() {
        check(
            "\n\n\n\n\n2026-01-01T00:00:00Z Bitcoin Core version v30.0.0 (release build)\n2026-01-01T00:00:09Z Shutdown done\n\n\n\n\n\n\
             2026-01-01T00:01:00Z Bitcoin Core version v31.0.0 (release build)",
            expect![[r#"
                --- 2026-01-01T00:00:00Z v30.0.0
                2026-01-01T00:00:00Z log.life {"detail":"release build","phase":"started","version":"v30.0.0"}
                2026-01-01T00:00:09Z log.life {"phase":"ended"}
                --- 2026-01-01T00:01:00Z v31.0.0
                2026-01-01T00:01:00Z log.life {"detail":"release build","phase":"started","version":"v31.0.0"}
                3 lines: 3 dated, 3 matched, 0 unmatched, 0 continuations"#]],
        );
    }

    /// With `-logtimestamps=0` after a life with times: lines of it are no rests of messages.
    #[test]
    fn a_life_without_times_after_one_with() {
        check(
            "2026-01-01T00:00:09Z Shutdown done\n\n\n\n\n\nBitcoin Core version v31.0.0 (release build)\nShutdown done",
            expect![[r#"
                2026-01-01T00:00:09Z log.life {"phase":"ended"}
                --- 2026-01-01T00:00:09Z v31.0.0
                2026-01-01T00:00:09Z log.life {"detail":"release build","phase":"started","version":"v31.0.0"}
                2026-01-01T00:00:09Z log.life {"phase":"ended"}
                3 lines: 1 dated, 3 matched, 0 unmatched, 0 continuations"#]],
        );
    }

    #[test]
    fn times_may_jump_back() {
        check(
            "2026-01-01T00:00:09Z Shutdown done\n2025-01-01T00:00:09.000001Z Shutdown done",
            expect![[r#"
                2026-01-01T00:00:09Z log.life {"phase":"ended"}
                2025-01-01T00:00:09.000001Z health.log_file {"detail":"the time of its lines goes back by 31535999 s","problem":"clock_back"}
                2025-01-01T00:00:09.000001Z log.life {"phase":"ended"}
                2 lines: 2 dated, 2 matched, 0 unmatched, 0 continuations"#]],
        );
    }

    /// The log of a node that was started with `-logtimestamps=0`, and a line that looks as if it had a time.
    #[test]
    fn one_line_with_a_time_does_not_silence_a_log_without() {
        let statement = "Shutdown done\n";
        let log = format!("{}2026-01-01T00:00:00Z Shutdown done\n{}", statement.repeat(100), statement.repeat(1000));
        let rendered = render(log.as_bytes(), Options::default());
        let last = rendered.lines().last().unwrap();
        assert_eq!(last, "1101 lines: 1 dated, 1085 matched, 0 unmatched, 16 continuations");
        let said: Vec<&str> = rendered.lines().filter(|line| line.contains("health.log_file")).collect();
        expect![[r#"2026-01-01T00:00:00Z health.log_file {"detail":"its lines have no times, but one did: 16 lines after it were taken for further lines of it","problem":"mixed"}"#]].assert_eq(&said.join("\n"));
        // it is not believed again at once
        let log = format!("{log}2026-01-01T00:00:00Z Shutdown done\n{}", statement.repeat(1000));
        let rendered = render(log.as_bytes(), Options::default());
        assert_eq!(rendered.lines().last().unwrap(), "2102 lines: 2 dated, 2086 matched, 0 unmatched, 16 continuations");
    }

    /// Only the end of a log was kept: the rest of a line is no statement, and not of the time when somebody reads it.
    #[test]
    fn a_log_that_begins_within_a_line() {
        check(
            "Shutdown done\nand another line of it\n2020-01-01T00:00:00Z Shutdown done",
            expect![[r#"
            2020-01-01T00:00:00Z log.life {"phase":"ended"}
            3 lines: 1 dated, 1 matched, 0 unmatched, 2 continuations"#]],
        );
        check(
            "Shutdown done\n\n\n\n\n\n2020-01-01T00:00:00Z Shutdown done",
            expect![[r#"
            2020-01-01T00:00:00Z log.life {"phase":"ended"}
            2 lines: 1 dated, 1 matched, 0 unmatched, 1 continuations"#]],
        );
    }

    #[test]
    fn a_log_without_times_is_held_back_for_some_lines_only() {
        let mut parser = Parser::new(Options::default());
        let mut facts = 0;
        for _ in 0..65 {
            assert_eq!(facts, 0);
            parser.line(b"Shutdown done", &mut |_, _| facts += 1);
        }
        assert_eq!(facts, 65);
        let long = [b'x'; 100_000];
        let mut parser = Parser::new(Options { unmatched: true });
        parser.line(&long, &mut |_, _| facts += 1);
        assert_eq!(facts, 67, "a template and a line");
    }

    #[test]
    fn undated_lines_take_the_time_they_are_given() {
        let mut parser = Parser::new(Options::default());
        let mut times = Vec::new();
        parser.set_time(5);
        parser.line(b"Shutdown done", &mut |time, _| times.push(time));
        parser.settle(&mut |time, _| times.push(time));
        parser.set_time(6);
        parser.line(b"Shutdown done", &mut |time, _| times.push(time));
        parser.line(b"1970-01-01T00:00:00.000008Z Shutdown done", &mut |time, _| times.push(time));
        parser.set_time(7);
        parser.line(b"1970-01-01T00:00:00.000009Z Shutdown done", &mut |time, _| times.push(time));
        assert_eq!(times, [5, 6, 8000, 9000]);
    }

    #[test]
    fn releases() {
        for (version, expected) in [
            ("v31.0.0", Some(31)),
            ("v29.99.0-042817ddb84c", Some(30)),
            ("v29.1.knots20250903", Some(29)),
            ("v0.21.1", Some(21)),
            ("31.0.0", None),
            ("v", None),
        ] {
            assert_eq!(release(version), expected, "{version}");
        }
    }
}

mod health {
    use super::*;

    const DATED: &str = "2026-01-01T00:00:00Z Shutdown done\n";

    /// A node that was killed with its machine leaves zeros; a disk leaves anything.
    #[test]
    fn bytes_that_no_node_writes_are_said_once_in_a_row() {
        let garbage = "\0\0\0\nx\x07\n";
        super::check(
            &format!("{DATED}{garbage}{DATED}\u{fffd} is text\n{DATED}\0{DATED}"),
            expect![[r#"
            2026-01-01T00:00:00Z log.life {"phase":"ended"}
            2026-01-01T00:00:00Z health.log_file {"detail":"bytes that no node writes; no fact is taken from there to the next line with a time","problem":"damaged"}
            2026-01-01T00:00:00Z log.life {"phase":"ended"}
            2026-01-01T00:00:00Z log.life {"phase":"ended"}
            2026-01-01T00:00:00Z health.log_file {"detail":"bytes that no node writes; no fact is taken from there to the next line with a time","problem":"damaged"}
            7 lines: 3 dated, 3 matched, 0 unmatched, 4 continuations"#]],
        );
    }

    #[test]
    fn a_message_of_a_thousand_lines_is_none() {
        let further = "something that somebody else wrote\n".repeat(5000);
        super::check(
            &format!("{DATED}{further}{DATED}"),
            expect![[r#"
            2026-01-01T00:00:00Z log.life {"phase":"ended"}
            2026-01-01T00:00:00Z health.log_file {"detail":"more than 1000 lines without a time in a row; no fact is taken from them","problem":"damaged"}
            2026-01-01T00:00:00Z log.life {"phase":"ended"}
            5002 lines: 2 dated, 2 matched, 0 unmatched, 5000 continuations"#]],
        );
    }

    #[test]
    fn a_mark_without_the_line_that_explains_it_is_a_gap() {
        let mark = "[*] 2026-01-01T00:00:01Z Shutdown done\n";
        super::check(
            &format!("{DATED}{mark}{mark}{DATED}{mark}"),
            expect![[r#"
            2026-01-01T00:00:00Z log.life {"phase":"ended"}
            2026-01-01T00:00:01Z health.log_gap {"reason":"rate_limit_began"}
            2026-01-01T00:00:01Z log.life {"phase":"ended"}
            2026-01-01T00:00:01Z log.life {"phase":"ended"}
            2026-01-01T00:00:00Z log.life {"phase":"ended"}
            2026-01-01T00:00:01Z health.log_gap {"reason":"rate_limit_began"}
            2026-01-01T00:00:01Z log.life {"phase":"ended"}
            5 lines: 5 dated, 5 matched, 0 unmatched, 0 continuations"#]],
        );
        let began = "[*] 2026-01-01T00:00:00Z [warning] Excessive logging detected from net.cpp:12 (f): >1048576 bytes logged during the \
                     last time window of 3600s. Suppressing logging to disk from this source location until time window resets. Console \
                     logging unaffected. Last log entry.\n";
        super::check(
            &format!("{DATED}{began}{mark}further\n{mark}"),
            expect![[r#"
            2026-01-01T00:00:00Z log.life {"phase":"ended"}
            2026-01-01T00:00:00Z health.log_gap {"reason":"rate_limit_began","sourceLocation":"net.cpp:12","window":"3600"}
            2026-01-01T00:00:01Z log.life {"phase":"ended"}
            2026-01-01T00:00:01Z log.life {"phase":"ended"}
            5 lines: 4 dated, 4 matched, 0 unmatched, 1 continuations"#]],
        );
    }

    fn health(parser: &mut Parser) -> String {
        let mut text = Vec::new();
        parser.health(&mut |time, kind| text.push(shown(time, kind)));
        text.join("\n")
    }

    fn lines(parser: &mut Parser, message: &str, count: usize) {
        for _ in 0..count {
            parser.line(format!("2026-01-01T00:00:00Z {message}").as_bytes(), &mut |_, _| ());
        }
    }

    fn starts(parser: &mut Parser, version: &str) {
        lines(parser, &format!("Bitcoin Core version {version} (release build)"), 1);
    }

    #[test]
    fn lines_are_counted_by_category() {
        let mut parser = Parser::new(Options::default());
        lines(&mut parser, "[net] Cleared nodestate for peer=7", 3);
        lines(&mut parser, "[net] who knows", 2);
        lines(&mut parser, "[http] who knows", 1);
        lines(&mut parser, "Shutdown done", 1);
        parser.line(b"a further line", &mut |_, _| ());
        expect![[r#"2026-01-01T00:00:00Z health.parser {"categories":[{"category":"","lines":"1","matched":"1","unmatched":"0"},{"category":"http","lines":"1","matched":"0","unmatched":"1"},{"category":"net","lines":"5","matched":"3","unmatched":"2"}],"continuations":"1","templates":2,"untracked":"0"}"#]].assert_eq(&health(&mut parser));
    }

    #[test]
    fn a_pattern_that_an_upgrade_silenced_is_reported_once() {
        let mut parser = Parser::new(Options::default());
        starts(&mut parser, "v30.0.0");
        for _ in 0..100 {
            lines(&mut parser, "[net] Cleared nodestate for peer=7", 1);
            lines(&mut parser, "[net] socket closed, disconnecting peer=7", 1);
            // reworded in 31, as the table knows
            lines(&mut parser, "[net] Unknown command \"x\" from peer=7", 1);
        }
        starts(&mut parser, "v31.0.0");
        lines(&mut parser, "[net] socket closed, disconnecting peer=7", 59);
        assert!(!health(&mut parser).contains("pattern_silent"), "19 of 59 lines would not surprise");
        lines(&mut parser, "[net] socket closed, disconnecting peer=7", 1);
        expect![[r#"
            2026-01-01T00:00:00Z health.pattern_silent {"category":"net","lines":"60","matched":"100","pattern":"Cleared nodestate for peer={peer:n}","version":"v31.0.0","versionBefore":"v30.0.0"}
            2026-01-01T00:00:00Z health.parser {"categories":[{"category":"","lines":"2","matched":"2","unmatched":"0"},{"category":"net","lines":"360","matched":"360","unmatched":"0"}],"continuations":"0","templates":0,"untracked":"0","version":"v31.0.0"}"#]].assert_eq(&health(&mut parser));
        assert!(!health(&mut parser).contains("pattern_silent"), "once is enough");
    }

    /// A hundred lines of each, as this release words them.
    fn runs(parser: &mut Parser, version: &str, statements: &[&str]) {
        starts(parser, version);
        statements.iter().for_each(|statement| lines(parser, statement, 100));
        assert_eq!(parser.totals().unmatched, 0, "{version}");
    }

    /// A node is upgraded, and one whose operator does not like it goes back: the table knows what each release says.
    #[test]
    fn what_another_release_words_otherwise_is_not_silent() {
        let block = "0".repeat(64);
        let [served_by_number, served_by_name] = ["Peer 7", "peer=7"].map(|peer| {
            format!("[cmpctblock] {peer} sent us a GETBLOCKTXN for block {block}, sending a BLOCKTXN with 1 txns. (9 bytes)")
        });
        let of_29 = [
            "[net] trying v2 connection 203.0.113.7:8333 lastseen=1.0hrs",
            "[net] send version message: version 70016, blocks=5, txrelay=1, peer=7",
            "New outbound-full-relay v2 peer connected: version: 70016, blocks=5, peer=7",
            "Shutdown: In progress...",
            "Shutdown: done",
        ];
        let of_30 = [
            "[net] trying v2 connection 203.0.113.7:8333 lastseen=1.0hrs",
            "[net] send version message: version 70016, blocks=5, txrelay=1, peer=7",
            "New outbound-full-relay v2 peer connected: version: 70016, blocks=5, peer=7",
            "Shutdown in progress...",
            "Shutdown done",
            &served_by_number,
        ];
        let of_31 = [
            "[net] trying v2 connection (manual) to 203.0.113.7:8333, lastseen=1.0hrs",
            "[net] send version message: version=70016, blocks=5, txrelay=1, peer=7",
            "[net] New inbound peer connected: transport: v2, version: 70016, blocks=5 peer=7",
            "Shutdown in progress...",
            "Shutdown done",
            &served_by_number,
        ];
        let of_32 = [
            "[net] trying v2 connection (manual) to 203.0.113.7:8333, lastseen=1.0hrs",
            "[net] send version message: version=70016, blocks=5, txrelay=1, peer=7",
            "[net] New inbound peer connected: transport: v2, version: 70016, peer=7",
            "Shutdown in progress...",
            "Shutdown done",
            &served_by_name,
        ];
        let releases: [(&str, &[&str]); 4] = [("v29.0.0", &of_29), ("v30.0.0", &of_30), ("v31.0.0", &of_31), ("v31.99.0", &of_32)];
        for pair in releases.windows(2) {
            for [(before, said_before), (after, said_after)] in [[pair[0], pair[1]], [pair[1], pair[0]]] {
                let mut parser = Parser::new(Options::default());
                runs(&mut parser, before, said_before);
                runs(&mut parser, after, said_after);
                for category in ["", "[net] ", "[cmpctblock] "] {
                    lines(&mut parser, &format!("{category}who knows"), 1000);
                }
                let said = health(&mut parser);
                assert!(!said.contains("pattern_silent"), "{before} to {after}: {said}");
            }
        }
    }

    #[test]
    fn a_new_template_is_stated_as_it_comes() {
        check(
            "2026-01-01T00:00:00Z [http] Flushed 12 things  to disk\n2026-01-01T00:00:00Z [http] Flushed 13 things to disk\n\
             2026-01-01T00:00:00Z [http] something else",
            expect![[r#"
                2026-01-01T00:00:00Z health.template {"category":"http","lines":"0","template":"Flushed <*> things to disk"}
                2026-01-01T00:00:00Z health.template {"category":"http","lines":"2","template":"something else"}
                3 lines: 3 dated, 0 matched, 3 unmatched, 0 continuations"#]],
        );
    }
}

#[test]
fn unmatched_lines_are_stated_on_request() {
    let log = b"2026-01-01T00:00:00Z [msghand] [net.cpp:12] [f] [net:trace] who \xff knows\nand more\n";
    expect![[r#"
        2026-01-01T00:00:00Z health.template {"category":"net","lines":"0","template":"who � knows"}
        2026-01-01T00:00:00Z log.line {"category":"net","continuation":false,"level":"trace","message":"who � knows","sourceLocation":"net.cpp:12","thread":"msghand"}
        2026-01-01T00:00:00Z log.line {"continuation":true,"level":"unspecified","message":"and more"}
        2 lines: 1 dated, 0 matched, 1 unmatched, 1 continuations"#]].assert_eq(&render(log, Options { unmatched: true }));
    let long = format!("2026-01-01T00:00:00Z {}", "x".repeat(10_000));
    let mut kept = Vec::new();
    Parser::new(Options { unmatched: true }).line(long.as_bytes(), &mut |_, kind| kept.push(kind));
    let Some(Kind::LogLine(line)) = kept.last() else { panic!("{kept:?}") };
    assert_eq!((line.message.len(), line.length), (LONGEST_MESSAGE, Some(10_000)));
}

mod real {
    use super::*;

    #[track_caller]
    fn check(log: &str) {
        let bytes = std::fs::read(fixture(log)).unwrap();
        expect_file![fixture(log).with_extension("events")].assert_eq(&render(&bytes, Options { unmatched: true }));
    }

    #[test]
    fn options_of_29() {
        check("v29/options.log");
    }

    #[test]
    fn options_of_30() {
        check("v30/options.log");
    }

    #[test]
    fn options_of_31() {
        check("v31/options.log");
    }

    #[test]
    fn scenario_of_29() {
        check("v29/play.log");
    }

    #[test]
    fn scenario_of_30() {
        check("v30/play.log");
    }

    #[test]
    fn scenario_of_31() {
        check("v31/play.log");
    }
}
