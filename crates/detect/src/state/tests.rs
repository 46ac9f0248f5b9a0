use std::fmt::Write as _;

use event::{ConnOpened, ConnectionType, Direction, NetVersion, Network};
use expect_test::expect_file;
use proptest::prelude::*;

use super::form::form;
use super::*;
use crate::stage::Stage;

/// Two nodes with all detectors, peers, and something waiting.
fn kept() -> Vec<u8> {
    let mut stage = Stage::new(crate::all(), &[]);
    for node in ["alice", "bob"] {
        stage.node = node;
        for peer in 0..5 {
            let (address, network) = (format!("240.1.{peer}.1:8333"), Network::Ipv4.into());
            let connection_type = ConnectionType::Inbound.into();
            stage.at(10.0 + peer as f64, ConnOpened { peer, address, connection_type, network, count: None });
            let direction = Direction::Inbound.into();
            stage.at(10.5 + peer as f64, NetVersion { peer, direction, user_agent: "/a/".into(), ..NetVersion::default() });
        }
        stage.until(30.0);
    }
    stage.engine.save()
}

fn restored(bytes: &[u8]) -> (Engine, Vec<String>) {
    Engine::restore(bytes, Thresholds::default()).unwrap()
}

/// Sections that are not the same in both.
fn differences(a: &[u8], b: &[u8]) -> Vec<String> {
    let (a, b) = (Sections::read(a).unwrap(), Sections::read(b).unwrap());
    let names: BTreeSet<&str> = a.names().chain(b.names()).map(|(name, _)| name).collect();
    // which source counts is kept in a map that has no order
    let differ = names.into_iter().filter(|name| *name != PRIMARIES.name && a.body(name) != b.body(name));
    differ.map(str::to_owned).collect()
}

#[test]
fn what_was_kept_is_kept_again() {
    let bytes = kept();
    let (engine, anew) = restored(&bytes);
    assert_eq!((anew, differences(&engine.save(), &bytes)), (vec![], vec![]));
    let names: Vec<String> = Sections::read(&bytes).unwrap().names().map(|(name, _)| name.to_owned()).collect();
    for name in ["clocks", "facts alice", "desks bob", "desks", "D09 alice", "D13", "profiles"] {
        assert!(names.iter().any(|known| known == name), "{name} is not among {names:?}");
    }
}

#[test]
fn a_section_that_cannot_be_read_loses_itself_only() {
    let bytes = kept();
    let all = Sections::read(&bytes).unwrap();
    for (name, version) in all.names() {
        let what = if name.starts_with('D') { name.split(' ').next().unwrap() } else { name };
        let body = all.body(name).unwrap().to_vec();
        for (version, body) in [(version + 1, body), (version, vec![0xff; 40])] {
            let mut other = all.clone();
            other.replace(name, Some(version), body);
            let (engine, anew) = restored(&other.to_bytes());
            assert_eq!(anew, [what], "{name} in version {version}");
            for other in differences(&engine.save(), &bytes) {
                // what peers are to detectors begins anew with the facts, and who has which finding with the findings
                let follows =
                    name.starts_with("facts ") && other.starts_with('D') || name.starts_with("desks ") && other == "fleet";
                assert!(other == name || follows, "{other} after {name} was lost");
            }
        }
    }
}

#[test]
fn a_damaged_byte_costs_its_section() {
    let mut bytes = kept();
    let all = Sections::read(&bytes).unwrap();
    let body = all.body("profiles").unwrap().to_vec();
    let at = bytes.windows(body.len()).position(|window| window == body).unwrap();
    bytes[at + body.len() / 2] ^= 1;
    assert_eq!(restored(&bytes).1, ["profiles"]);
    assert_eq!(Profiles::of_state(&bytes), Err(StateError::DamagedProfiles));
    // of the table none can be spared, and of a file that was cut off nobody knows what it had
    bytes[20] ^= 1;
    assert_eq!(Engine::restore(&bytes, Thresholds::default()).err(), Some(StateError::Damaged));
    bytes[20] ^= 1;
    bytes.pop();
    assert_eq!(Engine::restore(&bytes, Thresholds::default()).err(), Some(StateError::Damaged));
}

#[test]
fn profiles_outlive_everything_else() {
    let bytes = kept();
    let mut all = Sections::read(&bytes).unwrap();
    let others: Vec<(String, u32)> =
        all.names().filter(|(name, _)| *name != "profiles").map(|(name, version)| (name.to_owned(), version)).collect();
    others.iter().for_each(|(name, version)| all.replace(name, Some(version + 1), Vec::new()));
    let bytes = all.to_bytes();
    assert_eq!(Profiles::of_state(&bytes).unwrap().len(), 5);
    let (engine, anew) = restored(&bytes);
    assert_eq!((engine.profiles().len(), anew.iter().any(|part| part == "profiles")), (5, false));
    let body = all.body("profiles").unwrap().to_vec();
    all.replace("profiles", Some(77), body);
    let refused = Profiles::of_state(&all.to_bytes()).unwrap_err().to_string();
    assert_eq!(refused, "the profiles in this state have version 77, and this program reads version 1");
}

#[test]
fn a_state_of_the_form_before_is_refused_in_words() {
    let before = [&MAGIC[..], &5_u16.to_le_bytes(), &[0; 40]].concat();
    let refused = Engine::restore(&before, Thresholds::default()).err().unwrap().to_string();
    assert_eq!(refused, "the state of the detectors has version 5, and this program reads version 6");
}

/// Of each kept part its version, and a number for its form.
fn forms() -> BTreeMap<String, (u32, String)> {
    let number = |form: String| format!("{:08x}", crc32fast::hash(form.as_bytes()));
    let own = [
        (CLOCKS, form::<Clocks>()),
        (ORDER, form::<crate::order::Saved>()),
        (PRIMARIES, form::<event::primary::Primaries>()),
        (TOTALS, form::<crate::engine::Totals>()),
        (ACCOUNTS, form::<BTreeMap<String, crate::ledger::Account>>()),
        (FLEET, form::<crate::ledger::Fleet>()),
        (PROFILES, form::<Profiles>()),
        (FACTS, form::<crate::facts::Facts>()),
        (DESKS, form::<BTreeMap<String, (Desk, u64)>>()),
    ];
    let own = own.into_iter().map(|(part, form)| (part.name.to_owned(), (part.version, number(form))));
    let detectors = crate::all().iter().map(|entry| {
        let (about, form) = (entry.about, (entry.make)().form());
        assert!(!form.contains('!'), "all of {} is seen: {form}", about.id);
        (about.id.to_owned(), (about.version, number(form)))
    });
    own.chain(detectors).collect()
}

/// A program that takes another form for its own reads nonsense, or begins anew without a word.
#[test]
fn whoever_changes_the_form_of_a_state_raises_its_version() {
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/state/forms.txt");
    let known = std::fs::read_to_string(FILE).unwrap_or_default();
    let known: BTreeMap<&str, (&str, &str)> = known
        .lines()
        .filter_map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            [name, version, form] => Some((name, (version, form))),
            _ => None,
        })
        .collect();
    let forms = forms();
    let mut wrong = String::new();
    for (name, (version, form)) in &forms {
        let same_version = known.get(name.as_str()).filter(|(known, _)| *known == version.to_string());
        if same_version.is_some_and(|(_, known)| known != form) {
            writeln!(wrong, "the state of {name} has another form: raise its version").unwrap();
        }
    }
    // also where files are renewed: otherwise that would be the way to forget it
    assert!(wrong.is_empty(), "\n{wrong}");
    let line = |(name, (version, form)): (&String, &(u32, String))| format!("{name} {version} {form}\n");
    expect_file![FILE].assert_eq(&forms.iter().map(line).collect::<String>());
}

#[test]
fn another_form_is_noticed() {
    #[derive(Serialize, Deserialize)]
    enum Either<T> {
        Neither,
        One(T),
        Both { a: T, b: T },
    }
    #[derive(Serialize, Deserialize)]
    struct Of<T> {
        list: Vec<T>,
        map: BTreeMap<String, Option<T>>,
        either: Either<T>,
    }
    #[derive(Serialize, Deserialize)]
    struct Turned {
        map: BTreeMap<String, Option<u64>>,
        list: Vec<u64>,
        either: Either<u64>,
    }
    #[derive(Serialize, Deserialize)]
    struct Named {
        list: Vec<u64>,
        map: BTreeMap<String, Option<u64>>,
        both: Either<u64>,
    }
    type Address = std::net::IpAddr;
    let all = [
        form::<Of<u64>>(),
        form::<Of<u32>>(),
        form::<Turned>(),
        form::<Named>(),
        form::<Of<(u64, u64)>>(),
        form::<Of<[u64; 3]>>(),
        form::<Of<Either<u64>>>(),
        form::<Of<Either<u32>>>(),
        form::<Of<Address>>(),
    ];
    let distinct: BTreeSet<&String> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    assert_eq!(all[0], form::<Of<u64>>());
    assert!(all.iter().all(|form| !form.contains('!')), "all of it is seen");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever stands in a section, with a checksum that is right.
    #[test]
    fn no_bytes_in_a_section_make_it_panic(which in any::<usize>(), noise in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..20)) {
        let bytes = kept();
        let mut all = Sections::read(&bytes).unwrap();
        let names: Vec<String> = all.names().map(|(name, _)| name.to_owned()).collect();
        let name = &names[which % names.len()];
        let mut body = all.body(name).unwrap().to_vec();
        for (at, byte) in noise {
            let at = at % (body.len() + 1);
            match body.get_mut(at) {
                Some(there) => *there = byte,
                None => body.push(byte),
            }
        }
        all.replace(name, None, body);
        let (engine, _) = restored(&all.to_bytes());
        prop_assert!(restored(&engine.save()).1.is_empty());
        let _ = Profiles::of_state(&all.to_bytes());
    }

    /// Whatever stands in the table, with a checksum that is right.
    #[test]
    fn no_table_makes_it_panic(table in proptest::collection::vec(any::<u8>(), 0..200), bodies in proptest::collection::vec(any::<u8>(), 0..50)) {
        let rest = [table, bodies].concat();
        for length in 0..=rest.len() {
            let checksum = crc32fast::hash(&rest[..length]).to_le_bytes();
            let _ = Engine::restore(&[&MAGIC[..], &VERSION.to_le_bytes(), &checksum, &rest].concat(), Thresholds::default());
        }
    }
}
