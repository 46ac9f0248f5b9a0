//! The rules of the workspace that no compiler knows: who may use whom, from where, under which licence.

use std::process::Command;

use serde_json::Value;

/// What `cargo metadata` says, from what is on this machine already.
fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--locked", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

fn packages(metadata: &Value) -> impl Iterator<Item = &Value> {
    metadata["packages"].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Which of our crates may use which (ARCHITECTURE.md has the reasons). `testkit` is for tests, and for [`ATTACK`].
const MAY_USE: &[(&str, &[&str])] = &[
    ("po-event", &[]),
    ("po-ebpf", &["po-event"]),
    ("po-bus", &["po-event"]),
    ("po-extract", &["po-event", "po-bus", "po-ebpf"]),
    ("po-detect", &["po-event"]),
    ("po-tools", &["po-event", "po-bus", "po-detect"]),
    ("po-testkit", &["po-event", "po-bus"]),
    ("peer-observer", &["po-event", "po-bus", "po-ebpf", "po-extract", "po-detect", "po-tools"]),
];

/// The feature of the program that may use `testkit`, and is in no build unless somebody asks for it.
const ATTACK: &str = "attack";

#[test]
fn only_a_build_that_may_attack_contains_the_testkit() {
    let metadata = metadata();
    let program = packages(&metadata).find(|package| text(package, "name") == "peer-observer").expect("the program is a package");
    let features = program["features"].as_object().expect("features by name");
    let users: Vec<&str> =
        features.iter().filter(|(_, uses)| uses.to_string().contains("testkit")).map(|(name, _)| &**name).collect();
    assert_eq!(users, [ATTACK]);
    let chosen: Vec<&str> =
        features.iter().filter(|(_, uses)| uses.to_string().contains(ATTACK)).map(|(name, _)| &**name).collect();
    assert!(chosen.is_empty(), "{chosen:?} would bring attacks into builds that nobody wanted to attack");
}

#[test]
fn our_crates_use_only_whom_they_may() {
    let metadata = metadata();
    let ours = |name: &str| name.starts_with("po-") || name == "peer-observer";
    let mut seen = 0;
    for package in packages(&metadata).filter(|p| ours(text(p, "name"))) {
        let name = text(package, "name");
        let (_, may) = MAY_USE.iter().find(|(n, _)| *n == name).unwrap_or_else(|| panic!("{name}: add a row to MAY_USE"));
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let used = text(dependency, "name");
            let for_tests = dependency["kind"].as_str() == Some("dev");
            let for_attacks = (name, used) == ("peer-observer", "po-testkit") && dependency["optional"] == true;
            assert!(!ours(used) || for_tests || for_attacks || may.contains(&used), "{name} may not use {used}");
        }
        seen += 1;
    }
    assert_eq!(seen, MAY_USE.len());
}

/// Licences that go together with ours without further duties.
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "CC0-1.0",
    "Unlicense",
    "Unicode-3.0",
    "BSL-1.0",
    "MIT-0",
    "MITNFA",
    "CDLA-Permissive-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "OpenSSL",
    "NCSA",
];

#[test]
fn every_licence_is_one_we_know() {
    // an `OR` offers a choice, an `AND` does not
    let fine = |expression: &str| {
        expression.replace('/', " OR ").split(" OR ").any(|choice| {
            choice.trim_matches(['(', ')', ' ']).split(" AND ").all(|one| LICENCES.contains(&one.trim_matches(['(', ')', ' '])))
        })
    };
    // LGPL or BSD: libbpf and its Rust side offer both
    let both = |expression: &str| expression.contains("BSD-2-Clause");
    let metadata = metadata();
    let foreign: Vec<_> = packages(&metadata)
        .filter(|p| !fine(text(p, "license")) && !both(text(p, "license")))
        .map(|p| format!("{}: {:?}", text(p, "name"), p["license"]))
        .collect();
    assert!(foreign.is_empty(), "{foreign:#?}");
}

#[test]
fn everything_comes_from_the_public_registry() {
    let metadata = metadata();
    for package in packages(&metadata) {
        let source = text(package, "source");
        let here = source.is_empty() && text(package, "manifest_path").contains("/crates/");
        assert!(here || source.starts_with("registry+https://github.com/rust-lang/crates.io-index"), "{}", text(package, "id"));
    }
}
