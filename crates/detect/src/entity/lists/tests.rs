use event::Network;
use proptest::prelude::*;

use super::*;

const LIST: &str = r#"
name = "sample"
version = "2026-03-01"
about = "for tests"

[[entity]]
name = "LinkingLion"
kind = "spy"
source = "somebody, https://example.org/"
date = "2023-03-28"
addresses = ["198.51.100.0/24", "2001:db8:ace::/64", "203.0.113.2"]

[[entity]]
name = "a crawler"
kind = "crawler"
source = "it says so"
date = "2024-01-01"
addresses = ["198.51.100.128/25"]
agents = ["/bitnodes.io:*", "/exact/"]
"#;

fn list() -> List {
    List::read("lists/sample.toml", LIST.as_bytes()).unwrap()
}

#[track_caller]
fn check(address: &str, agent: &str, expect: Option<(&str, &str)>) {
    let list = list();
    let host = Host::of(address, Network::Unspecified);
    let found = list.find(host.as_ref(), Some(agent));
    assert_eq!(found.as_ref().map(|found| (found.entity.name.as_str(), found.by.as_str())), expect, "{address} {agent}");
    assert!(found.is_none_or(|found| (found.list, found.version) == ("sample", "2026-03-01")));
}

#[test]
fn the_longest_prefix_wins_and_an_address_beats_an_agent() {
    check("198.51.100.7:8333", "", Some(("LinkingLion", "198.51.100.0/24")));
    check("198.51.100.200:8333", "", Some(("a crawler", "198.51.100.128/25")));
    check("198.51.100.7:8333", "/bitnodes.io:0.3/", Some(("LinkingLion", "198.51.100.0/24")));
    check("[2001:db8:ace::9]:8333", "", Some(("LinkingLion", "2001:db8:ace::/64")));
    check("203.0.113.2:1", "", Some(("LinkingLion", "203.0.113.2/32")));
    check("203.0.113.3:1", "", None);
    check("203.0.113.3:1", "/bitnodes.io:0.3/", Some(("a crawler", "/bitnodes.io:*")));
    check("203.0.113.3:1", "/exact/", Some(("a crawler", "/exact/")));
    check("203.0.113.3:1", "/exact/1", None);
}

#[test]
fn cjdns_and_mapped_ranges_are_found() {
    let list = List::read("x.txt", b"fc12:3400::/32\n::ffff:198.51.100.0/120\n").unwrap();
    let by = |address: &str, network| {
        let host = Host::of(address, network);
        list.find(host.as_ref(), None).map(|found| found.by)
    };
    assert_eq!(by("[fc12:3400::7]:8333", Network::Cjdns).as_deref(), Some("fc12:3400::/32"));
    assert_eq!(by("[fc12:3500::7]:8333", Network::Cjdns), None);
    assert_eq!(by("198.51.100.9:8333", Network::Ipv4).as_deref(), Some("198.51.100.0/24"));
    check_refused("x.txt", "::ffff:0.0.0.0/96", "x.txt is not used as a list: line 1: `::ffff:0.0.0.0/96` is everybody");
}

#[test]
fn an_agent_belongs_to_one_entity_and_is_somebody() {
    let wrong = LIST.replace(
        "\"203.0.113.2\"]",
        "\"203.0.113.2\"]\nagents = [\"\", \"/exact/\", \"/bitnodes.io:*\", \"/twice:*\", \"/twice:*\"]",
    );
    check_refused(
        "x.toml",
        &wrong,
        "x.toml is not used as a list: line 12: an empty agent is everybody who says nothing; line 20: `/bitnodes.io:*` belongs to two \
         entities; line 20: `/exact/` belongs to two entities",
    );
}

#[test]
fn a_plain_list_has_the_name_of_its_file() {
    let text = "# version: 2026-11-01\n\n198.51.100.1\n2001:db8::/32  # all of it\n";
    let list = List::read("/etc/po/tor-exits.txt", text.as_bytes()).unwrap();
    assert_eq!((list.name.as_str(), list.version.as_str(), list.entries()), ("tor-exits", "2026-11-01", 2));
    let host = Host::of("[2001:db8::1]:8333", Network::Ipv6);
    assert_eq!(list.find(host.as_ref(), None).unwrap().by, "2001:db8::/32");
    let unversioned = List::read("x.txt", b"198.51.100.1").unwrap();
    assert_ne!(unversioned.version, List::read("x.txt", b"198.51.100.2").unwrap().version);
}

#[track_caller]
fn check_refused(file: &str, content: &str, expect: &str) {
    let error = List::read(file, content.as_bytes()).expect_err("refused").to_string();
    assert_eq!(error, expect);
}

#[test]
fn a_file_with_errors_is_refused_with_its_lines() {
    check_refused(
        "bad.txt",
        "198.51.100.1\nnobody\n\n198.51.100.1/24\n0.0.0.0/0\n",
        "bad.txt is not used as a list: line 2: `nobody` is no address or prefix; line 4: `198.51.100.1/24` has bits behind its \
         prefix; did you mean `198.51.100.0/24`?; line 5: `0.0.0.0/0` is everybody",
    );
    let wrong = LIST.replace("198.51.100.128/25", "198.51.100.0/24").replace("2024-01-01", "last week").replace("/exact/", "*");
    check_refused(
        "x.toml",
        &wrong,
        "x.toml is not used as a list: line 17: `last week` is no date: write it as `2026-03-01`; line 18: `198.51.100.0/24` belongs to \
         two entities; line 19: `*` alone is everybody",
    );
    check_refused(
        "x.toml",
        "name = 'a'\nversion =",
        "x.toml is not used as a list: line 2: string values must be quoted, expected literal string",
    );
    check_refused(
        "my list.txt",
        "",
        "my list.txt is not used as a list: `my list` is no name of a list: use 1 to 64 letters, digits, `-` and `_`",
    );
    let error = List::read("x.txt", &[b'\n', 0xff]).unwrap_err();
    assert_eq!(error.faults, [(2, "not UTF-8".to_owned())]);
}

#[test]
fn a_thousand_faults_are_counted() {
    let error = List::read("x.txt", "nobody\n".repeat(1000).as_bytes()).unwrap_err().to_string();
    assert!(error.ends_with("; and 980 more") && error.len() < 2000, "{error}");
}

#[test]
fn a_newer_version_takes_the_place_of_the_older() {
    let mut lists = Lists::default();
    lists.insert(list()).unwrap();
    lists.insert(List::read("other.txt", b"198.51.100.0/24").unwrap()).unwrap();
    let newer = LIST.replace("2026-03-01", "2026-04-01");
    lists.insert(List::read("sample.toml", newer.as_bytes()).unwrap()).unwrap();
    let host = Host::of("198.51.100.7:8333", Network::Ipv4);
    let found: Vec<_> = lists.find(host.as_ref(), None).map(|found| (found.list, found.version.len())).collect();
    assert_eq!(found, [("sample", 10), ("other", 8)]);
    lists.remove("sample");
    assert_eq!(lists.iter().count(), 1);
}

/// The lists that come with the program can be read.
#[test]
fn our_own_lists_are_right() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lists");
    let mut lists = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let list = List::read(&path.to_string_lossy(), &std::fs::read(&path).unwrap()).unwrap();
        assert!(list.entries() > 0);
        for entity in list.entities() {
            assert!(entity.source.contains("https://"), "{}: a link is missing", entity.name);
        }
        lists += 1;
    }
    assert!(lists > 0);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), toml in any::<bool>()) {
        let _ = List::read(if toml { "x.toml" } else { "x.txt" }, &bytes);
    }

    /// A list of prefixes finds what a search through all of them finds.
    #[test]
    fn a_search_through_all_finds_the_same(
        prefixes in proptest::collection::btree_set((any::<u32>(), 1..=32_u8), 1..60),
        nudge in 0..1024_u32,
    ) {
        let nets: Vec<Ipv4Net> =
            prefixes.iter().map(|(ip, length)| Ipv4Net::new((*ip).into(), *length).unwrap().trunc()).collect();
        let text: String = nets.iter().map(|net| format!("{net}\n")).collect();
        let list = List::read("x.txt", text.as_bytes()).unwrap();
        for net in &nets {
            let ip = std::net::Ipv4Addr::from(u32::from(net.addr()).wrapping_add(nudge));
            let longest = nets.iter().filter(|net| net.contains(&ip)).max_by_key(|net| net.prefix_len());
            let found = list.find(Some(&Host::V4(ip)), None).map(|found| found.by);
            prop_assert_eq!(found, longest.map(ToString::to_string));
        }
    }
}

#[test]
fn every_kind_that_is_none_is_told_with_those_that_are() {
    let text = LIST.replace("\"spy\"", "\"spyy\"").replace("kind = \"crawler\"", "kind = \"\"");
    let error = List::read("lists/sample.toml", text.as_bytes()).unwrap_err().to_string();
    for part in ["`spyy` is no kind", "`` is no kind: it is `spy`, `crawler`, `research`, `tor_exit`, `own` or `other`"] {
        assert!(error.contains(part), "{error}");
    }
    // what is cut says so
    let error = List::read("a.toml", format!("name = \"a\"\n{} = 1", "x".repeat(900)).as_bytes()).unwrap_err().to_string();
    assert!(error.contains('…'), "{error}");
}
