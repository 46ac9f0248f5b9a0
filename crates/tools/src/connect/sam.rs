//! What is said to an I2P router: SAM version 3.1 (geti2p.net/en/docs/api/samv3). Lines, no IO.
//!
//! A session has a destination of its own, which the router makes and forgets with the session: nobody who is dialled can link two sessions. It
//! lives as long as its connection; each visit is a connection of its own that names it.

use std::fmt;

/// The longest line that a router needs: a destination has about 520 bytes of base 64.
pub const LINE: usize = 4096;

/// What we say first on every connection. From 3.2 on a router may ask whether we still live, and ends the session where nobody answers.
pub const HELLO: &str = "HELLO VERSION MIN=3.1 MAX=3.1\n";

/// Makes a session; signatures as Bitcoin Core asks for (`src/i2p.cpp`), and no tunnels for others to come through.
pub fn create(id: &str) -> String {
    format!(
        "SESSION CREATE STYLE=STREAM ID={id} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 i2cp.leaseSetEncType=4,0 inbound.quantity=1 outbound.quantity=1\n"
    )
}

/// Asks for the destination behind a name.
pub fn lookup(name: &str) -> String {
    format!("NAMING LOOKUP NAME={name}\n")
}

/// Connects to a destination; what follows the answer is the stream.
pub fn connect(id: &str, destination: &str) -> String {
    format!("STREAM CONNECT ID={id} DESTINATION={destination} SILENT=false\n")
}

/// A line of the router's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer<'a> {
    /// `OK`, `CANT_REACH_PEER`, `TIMEOUT`, `INVALID_ID`, …
    pub result: &'a str,
    /// The destination, in the answer to a lookup.
    pub value: Option<&'a str>,
}

/// A line that is no answer to what was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unexpected;

impl fmt::Display for Unexpected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the router's answer is none to what was asked")
    }
}

impl<'a> Answer<'a> {
    /// Reads a line that answers a question of this kind: `HELLO REPLY`, `SESSION STATUS`, `NAMING REPLY`, `STREAM STATUS`.
    ///
    /// # Errors
    ///
    /// It does not.
    pub fn read(line: &'a str, kind: &str) -> Result<Self, Unexpected> {
        let rest = line.trim_end().strip_prefix(kind).ok_or(Unexpected)?;
        let mut answer = Self { result: "", value: None };
        for (key, value) in Pairs(rest) {
            match key {
                "RESULT" => answer.result = value,
                "VALUE" => answer.value = Some(value),
                _ => {}
            }
        }
        if answer.result.is_empty() { Err(Unexpected) } else { Ok(answer) }
    }

    /// Whether it went well.
    pub fn is_ok(&self) -> bool {
        self.result == "OK"
    }
}

/// Whether a destination is what one looks like, so that it can be put into a line.
pub fn is_destination(text: &str) -> bool {
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'~' | b'=');
    (1..LINE / 2).contains(&text.len()) && text.bytes().all(base64)
}

/// `KEY=value` and `KEY="value with spaces"`.
struct Pairs<'a>(&'a str);

impl<'a> Iterator for Pairs<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        self.0 = self.0.trim_start_matches(' ');
        let (key, rest) = self.0.split_once('=')?;
        let (value, rest) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        self.0 = rest;
        Some((key, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(line: &str, kind: &str, expect: Result<(&str, Option<&str>), Unexpected>) {
        assert_eq!(Answer::read(line, kind).map(|answer| (answer.result, answer.value)), expect);
    }

    #[test]
    fn answers_are_read() {
        check("HELLO REPLY RESULT=OK VERSION=3.1\n", "HELLO REPLY", Ok(("OK", None)));
        check("NAMING REPLY RESULT=OK NAME=x.b32.i2p VALUE=AAA~-=\n", "NAMING REPLY", Ok(("OK", Some("AAA~-="))));
        check(
            "STREAM STATUS RESULT=CANT_REACH_PEER MESSAGE=\"no route, RESULT=OK\"\n",
            "STREAM STATUS",
            Ok(("CANT_REACH_PEER", None)),
        );
        check("STREAM STATUS MESSAGE=\"a b\" RESULT=TIMEOUT", "STREAM STATUS", Ok(("TIMEOUT", None)));
        check("STREAM STATUS", "STREAM STATUS", Err(Unexpected));
        check("HTTP/1.1 400 Bad Request", "HELLO REPLY", Err(Unexpected));
        check("HELLO REPLY RESULT=\"OK", "HELLO REPLY", Err(Unexpected));
    }

    #[test]
    fn only_a_destination_is_put_into_a_line() {
        assert!(
            is_destination("AbC~-09=") && !is_destination("") && !is_destination("A B") && !is_destination("A\nSESSION CREATE")
        );
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "\\PC*", pairs in "( ?[A-Z]{0,8}=?\"?[^\n]{0,8}\"?){0,8}") {
            let _ = Answer::read(&line, "STREAM STATUS");
            let _ = Answer::read(&format!("STREAM STATUS{pairs}"), "STREAM STATUS");
        }
    }
}
