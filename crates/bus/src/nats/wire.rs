//! The protocol between a NATS client and a server: bytes from and to values, without IO.
//!
//! <https://docs.nats.io/reference/reference-protocols/nats-protocol>

use std::io::Write as _;
use std::ops::Range;

/// Longest line of a server. Clients may send 4 KiB; what a server adds to a message's line is short, but its greeting lists the
/// other servers of its cluster.
pub const MAX_LINE: usize = 64 << 10;

/// Longest message. Servers refuse to be configured for more.
pub const MAX_MESSAGE: usize = 64 << 20;

/// What a server says. Ranges are places in the bytes that were parsed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// `INFO`: itself, as JSON.
    Info(Range<usize>),
    /// `MSG` or `HMSG`.
    Message(Message),
    /// `PING`.
    Ping,
    /// `PONG`.
    Pong,
    /// `+OK`.
    Ok,
    /// `-ERR`: what it says, without quotation marks.
    Error(Range<usize>),
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Any bytes but white space: neither UTF-8 nor well-formed, servers do not check.
    pub subject: Range<usize>,
    /// The subscription that it is for.
    pub sid: u64,
    /// Any bytes: servers do not check. Empty if there are none.
    pub headers: Range<usize>,
    /// Any bytes.
    pub payload: Range<usize>,
}

/// What bytes begin with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Parsed {
    /// This, and so many bytes it takes.
    Op(Op, usize),
    /// Nothing whole yet; at least so many bytes are needed from the beginning.
    Need(usize),
}

/// Bytes that no NATS server sends.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it does not speak the NATS protocol: {0}")]
pub struct WireError(&'static str);

/// Reads what comes next.
///
/// # Errors
///
/// Bytes that no NATS server sends. What comes after them cannot be read.
pub fn parse(bytes: &[u8]) -> Result<Parsed, WireError> {
    let window = &bytes[..bytes.len().min(MAX_LINE)];
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if window.len() == MAX_LINE { Err(WireError("an endless line")) } else { Ok(Parsed::Need(bytes.len() + 1)) };
    };
    let after = end + 1;
    let line = &bytes[..end];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let word_end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    let rest = word_end..line.len();
    let op = match &line[..word_end] {
        b"MSG" => return message(bytes, rest, after, false),
        b"HMSG" => return message(bytes, rest, after, true),
        b"PING" => Op::Ping,
        b"PONG" => Op::Pong,
        b"+OK" => Op::Ok,
        b"INFO" => Op::Info(rest),
        b"-ERR" => {
            let quote = |byte: &u8| matches!(byte, b' ' | b'\'');
            let skip = line[rest.clone()].iter().take_while(|byte| quote(byte)).count();
            let start = rest.start + skip;
            let cut = line[start..].iter().rev().take_while(|byte| quote(byte)).count();
            Op::Error(start..line.len() - cut)
        }
        _ => return Err(WireError("an unknown word")),
    };
    Ok(Parsed::Op(op, after))
}

/// `<subject> <sid> [reply] [length of headers] <length>`, then the bytes.
fn message(bytes: &[u8], line: Range<usize>, after: usize, with_headers: bool) -> Result<Parsed, WireError> {
    let mut words = Words { bytes, at: line };
    let subject = words.next().ok_or(WireError("a message without subject"))?;
    let sid = words.number()?;
    let mut numbers = [words.next(), words.next(), words.next()].into_iter().flatten().rev();
    let mut number = || numbers.next().and_then(|word| decimal(&bytes[word])).ok_or(WireError("a message without length"));
    let total = number()?;
    let headers = if with_headers { number()? } else { 0 };
    let size = |n: u64| usize::try_from(n).ok().filter(|n| *n <= MAX_MESSAGE).ok_or(WireError("an endless message"));
    let (total, headers) = (size(total)?, size(headers)?);
    if headers > total {
        return Err(WireError("headers longer than their message"));
    }
    let end = after + total;
    match bytes.get(end..end + 2) {
        None => Ok(Parsed::Need(end + 2)),
        Some(b"\r\n") => {
            let message = Message { subject, sid, headers: after..after + headers, payload: after + headers..end };
            Ok(Parsed::Op(Op::Message(message), end + 2))
        }
        Some(_) => Err(WireError("a message of another length than it says")),
    }
}

struct Words<'a> {
    bytes: &'a [u8],
    at: Range<usize>,
}

impl Words<'_> {
    fn number(&mut self) -> Result<u64, WireError> {
        self.next().and_then(|word| decimal(&self.bytes[word])).ok_or(WireError("a word where a number belongs"))
    }
}

impl Iterator for Words<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let space = |byte: &u8| matches!(byte, b' ' | b'\t');
        let rest = &self.bytes[self.at.clone()];
        let skip = rest.iter().take_while(|byte| space(byte)).count();
        let length = rest[skip..].iter().take_while(|byte| !space(byte)).count();
        let start = self.at.start + skip;
        self.at.start = start + length;
        (length > 0).then_some(start..start + length)
    }
}

/// A number as the protocol and our headers write it: digits only.
pub(crate) fn decimal(word: &[u8]) -> Option<u64> {
    if word.is_empty() || word.len() > 20 {
        return None;
    }
    word.iter().try_fold(0u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(digit.into())
    })
}

/// The most that a message takes beside subject, headers and payload: words, lengths, line ends.
pub(crate) const OVERHEAD: usize = 32;

/// Writes the beginning of a message; the payload, of this length, and a line end come after it.
pub(crate) fn publish(out: &mut Vec<u8>, subject: &[u8], headers: &[u8], payload: usize) {
    out.extend_from_slice(if headers.is_empty() { b"PUB " } else { b"HPUB " });
    out.extend_from_slice(subject);
    if !headers.is_empty() {
        number(out, headers.len());
    }
    number(out, headers.len() + payload);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(headers);
}

fn number(out: &mut Vec<u8>, mut value: usize) {
    let mut digits = [b' '; 21];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    // with the space before it
    out.extend_from_slice(&digits[at - 1..]);
}

/// Asks for the messages of a subject.
pub(crate) fn subscribe(out: &mut Vec<u8>, subject: &str, sid: u64) {
    write!(out, "SUB {subject} {sid}\r\n").expect("a Vec grows");
}

/// Asks for no more of them.
pub(crate) fn unsubscribe(out: &mut Vec<u8>, sid: u64) {
    write!(out, "UNSUB {sid}\r\n").expect("a Vec grows");
}

pub(crate) const PING: &[u8] = b"PING\r\n";
pub(crate) const PONG: &[u8] = b"PONG\r\n";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(bytes: &str) -> String {
        match parse(bytes.as_bytes()) {
            Ok(Parsed::Need(n)) => format!("needs {n}"),
            Err(error) => error.to_string(),
            Ok(Parsed::Op(op, taken)) => {
                let part = |range: Range<usize>| bytes[range].to_owned();
                let op = match op {
                    Op::Message(m) => {
                        format!("{} for {}: [{}] [{}]", part(m.subject), m.sid, part(m.headers), part(m.payload))
                    }
                    Op::Info(json) => format!("info{}", part(json)),
                    Op::Error(text) => format!("error {}", part(text)),
                    other => format!("{other:?}").to_lowercase(),
                };
                format!("{op}, {} left", bytes.len() - taken)
            }
        }
    }

    #[test]
    fn a_server_says() {
        for (bytes, expect) in [
            ("PING\r\nPONG\r\n", "ping, 6 left"),
            ("PONG\r\n", "pong, 0 left"),
            ("+OK\r\n", "ok, 0 left"),
            ("INFO {\"a\":1} \r\n", "info {\"a\":1} , 0 left"),
            ("-ERR 'Authorization Violation'\r\n", "error Authorization Violation, 0 left"),
            ("MSG po.a.net.ping 7 3\r\nabc\r\n+", "po.a.net.ping for 7: [] [abc], 1 left"),
            ("MSG po.a.net.ping 7 reply.to 3\r\nabc\r\n", "po.a.net.ping for 7: [] [abc], 0 left"),
            ("MSG po.a.net.ping 7 0\r\n\r\n", "po.a.net.ping for 7: [] [], 0 left"),
            ("HMSG a 1 2 5\r\nhhabc\r\n", "a for 1: [hh] [abc], 0 left"),
            ("HMSG a 1 reply 2 5\r\nhhabc\r\n", "a for 1: [hh] [abc], 0 left"),
            ("MSG a 1 3\r\nabc", "needs 16"),
            ("MS", "needs 3"),
            ("", "needs 1"),
        ] {
            assert_eq!(text(bytes), expect, "{bytes:?}");
        }
    }

    #[test]
    fn others_say() {
        for (bytes, expect) in [
            ("HTTP/1.1 400 Bad Request\r\n", "an unknown word"),
            ("MSG\r\n", "a message without subject"),
            ("MSG a b 3\r\nabc\r\n", "a word where a number belongs"),
            ("MSG a 1\r\n", "a message without length"),
            ("MSG a 1 99999999999999999999999\r\n", "a message without length"),
            ("MSG a 1 999999999999\r\n", "an endless message"),
            ("MSG a 1 3\r\nabcde\r\n", "a message of another length than it says"),
            ("HMSG a 1 6 5\r\nabcde\r\n", "headers longer than their message"),
        ] {
            assert_eq!(text(bytes), format!("it does not speak the NATS protocol: {expect}"), "{bytes:?}");
        }
        assert!(parse(&[b'x'; MAX_LINE]).is_err());
    }

    #[test]
    fn a_client_says() {
        let mut out = Vec::new();
        publish(&mut out, b"po.a.net.ping", b"", 1234);
        out.extend(b"|");
        publish(&mut out, b"a", b"hh", 0);
        subscribe(&mut out, "a.>", 10);
        unsubscribe(&mut out, 10);
        assert_eq!(out.escape_ascii().to_string(), r"PUB po.a.net.ping 1234\r\n|HPUB a 2 2\r\nhhSUB a.> 10\r\nUNSUB 10\r\n");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_message_makes_it_panic(line in "H?MSG [ a-z0-9]{0,40}\r?\n[a\r\n]{0,30}") {
            if let Ok(Parsed::Op(_, taken)) = parse(line.as_bytes()) {
                prop_assert!(taken <= line.len());
            }
        }
    }
}
