//! What leaves holds no secret; and each rule is needed for that.

use testkit::secrets::{self, Output, Secret};

use super::*;
use crate::text::{Fields, Value};

/// The test kit is built with this crate as its users see it, so its events come in as bytes.
macro_rules! ours {
    ($event:expr) => {
        Event::from_bytes($event.to_bytes()).unwrap()
    };
}

/// Everything that the outputs of this program make of an event: JSON, protobuf, the logger's fields.
fn output(event: &Event) -> Output {
    let mut out = Output::default();
    out.push(serde_json::to_string(event).unwrap());
    out.push(event.to_bytes());
    let mut line = String::new();
    fields(event.kind.as_ref().unwrap(), &mut line);
    out.push(line);
    out
}

fn fields(of: &dyn Fields, line: &mut String) {
    use std::fmt::Write as _;
    of.fields(&mut |name, value| {
        write!(line, " {name}=").unwrap();
        match value {
            Value::Scalar(value) => write!(line, "{value}").unwrap(),
            Value::Part(part) => fields(part, line),
            Value::List(count, words) => write!(line, "{count} {:?}", words.collect::<Vec<_>>()).unwrap(),
        }
    });
}

/// The numbers of the rules for a field.
fn rules<'a>(message: &'a str, field: &'a str, direction: &'a str) -> impl Iterator<Item = &'static str> + 'a {
    let of = move |(m, f, _): &&(&str, &str, &str)| *m == message && *f == field;
    let rule = move |(_, _, rule): &(&'static str, &'static str, &'static str)| match rule.split_once(' ') {
        Some((when @ ("inbound" | "outbound" | "neither"), rule)) => (when == direction).then_some(rule),
        _ => Some(*rule),
    };
    RULES.iter().filter(of).filter_map(rule)
}

fn direction(event: &Event) -> &'static str {
    use crate::text::{Fields as _, Value};
    let mut way = "neither";
    event.kind.as_ref().expect("planted events have a kind").fields(&mut |name, value| {
        if let ("direction", Value::Scalar(word)) = (name, value) {
            way = ["inbound", "outbound"].into_iter().find(|known| *known == word.to_string()).unwrap_or("neither");
        }
    });
    way
}

/// What is found in the redacted event that should have gone.
fn leaks(redactor: &mut Redactor, event: &Event, planted: &[Secret]) -> Vec<String> {
    let Some(redacted) = redactor.redact(event.clone()) else { return Vec::new() };
    let out = output(&redacted);
    // of a kind that must stay, everything is a leak
    let withheld = withheld(crate::schema::KINDS[event.id().unwrap().index()].message);
    let goes = |secret: &&Secret| withheld || rules(secret.message, secret.field, direction(event)).next().is_some();
    let name = |secret: &Secret| format!("{} {} of {}", secret.message, secret.field, event.id().unwrap());
    planted.iter().filter(goes).filter(|secret| secret.is_in(&out)).map(name).collect()
}

fn withheld(message: &str) -> bool {
    RULES.iter().any(|(m, _, rule)| *m == message && *rule == "withheld")
}

fn planted() -> Vec<(Event, Vec<Secret>)> {
    secrets::events().iter().map(|(event, secrets)| (ours!(event), secrets.clone())).collect()
}

fn redactor() -> Redactor {
    Redactor::new([0x42; 32])
}

/// A redactor that knows the node's addresses as it would in life: from what the node says, and from whom it is connected with.
fn taught() -> Redactor {
    let mut redactor = redactor();
    let stated =
        secrets::OWN.map(|address| LocalAddress { address: address.rsplit_once(':').unwrap().0.into(), ..Default::default() });
    redactor.learn(&Event::new("n", Source::Rpc, StateNetwork { local_addresses: stated.into(), ..Default::default() }));
    for event in secrets::own().iter().map(|event| ours!(event)) {
        if let Some(Kind::NetVersion(version)) = &event.kind
            && version.direction() == Direction::Inbound
        {
            redactor.learn(&event);
        }
        if let Some(Kind::StatePeers(_)) = &event.kind {
            redactor.learn(&event);
        }
    }
    redactor
}

#[test]
fn nothing_that_goes_is_found() {
    let mut redactor = redactor();
    for (event, secrets) in planted() {
        assert_eq!(leaks(&mut redactor, &event, &secrets), [""; 0]);
    }
}

/// Each rule is taken away in turn: the search must find what it hid.
#[test]
fn every_rule_is_needed() {
    let events = planted();
    for (number, (message, field, rule)) in RULES.iter().enumerate() {
        if number == OWN {
            continue;
        }
        let mut redactor = Redactor { spared: Some(number), ..redactor() };
        let concerned = events.iter().filter(|(_, secrets)| secrets.iter().any(|secret| secret.message == *message));
        let found = concerned.flat_map(|(event, secrets)| leaks(&mut redactor, event, secrets));
        let what = format!("{message} {field} ");
        let found: Vec<String> =
            if field.is_empty() { found.collect() } else { found.filter(|leak| leak.starts_with(&what)).collect() };
        // `node` is not unlike any other value, but always the same: the other search finds it
        assert!(!found.is_empty() || *field == "node", "nothing is found without the rule {rule} for {message} {field}");
    }
}

/// What is found of the node itself in everything that leaves.
fn leaks_of_the_node(redactor: &mut Redactor) -> Vec<String> {
    let mut secrets = secrets::of_the_node();
    for address in secrets::OWN {
        secrets.push(Secret::of_bytes("identifier", redactor.identifier(address).as_bytes()));
    }
    let mut leaks = Vec::new();
    for event in secrets::own().iter().map(|event| ours!(event)) {
        let Some(redacted) = redactor.redact(event) else { continue };
        let out = output(&redacted);
        let id = redacted.id().unwrap();
        leaks.extend(secrets.iter().filter(|secret| secret.is_in(&out)).map(|secret| format!("{} in {id}", secret.field)));
    }
    leaks
}

#[test]
fn neither_the_nodes_addresses_nor_its_name_leave() {
    assert_eq!(leaks_of_the_node(&mut taught()), [""; 0]);
}

#[test]
fn without_these_rules_they_would() {
    for spared in [OWN, NODE] {
        assert!(!leaks_of_the_node(&mut Redactor { spared: Some(spared), ..taught() }).is_empty(), "{spared}");
    }
}

/// What the principle names, by hand: whoever changes the page should stumble here.
#[test]
fn what_must_go_has_a_rule_that_takes_it_away() {
    let must = ["raw", "nonce", "salt", "session_id", "address_bind", "address_local", "detail", "pid", "subversion", "proxy"];
    let docs = crate::schema::KINDS.iter().map(|kind| (kind.message, kind.fields));
    let mut seen = 0;
    for (message, fields) in docs.chain(crate::schema::PARTS.iter().map(|part| (part.message, part.fields))) {
        for field in fields.iter().filter(|field| must.contains(&field.name)) {
            // a header's nonce is the miner's
            let other = message == "BlockHeader";
            let cleared = ["inbound", "outbound", "neither"]
                .iter()
                .all(|direction| rules(message, field.name, direction).all(|rule| matches!(rule, "clear" | "own" | "claimed")));
            let some = rules(message, field.name, "inbound").next().is_some();
            assert!(other || withheld(message) || cleared && some, "{message} {}", field.name);
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen}");
}

fn opened(address: &str) -> Event {
    Event::new("alice", Source::Ebpf, ConnOpened { peer: 7, address: address.into(), ..Default::default() })
}

fn address_of(redactor: &mut Redactor, event: Event) -> String {
    redactor.redact(event).unwrap().kind.unwrap().address().to_owned()
}

/// The construction is documented: others must be able to work it out. Computed with Python's `hmac`.
#[test]
fn identifiers_are_what_the_documentation_says() {
    let redactor = redactor();
    for (address, expected) in [
        ("203.0.113.7:8333", "peer-yq3jhcl3xplokgux23pvidj6nm"),
        ("[2600::7]:8333", "peer-zyoadicgylcdoutmcbi7tvvdya"),
        ("Seed.Example.org:8333", "name-amih6odsb4fipuivqsa7ns4xv4"),
    ] {
        assert_eq!(redactor.identifier(address), expected);
    }
}

#[test]
fn a_stranger_is_the_same_in_a_connection_and_in_gossip() {
    let mut redactor = redactor();
    let gossiped =
        NetworkAddress { network: Network::Ipv4.into(), address: vec![203, 0, 113, 7].into(), port: 8333, ..Default::default() };
    let gossip = Event::new("alice", Source::Ebpf, NetAddrv2 { addresses: vec![gossiped], ..Default::default() });
    let Some(Kind::NetAddrv2(addr)) = redactor.redact(gossip).unwrap().kind else { unreachable!() };
    let connected = address_of(&mut redactor, opened("203.0.113.7:50000"));
    assert_eq!(addr.addresses[0].address, connected.as_bytes());
    assert_eq!(text::Address(Network::Ipv4, &addr.addresses[0].address).to_string(), connected);
    assert_eq!(addr.addresses[0].port, 0);
    let other_key = address_of(&mut Redactor::new([0x43; 32]), opened("203.0.113.7:50000"));
    assert_ne!(other_key, connected);
}

/// Inbound peers over Tor all come from 127.0.0.1.
#[test]
fn peers_over_tor_are_not_one_stranger() {
    let mut redactor = redactor();
    let mut of = |node: &str, address| address_of(&mut redactor, Event { node: node.into(), ..opened(address) });
    let one = of("alice", "127.0.0.1:50000");
    assert!(one.starts_with("near-"));
    assert_eq!(of("alice", "127.0.0.1:50000"), one);
    assert_ne!(of("alice", "127.0.0.1:50001"), one);
    assert_ne!(of("bob", "127.0.0.1:50000"), one);
}

#[test]
fn what_was_redacted_is_redacted_again() {
    let (mut one, mut two) = (redactor(), Redactor::new([9; 32]));
    let first = address_of(&mut one, opened("203.0.113.7:50000"));
    let second = address_of(&mut two, opened(&first));
    assert!(second.starts_with("peer-") && second != first, "{second}");
}

/// Whoever could have his friend's address taken for the node's own would make the friend invisible.
#[test]
fn a_claim_hides_gossip_but_no_connection() {
    let mut redactor = redactor();
    let version =
        NetVersion { direction: Direction::Inbound.into(), receiver_address: "203.0.113.7:8333".into(), ..Default::default() };
    redactor.redact(Event::new("alice", Source::Ebpf, version)).unwrap();
    assert!(address_of(&mut redactor, opened("203.0.113.7:50000")).starts_with("peer-"));
    let gossiped = NetworkAddress { network: Network::Ipv4.into(), address: vec![203, 0, 113, 7].into(), ..Default::default() };
    let gossip = Event::new("alice", Source::Ebpf, NetAddr { addresses: vec![gossiped], ..Default::default() });
    let Some(Kind::NetAddr(addr)) = redactor.redact(gossip).unwrap().kind else { unreachable!() };
    assert!(addr.addresses.is_empty());
}

/// A `getpeerinfo` states the node's address in one peer, and the address is another's in the same answer.
#[test]
fn what_an_event_teaches_holds_for_the_event_itself() {
    let peer =
        |address: &str, bind: &str| PeerInfo { address: address.into(), address_bind: Some(bind.into()), ..Default::default() };
    let peers = vec![peer("198.51.100.77:8333", "127.0.0.1:1"), peer("203.0.113.7:8333", "198.51.100.77:8333")];
    let event = Event::new("alice", Source::Rpc, StatePeers { peers });
    let Some(Kind::StatePeers(peers)) = redactor().redact(event).unwrap().kind else { unreachable!() };
    assert_eq!(
        peers.peers.iter().map(|peer| peer.address.as_str()).collect::<Vec<_>>(),
        [redactor().identifier("203.0.113.7:8333")]
    );
}

#[test]
fn lives_stay_apart_but_tell_no_time() {
    let mut redactor = redactor();
    let mut life = |node: &str, node_run| {
        let event = redactor.redact(Event { node: node.into(), node_run, run: 5, ..opened("") }).unwrap();
        (event.node_run, event.run)
    };
    let (one, run) = life("alice", Some(1_750_000_000));
    assert_eq!(life("alice", Some(1_750_000_000)), (one, run));
    assert!(one > Some(1 << 63) && run > 1 << 63);
    assert_ne!(life("alice", Some(1_750_000_001)).0, one);
    assert_ne!(life("bob", Some(1_750_000_000)).0, one);
    assert_eq!(life("alice", None).0, None);
}

#[test]
fn a_newer_kind_stays() {
    assert_eq!(redactor().redact(Event::default()), None);
}

#[test]
fn what_is_shown_of_a_redactor_is_no_secret() {
    let shown = format!("{:?}", taught());
    assert_eq!(shown, "Redactor { own: Own { stated: 4, claimed: 4, unlearned: 0 }, .. }");
}

proptest::proptest! {
    #[test]
    fn any_event_is_redacted(seed: u64) {
        let event = ours!(testkit::events::arbitrary(seed));
        if let Some(redacted) = redactor().redact(event) {
            let again = Event::from_bytes(redacted.to_bytes()).unwrap();
            proptest::prop_assert!(again == redacted || again.to_bytes() == redacted.to_bytes());
            serde_json::to_string(&redacted).unwrap();
        }
    }
}
