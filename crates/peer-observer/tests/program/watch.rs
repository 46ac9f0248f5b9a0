//! `run` beside nodes, and what it finds.
#![allow(dead_code, reason = "not every test file needs all of it")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use testkit::{Node, wait};

use crate::program::{Running, program};

/// The file with the configuration.
const CONFIG: &str = "peer-observer.toml";

/// What `run` starts by itself, but for what takes a port: several of these run at once.
const HURRIED: &str = r#"
[ebpf]
[rpc]
[log]
[proc]
[join]

[reconcile]
interval = "20s"

[logger]
format = "json"
kinds = ["finding", "health.attached", "health.reconciled", "state.fetched"]

[detect.thresholds]
"guard.restart" = 0
"d10.full" = 30
"#;

/// The program beside nodes, and what it finds.
pub struct Watch {
    pub running: Running,
    folder: TempDir,
}

/// What it leaves behind.
pub struct Past {
    pub lines: Vec<String>,
    folder: TempDir,
}

impl Watch {
    /// As anybody starts it; text for people.
    pub fn start(node: &Node) -> Running {
        let mut running = Running::start(program().arg("run").arg("--datadir").arg(node.datadir()));
        running.wait_for_error("probes", |line| line.contains("watching the node"));
        running
    }

    /// With a configuration that shortens what would hold up a test, and with more thresholds; `detectors_real.rs` says what, and why.
    pub fn hurried(nodes: &[(&str, &Node)], thresholds: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(CONFIG);
        let mut text = format!("{HURRIED}{thresholds}\n");
        text += &format!("[archive]\ndir = {:?}\n", folder.path().join("archive"));
        for (name, node) in nodes {
            text += &format!("[node.{name}]\ndatadir = {:?}\n", node.datadir());
        }
        std::fs::write(&file, text).unwrap();
        let mut running = Running::start(program().arg("--config").arg(&file).arg("run"));
        for _ in nodes {
            running.wait_for("probes", |line| line.contains("\"source\":\"ebpf\""));
        }
        Self { running, folder }
    }

    /// The first statement of a detector that is so, not later than this after something.
    ///
    /// By the time of the event: how late it is read here is not the product's doing.
    #[track_caller]
    pub fn finds(&mut self, detector: &str, begun: SystemTime, within: Duration, fits: impl Fn(&Value) -> bool) -> Value {
        let found = |line: &str| finding(line, detector).filter(|finding| fits(finding));
        let lines = self.running.wait_within(detector, within + wait::LONG * 3, |line| found(line).is_some());
        let line = lines.last().unwrap();
        let event: Value = serde_json::from_str(line).unwrap();
        let time = UNIX_EPOCH + Duration::from_nanos(event["time"].as_str().unwrap().parse().unwrap());
        let after = time.duration_since(begun).unwrap_or_default();
        println!("{detector}: after {:.1} s", after.as_secs_f64());
        assert!(after <= within, "{detector} after {after:.1?}, and not within {within:?}");
        found(line).unwrap()
    }

    pub fn ends(self) -> Past {
        let (lines, errors, status) = self.running.end(Signal::INT);
        assert!(status.success(), "{errors:#?}");
        Past { lines, folder: self.folder }
    }
}

impl Past {
    /// What a detector states first over the recording of the same, by the same configuration.
    pub fn finds(&self, detector: &str) -> Option<Value> {
        let mut again = program();
        again.arg("--config").arg(self.folder.path().join(CONFIG));
        again.args(["detect", "--format=json", "--recording"]).arg(self.folder.path().join("archive"));
        let output = again.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().find_map(|line| finding(line, detector))
    }
}

/// What a detector states in a line, if it is one of it.
pub fn finding(line: &str, detector: &str) -> Option<Value> {
    let event: Value = serde_json::from_str(line).unwrap();
    let kind = ["findingOpened", "findingUpdated"].into_iter().find(|kind| event.get(kind).is_some())?;
    let finding = &event[kind]["finding"];
    (finding["detector"] == detector).then(|| finding.clone())
}

/// How long after something a line for people was said, by its own time, to the second; zero for what was said before.
pub fn after(begun: SystemTime, line: &str) -> Duration {
    const DAY: u64 = 86_400;
    let mut place = 3600;
    let mut said = 0;
    for part in line.split(['.', ' ']).next().unwrap().split(':') {
        said += part.parse::<u64>().unwrap_or_else(|_| panic!("a line begins with a time: {line}")) * place;
        place /= 60;
    }
    let begun = begun.duration_since(UNIX_EPOCH).unwrap().as_secs() % DAY;
    let after = (said + DAY - begun) % DAY;
    Duration::from_secs(if after < DAY / 2 { after } else { 0 })
}

/// A number that a finding rests on.
pub fn number(finding: &Value, name: &str) -> f64 {
    let inputs = finding["inputs"].as_array().unwrap();
    let input = inputs.iter().find(|input| input["name"] == name).unwrap_or_else(|| panic!("no {name} in {finding:#}"));
    input["value"].as_f64().unwrap()
}
