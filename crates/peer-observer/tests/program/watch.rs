//! `run` beside nodes, and what it finds.
#![allow(dead_code, reason = "not every test file needs all of it")]

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;
use testkit::Node;

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
"d09.established" = 5
"d10.full" = 5
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

    /// With a configuration that shortens what would hold up a test; `detectors_real.rs` says what, and why.
    pub fn hurried(nodes: &[(&str, &Node)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(CONFIG);
        let mut text = HURRIED.to_owned();
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

    /// The first statement of a detector that is so.
    #[track_caller]
    pub fn finds(&mut self, detector: &str, limit: Duration, fits: impl Fn(&Value) -> bool) -> Value {
        let found = |line: &str| finding(line, detector).filter(|finding| fits(finding));
        let lines = self.running.wait_within(detector, limit, |line| found(line).is_some());
        found(lines.last().unwrap()).unwrap()
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

/// A number that a finding rests on.
pub fn number(finding: &Value, name: &str) -> f64 {
    let inputs = finding["inputs"].as_array().unwrap();
    let input = inputs.iter().find(|input| input["name"] == name).unwrap_or_else(|| panic!("no {name} in {finding:#}"));
    input["value"].as_f64().unwrap()
}
