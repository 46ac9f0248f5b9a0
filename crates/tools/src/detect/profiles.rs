//! Who came by, as the kept state has it.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;
use detect::entity::{Host, Profile, Profiles};
use event::text::{Printable, Rfc3339};
use serde_json::json;

use crate::logger::Format;

/// The profiles of a state file, who was seen last first. The file stays as it is, also where it cannot be used.
///
/// # Errors
///
/// It cannot be read, or its profiles are of no form that this release reads.
pub fn profiles(state: &Path, format: Format) -> anyhow::Result<String> {
    let bytes = std::fs::read(state).with_context(|| format!("failed to read the detectors' state {}", state.display()))?;
    // whatever else in it is of another release
    let profiles = Profiles::of_state(&bytes).with_context(|| state.display().to_string())?;
    Ok(show(&profiles, format))
}

fn show(profiles: &Profiles, format: Format) -> String {
    let mut all: Vec<(&Host, &Profile)> = profiles.iter().collect();
    all.sort_by_key(|(_, profile)| std::cmp::Reverse(profile.last_seen));
    let mut text = String::new();
    for (host, profile) in all {
        let time = |seconds: u64| Rfc3339::from_nanos(seconds.saturating_mul(1_000_000_000)).to_string();
        let Profile { first_seen, last_seen, sessions, connected, programs, forgotten_programs, more_nodes, .. } = profile;
        let nodes: Vec<&str> = profiles.nodes(profile).collect();
        let line = match format {
            Format::Json => {
                let programs: Vec<_> =
                    programs.iter().map(|program| json!({ "agent": program.agent, "since": time(program.since) })).collect();
                json!({
                    "host": host.to_string(), "first_seen": time(*first_seen), "last_seen": time(*last_seen), "sessions": sessions,
                    "connected_seconds": connected, "nodes": nodes, "more_nodes": more_nodes, "programs": programs,
                    "forgotten_programs": forgotten_programs,
                })
                .to_string()
            }
            Format::Text => {
                let agents: Vec<String> = programs.iter().map(|program| Printable(&program.agent).to_string()).collect();
                let more = if *more_nodes { ", …" } else { "" };
                let (first, last, nodes, agents) = (time(*first_seen), time(*last_seen), nodes.join(","), agents.join(" "));
                format!("{host} since {first}, last {last}: {sessions} sessions, {connected} s, at {nodes}{more}; {agents}")
            }
        };
        writeln!(text, "{}", line.trim_end_matches("; ")).expect("into a string");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use event::{ConnClosed, ConnOpened, ConnectionType, Direction, Event, Kind, NetVersion, Network, Source};

    #[test]
    fn a_profile_is_a_line() {
        let mut profiles = Profiles::default();
        let mut see = |seconds: u64, kind: Kind| {
            let time = (1_772_431_200 + seconds) * 1_000_000_000;
            profiles.observe(&Event { time, ..Event::new("alice", Source::Ebpf, kind) });
        };
        let (address, network) = ("240.1.2.3:4000".to_owned(), Network::Ipv4.into());
        let connection_type = ConnectionType::Inbound.into();
        see(0, ConnOpened { peer: 1, address: address.clone(), connection_type, network, count: None }.into());
        let direction = Direction::Inbound.into();
        see(1, NetVersion { peer: 1, direction, user_agent: "/a\u{7}/".into(), ..Default::default() }.into());
        see(60, ConnClosed { peer: 1, address, connection_type, network, established: None }.into());
        let text = show(&profiles, Format::Text);
        assert!(text.starts_with("240.1.2.3 since 2026-03-02T06:00:00"), "{text}");
        assert!(text.ends_with(&format!(": 1 sessions, 60 s, at alice; {}\n", Printable("/a\u{7}/"))), "{text}");
        let line: serde_json::Value = serde_json::from_str(&show(&profiles, Format::Json)).unwrap();
        assert_eq!((&line["host"], &line["connected_seconds"]), (&json!("240.1.2.3"), &json!(60)));
        assert_eq!(line["programs"][0]["agent"], "/a\u{7}/");
    }

    #[test]
    fn what_is_no_state_stays_where_it_is() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("state");
        std::fs::write(&path, "weather").unwrap();
        let error = format!("{:#}", profiles(&path, Format::Text).unwrap_err());
        assert!(error.ends_with("this is no state of detectors"), "{error}");
        assert!(path.exists());
    }
}
