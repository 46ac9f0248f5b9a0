//! Dashboards and rules: made here, beside the table of metrics, so that a renamed metric leaves no dead panel and no dead alert.
//!
//! `UPDATE_EXPECT=1 cargo test -p po-tools --test monitoring` renews `dashboards/`, `deploy/prometheus/`, `docs/runbook.md` and
//! `docs/questions.md`.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod dashboards;
mod panels;
mod promql;
mod questions;
mod rules;
mod stack;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use event::{Event, HealthBeat, Source};
use expect_test::expect_file;
use tools::metrics::table::{ROWS, tool};
use tools::metrics::{Fleet, Format, Lists, Page, Shape};

use panels::DASHBOARDS;

fn place(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(file)
}

/// Expressions of the panels, with where they are.
fn queries() -> impl Iterator<Item = (String, String, &'static str)> {
    DASHBOARDS.iter().flat_map(|dashboard| {
        dashboard.panels.iter().flat_map(move |panel| {
            panel.queries.iter().map(move |(query, legend)| {
                (format!("{}: {}", dashboard.title, panel.question), dashboards::expression(query), *legend)
            })
        })
    })
}

#[test]
fn the_files_are_what_is_written_here() {
    for dashboard in DASHBOARDS {
        let file = place("dashboards").join(dashboard.folder).join("dashboard.json");
        let text = serde_json::to_string_pretty(&dashboard.json()).unwrap() + "\n";
        // `expect_file` does not make folders
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        expect_file![file].assert_eq(&text);
    }
    for (file, text) in [
        ("deploy/prometheus/recording.yml", rules::recording()),
        ("deploy/prometheus/alerts.yml", rules::alerting()),
        ("deploy/prometheus/alerts.test.yml", rules::tests()),
        ("deploy/prometheus/recording.test.yml", rules::recording_tests()),
        ("docs/runbook.md", rules::runbooks()),
        ("docs/questions.md", questions::markdown()),
    ] {
        std::fs::create_dir_all(place(file).parent().unwrap()).unwrap();
        expect_file![place(file)].assert_eq(&text);
    }
}

#[test]
fn every_question_is_answered_by_a_panel_that_exists() {
    assert_eq!(questions::complaints(), [""; 0]);
}

/// Nothing in `dashboards/` that nobody makes.
#[test]
fn no_dashboard_is_left_over() {
    let made: BTreeSet<&str> = DASHBOARDS.iter().map(|dashboard| dashboard.folder).collect();
    let folders = std::fs::read_dir(place("dashboards")).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_dir());
    let there: BTreeSet<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert_eq!(there, made.into_iter().map(String::from).collect());
}

#[test]
fn every_expression_asks_for_what_there_is() {
    let mut complaints = vec![];
    for (place, query, legend) in queries() {
        complaints.extend(promql::complaints(&query).into_iter().map(|complaint| format!("{place}: {complaint} in {query}")));
        if !query.contains("node=~\"$node\"") && !query.contains("_metrics_") && query != "peerobserver_nodes" {
            complaints.push(format!("{place}: not for the chosen nodes: {query}"));
        }
        let labels = promql::labels(&query);
        for name in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
            if !labels.contains(name) {
                complaints.push(format!("{place}: nothing has the label `{name}` of the legend: {query}"));
            }
        }
    }
    for (name, expr) in promql::of_rules() {
        complaints.extend(promql::complaints(expr).into_iter().map(|complaint| format!("{name}: {complaint} in {expr}")));
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// The check itself finds what it should.
#[test]
fn a_dead_expression_is_found() {
    for (expression, complaint) in [
        ("peerobserver_message_total", "there is no metric `peerobserver_message_total`"),
        ("sum by (nod) (peerobserver_messages_total)", "nothing here has a label `nod`"),
        ("peerobserver_messages_total{kind=\"x\"}", "`peerobserver_messages_total` has no label `kind`"),
        ("peerobserver_messages_total{message=\"pingg\"}", "the label `message` of `peerobserver_messages_total` is never `pingg`"),
        ("peerobserver_inv_entries", "there is no metric `peerobserver_inv_entries`"),
    ] {
        assert_eq!(promql::complaints(expression), [complaint]);
    }
    assert!(!promql::complaints("sum(").is_empty());
}

/// What is counted is shown somewhere.
#[test]
fn every_metric_is_on_a_dashboard() {
    let shown: BTreeSet<String> = queries().flat_map(|(_, query, _)| promql::metrics(&query)).collect();
    let hidden = |name: &str, shape: Shape| match shape {
        Shape::Histogram(_) => ["_bucket", "_sum", "_count"].iter().all(|suffix| !shown.contains(&format!("{name}{suffix}"))),
        _ => !shown.contains(name),
    };
    let missing: Vec<&str> = ROWS.iter().chain(&tool::ROWS).filter(|row| hidden(row.name, row.shape)).map(|row| row.name).collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn dashboards_are_well_formed() {
    let mut uids = BTreeSet::new();
    for dashboard in DASHBOARDS {
        assert!(uids.insert(dashboard.uid()) && dashboard.uid().len() <= 40, "{}", dashboard.uid());
        for panel in dashboard.panels {
            let place = format!("{}: {}", dashboard.title, panel.question);
            assert!(panel.question.ends_with('?'), "{place} asks nothing");
            assert!(panel.read.ends_with('.'), "{place} does not say how to read it");
            assert!(!panel.queries.is_empty() && panel.queries.len() <= 26, "{place}");
        }
    }
}

/// Whether a program of Debian's packages `prometheus` and `prometheus-alertmanager` is there; says visibly when a test is skipped.
fn installed(program: &str) -> bool {
    let there = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|folder| folder.join(program).is_file());
    if !there {
        testkit::skipped(&format!("no {program} on PATH"));
    }
    there
}

fn promtool(args: &[&str]) {
    let output = Command::new("promtool").args(args).current_dir(place("deploy/prometheus")).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn prometheus_takes_the_rules() {
    if installed("promtool") {
        promtool(&["check", "rules", "recording.yml", "alerts.yml"]);
        promtool(&["check", "config", "prometheus.yml"]);
    }
}

#[test]
fn every_alert_fires_ends_and_leaves_its_twin_alone() {
    if installed("promtool") {
        promtool(&["test", "rules", "alerts.test.yml"]);
    }
}

/// What `SourceSilent` asks for is what the program says of a source that was killed: the rules' own test has made-up series.
#[test]
fn a_source_that_was_killed_is_silent_as_the_alert_has_it() {
    let beat = |second: u64, source| Event { time: second * 1_000_000_000, ..Event::new("alice", source, HealthBeat::default()) };
    let attached = |source| Event { time: 1, ..Event::new("alice", source, event::HealthAttached::default()) };
    let mut fleet = Fleet::new(Lists::default());
    [Source::Log, Source::Rpc].into_iter().for_each(|source| fleet.observe(&attached(source)));
    fleet.observe(&beat(5, Source::Log));
    (1..=96).for_each(|second| fleet.observe(&beat(second, Source::Rpc)));
    let nodes = (0..fleet.nodes()).map(|place| fleet.shown(place)).collect();
    let (tool, lists) = fleet.shown_tool();
    let page = Page { nodes, tool, lists, process: None }.write(Format::Prometheus);
    assert!(page.contains("peerobserver_source_last_beat_timestamp_seconds{node=\"alice\",source=\"log\"} 5\n"), "{page}");
    assert!(page.contains("peerobserver_source_up{node=\"alice\",source=\"rpc\"} 1\n"), "{page}");
    // 91 seconds later nothing says that it is down, which would keep the alert from firing
    assert!(!page.contains("peerobserver_source_up{node=\"alice\",source=\"log\"}"), "{page}");
    let silent = rules::ALERTS.iter().find(|alert| alert.name == "SourceSilent").unwrap();
    assert!(silent.expr.contains("> 90 unless on (node, source) peerobserver_source_up == 0"), "{}", silent.expr);
}

/// The files for containers are the others, with other addresses.
#[test]
fn the_containers_are_configured_alike() {
    for (file, compose, addresses) in [
        (
            "deploy/prometheus/prometheus.yml",
            "deploy/compose/prometheus.yml",
            &[("127.0.0.1:28445", "metrics:28445"), ("127.0.0.1:9093", "alertmanager:9093")][..],
        ),
        ("deploy/grafana/datasource.yml", "deploy/compose/datasource.yml", &[("127.0.0.1:9090", "prometheus:9090")]),
    ] {
        let read = |file: &str| std::fs::read_to_string(place(file)).unwrap();
        let expected = addresses.iter().fold(read(file), |text, (here, there)| text.replace(here, there));
        // the first line says which is which
        let rest = |text: &str| text.split_once('\n').unwrap().1.to_owned();
        assert_eq!(rest(&read(compose)), rest(&expected), "{compose}");
    }
}

#[test]
fn rules_record_what_is_usual() {
    if installed("promtool") {
        promtool(&["test", "rules", "recording.test.yml"]);
    }
}

#[test]
fn the_alertmanager_takes_its_routes() {
    if installed("amtool") {
        let output = Command::new("amtool")
            .args(["check-config", "alertmanager.yml"])
            .current_dir(place("deploy/prometheus"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
