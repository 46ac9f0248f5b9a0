//! Every question of `docs/queries.md` is asked in DuckDB, and has the answer that stands there.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::AtomicBool;

use serde_json::Value;
use tools::archive::Selection;
use tools::export::parts::Limits;
use tools::export::{self, Format, Job, Progress};
use tools::target::Target;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/queries.md");
const DEMO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");
/// This release's answers may be rounded in another way than the next one's.
const DUCKDB: (&str, &str) = ("duckdb", "duckdb>=1.2");

/// Reads questions as a JSON list, answers with a list of rows each, the names first.
const ASK: &str = r#"
import duckdb, json, sys
database = duckdb.connect()
database.execute("SET TimeZone = 'UTC'")
answers = []
for question in json.load(sys.stdin):
    question = question.rstrip().rstrip(";")
    names = [column[0] for column in database.execute(question).description or []]
    if question.startswith("CREATE"):
        answers.append([])
        continue
    # as DuckDB writes values, not as Python does
    rows = database.execute(f"SELECT CAST(COLUMNS(*) AS VARCHAR) FROM ({question})").fetchall()
    answers.append([names] + [[value or "" for value in row] for row in rows])
json.dump(answers, sys.stdout)
"#;

/// The page, with the answers of now.
fn answered(page: &str, ask: impl FnOnce(&[&str]) -> Vec<String>) -> String {
    let parts: Vec<&str> = page.split("```sql\n").collect();
    let questions: Vec<&str> = parts[1..].iter().map(|part| part.split("```").next().unwrap()).collect();
    assert!(questions.len() > 12, "a dozen questions");
    let answers = ask(&questions);
    let mut out = parts[0].to_owned();
    for ((part, question), answer) in parts[1..].iter().zip(questions).zip(answers) {
        let rest = part[question.len()..].strip_prefix("```\n\n```text\n").expect("an answer stands behind each question");
        let (_, rest) = rest.split_at(rest.find("```").expect("an answer has an end"));
        out += &format!("```sql\n{question}```\n\n```text\n{answer}{rest}");
    }
    out
}

fn ask(python: &Path, directory: &Path, questions: &[&str]) -> Vec<String> {
    let mut duckdb = Command::new(python);
    duckdb.args(["-c", ASK]).current_dir(directory).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = duckdb.spawn().unwrap();
    child.stdin.take().unwrap().write_all(serde_json::to_string(questions).unwrap().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "DuckDB answers every question");
    let answers: Vec<Vec<Vec<String>>> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers.len(), questions.len());
    answers.iter().map(|rows| aligned(rows)).collect()
}

fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().enumerate().map(|(at, cell)| format!("{cell:<0$}", width(at))).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect()
}

fn tables(directory: &Path) {
    let target = Target::directory(&directory.join("tables")).unwrap();
    let job = Job {
        recordings: vec![DEMO.into()],
        selection: Selection::default(),
        format: Format::Parquet,
        license: None,
        redactor: None,
        limits: Limits::default(),
    };
    export::run(job, &target, "tables", &Progress::default(), &AtomicBool::new(false)).unwrap();
}

#[test]
fn every_question_has_the_answer_on_the_page() {
    let Some(python) = testkit::python::with(&[DUCKDB], Path::new(env!("CARGO_TARGET_TMPDIR"))) else { return };
    let directory = tempfile::tempdir().unwrap();
    tables(directory.path());
    let page = fs::read_to_string(PAGE).unwrap();
    let now = answered(&page, |questions| ask(&python, directory.path(), questions));
    expect_test::expect_file![PAGE].assert_eq(&now);
}

/// What a reader of the tables relies on: times with their zone, hashes as bytes, lists of structs, partitions from the path.
#[test]
fn columns_have_the_types_that_the_manual_says() {
    let Some(python) = testkit::python::with(&[DUCKDB], Path::new(env!("CARGO_TARGET_TMPDIR"))) else { return };
    let directory = tempfile::tempdir().unwrap();
    tables(directory.path());
    let question = "SELECT column_name, column_type FROM (DESCRIBE SELECT * FROM \
                    read_parquet('tables/net_inv/*/*/*.parquet', hive_partitioning = true))";
    expect_test::expect![[r#"
        column_name      column_type
        node_run         TIMESTAMPTZ_NS
        source           VARCHAR
        run              UBIGINT
        sequence         UBIGINT
        time             TIMESTAMPTZ_NS
        replay           BOOLEAN
        peer             UBIGINT
        direction        VARCHAR
        address          VARCHAR
        connection_type  VARCHAR
        network          VARCHAR
        size             UINTEGER
        raw              BLOB
        items            STRUCT("type" VARCHAR, hash BLOB, number UINTEGER)[]
        day              DATE
        node             VARCHAR
    "#]]
    .assert_eq(&ask(&python, directory.path(), &[question])[0]);
}

/// The answers come as text; a question without answer is one, too.
#[test]
fn answers_are_aligned() {
    let rows: Value = serde_json::json!([["a", "long name"], ["longer", ""]]);
    let rows: Vec<Vec<String>> = serde_json::from_value(rows).unwrap();
    assert_eq!(aligned(&rows), "a       long name\nlonger\n");
    assert_eq!(aligned(&[]), "");
}
