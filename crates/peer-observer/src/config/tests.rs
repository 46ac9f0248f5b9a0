use super::*;
use std::path::PathBuf;

use clap::Parser;
use expect_test::{Expect, expect};

/// A component.
#[derive(Args, Debug, PartialEq)]
struct Bus {
    /// Where the server is
    #[arg(long = "bus", value_name = "URL")]
    bus: Option<String>,
    /// How many
    #[arg(long = "bus-size", default_value_t = 8)]
    bus_size: u32,
    /// Which
    #[arg(long, value_delimiter = ',')]
    kinds: Vec<String>,
    /// Keep all
    #[arg(long)]
    raw: bool,
}

/// A node.
#[derive(Args, Debug, PartialEq)]
struct Node {
    /// Its name
    #[arg(long)]
    name: String,
    /// Its directory
    #[arg(long)]
    datadir: Option<PathBuf>,
    /// Its process
    #[arg(long)]
    pid: Option<u32>,
}

#[derive(Parser, Debug)]
struct Cli {
    #[command(flatten)]
    bus: Bus,
}

const SECTIONS: &[Section] = &[Section::of::<Bus>("bus", "The bus")];
const NODE: Section = Section::of::<Node>("node", "Nodes");

fn file(text: &str) -> anyhow::Result<File> {
    File::parse(text, SECTIONS, &NODE)
}

fn parse(text: &str, line: &[&str]) -> Bus {
    use clap::CommandFactory as _;
    let command = file(text).unwrap().apply(Cli::command());
    let matches = command.try_get_matches_from([&["x"], line].concat()).unwrap();
    Cli::from_arg_matches(&matches).unwrap().bus
}

#[test]
fn the_file_gives_defaults_and_flags_win() {
    let text = "[bus]\nurl = \"nats://a\"\nsize = 3\nkinds = [\"x\", \"y\"]\nraw = true\n";
    let all = Bus { bus: Some("nats://a".into()), bus_size: 3, kinds: vec!["x".into(), "y".into()], raw: true };
    assert_eq!(parse(text, &[]), all);
    assert_eq!(parse(text, &["--bus-size=5", "--kinds=z"]), Bus { bus_size: 5, kinds: vec!["z".into()], ..all });
    assert_eq!(parse("", &[]), Bus { bus: None, bus_size: 8, kinds: vec![], raw: false });
}

#[test]
fn nodes_are_tables() {
    let file = file("node.alice = { datadir = \"/a\" }\n[node.bob]\npid = 7\n").unwrap();
    let nodes: Vec<Node> = file.nodes(&NODE).unwrap();
    assert_eq!(
        nodes,
        [
            Node { name: "alice".into(), datadir: Some("/a".into()), pid: None },
            Node { name: "bob".into(), datadir: None, pid: Some(7) },
        ]
    );
}

#[track_caller]
fn refused(text: &str, expect: Expect) {
    expect.assert_eq(&format!("{:#}", file(text).unwrap_err()));
}

#[test]
fn mistakes_are_named() {
    refused("[buss]\n", expect!["there is no section `[buss]`; did you mean `bus`?"]);
    refused("[bus]\nsise = 1\n", expect!["there is no key `sise` in `[bus]`; did you mean `size`?"]);
    refused("bus = 1\n", expect!["`bus` must be a table: `[bus]` on a line of its own"]);
    refused("[bus]\nraw = \"yes\"\n", expect!["[bus] raw: expected true or false"]);
    refused("[bus]\nsize = true\n", expect!["[bus] size: expected a value, not true or false"]);
    refused("[node.a]\nname = \"b\"\n", expect!["there is no key `name` in `[node.a]`"]);
    refused("[node.a]\npid = \"x\"\n", expect!["[node.a]: invalid value 'x' for '--pid <PID>': invalid digit found in string"]);
}

#[test]
fn no_toml_is_an_error_with_its_place() {
    let error = format!("{:#}", file("[bus\n").unwrap_err());
    assert!(error.contains("line 1"), "{error}");
}

#[test]
fn the_defaults_explain_themselves_and_are_readable() {
    let text = commented(SECTIONS, &NODE);
    expect![[r#"
        # Configuration of peer-observer, with the defaults.
        #
        # A section that is there is a component that `run` starts; without any component's section it starts everything that works.
        # Flags and environment variables win over this file. Unknown keys are errors.

        # Nodes: one table per node, named after it.
        #[node.alice]

        # Its directory
        #datadir = "DATADIR"

        # Its process
        #pid = "PID"

        # The bus
        #[bus]

        # Where the server is
        #url = "URL"

        # How many
        #size = 8

        # Which
        #kinds = []

        # Keep all
        #raw = false
    "#]]
    .assert_eq(&text);
}

/// Thresholds as an operator writes them.
#[test]
fn thresholds_may_stand_in_tables() {
    let parse = |text: &str| File::parse(text, crate::cli::SECTIONS, &crate::cli::NODE);
    let text = "[detect]\nthreshold = [\"guard.block=1\"]\n[detect.thresholds]\n\"d39.queue_warn\" = 20000\n\
                [detect.nodes.alice.thresholds]\n\"guard.restart\" = 60.5\n";
    let file = parse(text).unwrap();
    let words = file.defaults.iter().find(|(id, _)| id == "detect_threshold").map(|(_, words)| words.clone());
    assert_eq!(words.unwrap(), ["guard.block=1", "d39.queue_warn=20000", "alice:guard.restart=60.5"]);
    let error = |text: &str| parse(text).unwrap_err().to_string();
    let wrong = "[detect]: invalid value 'd39.queue_warm=1' for '--detect-threshold <THRESHOLD=NUMBER>': there is no threshold \
                 `d39.queue_warm`; did you mean `d39.queue_warn`?";
    assert_eq!(error("[detect.thresholds]\n\"d39.queue_warm\" = 1\n"), wrong);
    assert_eq!(
        error("[detect.thresholds]\n\"d39.queue_warn\" = \"many\"\n"),
        "[detect.thresholds] d39.queue_warn: a threshold is a number, not a string"
    );
    assert_eq!(
        error("[detect.nodes.alice]\nthreshold = 1\n"),
        "there is no key `threshold` in `[detect.nodes.alice]`; did you mean `thresholds`?"
    );
}
