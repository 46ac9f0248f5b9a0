//! Why there are no tips from a socket.

/// Why a node cannot be followed over IPC, or not any more.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Trouble {
    /// Nobody is there, or whoever was has gone.
    #[error("{0}")]
    Away(String),
    /// It is not the node's, or not for this user.
    #[error("{0}")]
    Stranger(String),
    /// The node has no interface that tells its tip where Bitcoin Core 31 has it.
    #[error(
        "the node does not know {missing} as Bitcoin Core 31 and newer do (30 has it under another number); it answers {}",
        answers.join(", ")
    )]
    TooOld {
        /// The call that it does not know.
        missing: &'static str,
        /// Those that it answers.
        answers: Vec<&'static str>,
    },
    /// The node knows the call, and does not carry it out.
    #[error("the node refuses {call}: {reason}")]
    Refused {
        /// The call.
        call: &'static str,
        /// Its words.
        reason: String,
    },
    /// What it says makes no sense.
    #[error("what is said at the socket is not what a node says: {0}")]
    Nonsense(String),
    /// It said nothing for too long.
    #[error("no answer to {call} within {} s", after.as_secs_f32())]
    Stalled {
        /// The call.
        call: &'static str,
        /// How long was waited.
        after: std::time::Duration,
    },
}

impl Trouble {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Away(_) => "start the node as `bitcoin-node -ipcbind=unix`, or name its socket with `--ipc-socket`",
            Self::Stranger(_) => "run as the node's user, or name the socket with `--ipc-socket` if it is meant",
            Self::TooOld { .. } => "use Bitcoin Core 31 or newer; until then RPC tells the tip every few seconds",
            Self::Refused { .. } => "a newer release of peer-observer may know how to ask",
            Self::Nonsense(_) => "is this the socket of a node? `-ipcbind` says where the node's is",
            Self::Stalled { .. } => "a node that is very busy answers late; else look into its debug.log",
        }
    }

    /// Whether another go is likely to end otherwise in a moment.
    pub(super) fn passes(&self) -> bool {
        matches!(self, Self::Away(_))
    }
}

/// The most that is repeated of what the other side says.
const LONGEST: usize = 200;

/// What the other side says, for a person to read: one line, and not a long one.
pub(super) fn quote(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let short: String = plain.clone().take(LONGEST).collect();
    if plain.count() > LONGEST { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_words_stay_on_their_line() {
        assert_eq!(quote("a\nb\u{1b}[31mc"), "a b [31mc");
        assert_eq!(quote(&"ä".repeat(LONGEST)), "ä".repeat(LONGEST));
        assert_eq!(quote(&"ä".repeat(LONGEST + 1)), format!("{}…", "ä".repeat(LONGEST)));
    }
}
