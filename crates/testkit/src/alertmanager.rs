//! A real Alertmanager for the length of a test.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;
use tempfile::TempDir;

use crate::{http, wait};

/// As Debian calls it, and as everybody else does.
const NAMES: [&str; 2] = ["prometheus-alertmanager", "alertmanager"];

/// In its folder.
const LOG: &str = "alertmanager.log";

/// One that runs; it ends when dropped.
#[derive(Debug)]
pub struct Alertmanager {
    child: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Alertmanager {
    fn program() -> Option<&'static str> {
        let works = |name: &&&str| {
            let mut command = Command::new(name);
            command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
        };
        NAMES.iter().find(works).copied()
    }

    /// Starts one that tells a webhook of each alert at once; `None`, visibly, where there is none to start.
    pub fn start(webhook: &str) -> anyhow::Result<Option<Self>> {
        Self::configured(&format!(
            "route:\n  receiver: operator\n  group_by: ['...']\n  group_wait: 0s\n  group_interval: 1s\nreceivers:\n  - name: operator\n    \
             webhook_configs:\n      - url: {webhook}/\n        send_resolved: true\n"
        ))
    }

    /// Starts one with this configuration, its own YAML; `None`, visibly, where there is none to start.
    pub fn configured(yaml: &str) -> anyhow::Result<Option<Self>> {
        let Some(program) = Self::program() else {
            crate::skipped("needs prometheus-alertmanager");
            return Ok(None);
        };
        let folder = tempfile::Builder::new().prefix("testkit-alertmanager-").tempdir()?;
        let file = folder.path().join("alertmanager.yml");
        fs::write(&file, yaml)?;
        let log = fs::File::create(folder.path().join(LOG))?;
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.path={}", folder.path().join("alerts").display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("failed to start {program}"))?;
        let mut alertmanager = Self { child, address: (Ipv4Addr::LOCALHOST, 0).into(), folder };
        let address = wait::until("the Alertmanager to listen", wait::LONG, || match alertmanager.child.try_wait()? {
            Some(status) => anyhow::bail!("it ended with {status}: {}", fs::read_to_string(alertmanager.log())?),
            None => Ok(listens(&alertmanager.log())),
        })?;
        alertmanager.address = address;
        wait::until("the Alertmanager", wait::LONG, || Ok(http::get(address, "/api/v2/status")))?;
        Ok(Some(alertmanager))
    }

    /// What it says of itself.
    pub fn log(&self) -> PathBuf {
        self.folder.path().join(LOG)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What is up, by name and severity, in order.
    pub fn up(&self) -> Option<Vec<String>> {
        let alerts = http::get(self.address, "/api/v2/alerts?active=true")?;
        let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
        let name = |alert: &Value| format!("{} {}", label(alert, "alertname"), label(alert, "severity"));
        let mut names: Vec<String> = alerts.as_array()?.iter().map(name).collect();
        names.sort();
        Some(names)
    }

    /// The severities of the alerts of an incident that are up: one, or none when it is over; `None` where it does not answer.
    pub fn of_incident(&self, number: u64) -> Option<Vec<String>> {
        let number = number.to_string();
        let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
        let alerts = self.alerts()?;
        let of_it = alerts.as_array()?.iter().filter(|alert| label(alert, "incident") == number);
        Some(of_it.map(|alert| label(alert, "severity")).collect())
    }

    /// Everything that it says of alerts.
    pub fn alerts(&self) -> Option<Value> {
        http::get(self.address, "/api/v2/alerts?active=true")
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a program of Prometheus' kind says in its log that it listens; `None` as long as it does not.
pub fn listens(log: &Path) -> Option<SocketAddr> {
    let text = fs::read_to_string(log).ok()?;
    // a line that is not whole may end within the port
    let (whole, _) = text.rsplit_once('\n')?;
    let said = |line: &str| line.split_once("msg=\"Listening on\" address=")?.1.split_whitespace().next()?.parse().ok();
    whole.lines().find_map(said)
}

/// Whether what an Alertmanager told its webhook is of an incident that is as bad, and has this status.
pub fn is_told(message: &Value, severity: &str, status: &str) -> bool {
    let fits = |alert: &Value| {
        let labels = &alert["labels"];
        labels["alertname"] == "Incident" && labels["severity"] == severity && alert["status"] == status
    };
    message["alerts"].as_array().is_some_and(|alerts| alerts.iter().any(fits))
}
