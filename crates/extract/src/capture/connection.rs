//! Where one connection ends and the next begins, when all that is known is an address and its messages.
//!
//! Each connection begins with a `version`: of the peer, if it connected, of the node, if that did; the other side answers with its own.
//! The node says it once per connection, so its second one begins another. A peer that connected and says it twice is taken for two
//! connections, though the node ignores the second: the files do not tell these apart.

use event::{ConnectionType, Direction};

/// The connections of a folder, one after another.
#[derive(Debug, Default)]
pub(super) struct Connection {
    /// Number of the connection that goes on.
    id: Option<u64>,
    /// Whose `version` came first; `None` where the beginning is not there.
    begun: Option<Direction>,
    /// The other side has said its own.
    answered: bool,
}

impl Connection {
    /// Which connection the next message belongs to; `number` gives the number of another one.
    pub(super) fn next(&mut self, direction: Direction, version: bool, number: impl FnOnce() -> u64) -> u64 {
        let begins = version
            && match self.begun {
                None => true,
                Some(begun) if begun == direction => true,
                // the node has answered before, so it is the node who begins now
                Some(Direction::Inbound) => self.answered,
                Some(_) => false,
            };
        if begins {
            *self = Self { id: None, begun: Some(direction), answered: false };
        } else if version {
            self.answered = true;
        }
        *self.id.get_or_insert_with(number)
    }

    /// What the beginning tells of the type of the connection.
    pub(super) fn connection_type(&self) -> ConnectionType {
        match self.begun {
            Some(Direction::Inbound) => ConnectionType::Inbound,
            _ => ConnectionType::Unspecified,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `r` and `s`: received and sent; capitals are a `version`.
    fn numbers(messages: &str) -> String {
        let (mut connection, mut count) = (Connection::default(), 0);
        let mut next = |message: char| {
            let direction = if message.eq_ignore_ascii_case(&'r') { Direction::Inbound } else { Direction::Outbound };
            let id = connection.next(direction, message.is_uppercase(), || {
                count += 1;
                count - 1
            });
            char::from_digit(id as u32, 10).unwrap()
        };
        messages.chars().map(&mut next).collect()
    }

    #[test]
    fn a_version_of_whoever_begins_begins_a_connection() {
        for (messages, expected) in [
            ("RSrsrs", "000000"),
            ("SRsrsr", "000000"),
            // the node comes back to where it was
            ("SRsSRs", "000111"),
            // it never got an answer the first time
            ("SSR", "011"),
            // a peer comes back from the same port
            ("RSrRSr", "000111"),
            // then the node dials it
            ("RSrSRs", "000111"),
            // a peer that the node dialled says it twice
            ("SRsRs", "00000"),
            // the beginning is not there
            ("srsRS", "00011"),
        ] {
            assert_eq!(numbers(messages), expected, "{messages}");
        }
    }
}
