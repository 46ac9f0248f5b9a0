//! What the targets and their seeds share.

use event::KindId;

/// The message types that are decoded, in the order by which an input selects them.
pub fn message_types() -> impl Iterator<Item = &'static str> {
    KindId::ALL.into_iter().filter(|id| id.family() == "net" && *id != KindId::NetUndecodable).map(KindId::short_name)
}
