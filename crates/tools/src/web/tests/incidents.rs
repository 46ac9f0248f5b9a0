//! Incidents: shown from events, and worked with through the door of a book.

use detect::incident::Told;
use event::{EntityKind, Finding, FindingEntity, FindingOpened, Incident, IncidentOpened, IncidentState, Severity};

use super::*;
use crate::incidents::{Book, ask, door};

pub fn opened(number: u64) -> IncidentOpened {
    let finding = Finding { detector: "D39".into(), name: "inv_queue".into(), ..Finding::default() };
    let mut incident = Incident { number, revision: 1, changed: TIME + 1, finding: Some(finding), ..Incident::default() };
    incident.set_state(IncidentState::Open);
    incident.set_severity(Severity::Warn);
    IncidentOpened { incident: Some(incident) }
}

/// A book with one incident, and a server that shows and reaches it.
struct Kept {
    world: World,
    _folder: tempfile::TempDir,
    keeper: JoinHandle<()>,
}

impl Kept {
    async fn new(config: Config) -> Self {
        Self::troubled(config, None).await
    }

    /// One whose keeper cannot write.
    async fn troubled(config: Config, trouble: Option<ask::Trouble>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut book = Book::open(&folder.path().join("book")).unwrap();
        let entity = FindingEntity { kind: EntityKind::Node.into(), ..FindingEntity::default() };
        let finding = Finding {
            id: "1".repeat(16),
            detector: "D39".into(),
            entity: Some(entity),
            severity: Severity::Warn.into(),
            ..Finding::default()
        };
        let found = FindingOpened { finding: Some(finding) };
        let told = book.record(&[Arc::new(Event { time: TIME, ..Event::new("alice", Source::Detect, found) })]).unwrap();
        let (questions, mut guests) = door::questions();
        guests.say(trouble);
        let world = World::reaching(config, Limits::default(), Some((questions, book.name().to_owned()))).await;
        let fleet = world.bus.publisher(detect::FLEET.parse().unwrap(), Source::Tool);
        let tell = move |told: Told| fleet.publish(told.time, None, told.kind);
        told.into_iter().for_each(&tell);
        // as `incidents::run` does
        let keeper = tokio::spawn(async move {
            while let Some(guest) = guests.recv().await {
                let (answer, told) = ask::answer(&mut book, guest.ask, TIME);
                told.into_iter().for_each(&tell);
                guest.reply.send(answer).unwrap();
            }
        });
        let kept = Self { world, _folder: folder, keeper };
        kept.world.publisher.publish(TIME, None, ping(1));
        kept
    }

    async fn post(&self, number: &str, body: &str, more: &str) -> String {
        let head = format!("POST /api/incidents/{number} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}");
        self.world.ask(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())).await
    }

    async fn end(self) {
        self.world.end().await;
        self.keeper.abort();
    }
}

const JSON: &str = "Content-Type: application/json\r\n";

#[track_caller]
fn check(answer: &str, status: &str, says: &str) {
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")) && answer.contains(says), "{answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_here_works_with_an_incident() {
    let kept = Kept::new(config()).await;
    let list = kept.world.json_with("/api/incidents", |list| !list["incidents"][0].is_null()).await;
    assert_eq!((&list["acting"], &list["incidents"][0]["state"]), (&"here".into(), &"open".into()));
    // nobody becomes a node by this
    let nodes = kept.world.json_with("/api/nodes", |nodes| !nodes["nodes"][0].is_null()).await;
    assert_eq!(nodes["nodes"].as_array().unwrap().len(), 1, "{nodes}");
    let done = kept.post("1", r#"{"act":"acknowledge","by":"ann"}"#, JSON).await;
    check(&done, "200", "\"state\":\"acknowledged\"");
    check(
        &kept.post("1", r#"{"act":"acknowledge","by":"ben"}"#, JSON).await,
        "409",
        "acknowledged already, by ann; write down what",
    );
    check(&kept.post("1", r#"{"act":"note","by":"ben","text":" "}"#, JSON).await, "409", "the note is empty");
    check(&kept.post("1", r#"{"act":"note","by":"ben","text":"seen"}"#, JSON).await, "200", "");
    // who looks at it may say so again
    check(&done_again(&kept).await, "200", "\"state\":\"acknowledged\"");
    check(&kept.post("2", r#"{"act":"close","by":"ann"}"#, JSON).await, "409", "there is no incident 2");
    // two close at the same moment: one of them is told that he is late
    let close = r#"{"act":"close","by":"ann","text":"ours"}"#;
    let (one, other) = tokio::join!(kept.post("1", close, JSON), kept.post("1", close, JSON));
    let late = |answer: &String| answer.starts_with("HTTP/1.1 409 ") && answer.contains("resolved already");
    assert!(late(&one) != late(&other), "{one} {other}");
    let shown = kept.world.json_with("/api/incidents/1", |shown| shown["state"] == "resolved").await;
    assert_eq!(shown["acting"], "here");
    // what another book calls by the same number is not worked with here
    kept.world.publisher.publish(TIME + 1, None, opened(1));
    let other = kept.world.json_with("/api/incidents/1", |shown| shown["book"] == "").await;
    assert_eq!(other["acting"], "elsewhere");
    let happened: Vec<String> =
        shown["timeline"].as_array().unwrap().iter().map(|entry| format!("{} {}", entry["what"], entry["by"])).collect();
    let expect = [r#""opened" """#, r#""somebody looks at it" "ann""#, r#""a note was added" "ben""#, r#""resolved" "ann""#];
    assert_eq!(happened, expect);
    kept.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_deed_and_who_may_not_is_refused() {
    let kept = Kept::new(config()).await;
    let close = r#"{"act":"close","by":"ann"}"#;
    check(&kept.post("1", close, "").await, "415", "application/json");
    check(&kept.post("1", close, "Content-Type: text/plain\r\n").await, "415", "");
    check(&kept.post("1", close, &format!("{JSON}Origin: http://evil.example\r\n")).await, "403", "another site");
    check(&kept.post("x", close, JSON).await, "400", "by its number");
    for nobody in [r#"{"act":"acknowledge","by":""}"#, r#"{"act":"close","by":" "}"#, r#"{"act":"note","text":"x"}"#] {
        check(&kept.post("1", nobody, JSON).await, "400", "nobody is named");
    }
    check(&kept.post("1", "[]", JSON).await, "400", "it is an object");
    check(&kept.post("1", &format!("{{{}}}", " ".repeat(act::LONGEST)), JSON).await, "413", "");
    let shown = kept.world.json_with("/api/incidents/1", |shown| shown["number"] == "1").await;
    assert_eq!(shown["state"], "open", "nothing of this was done");
    kept.end().await;

    let folder = tempfile::tempdir().unwrap();
    let [token, key] = ["token", "key"].map(|name| folder.path().join(name));
    std::fs::write(&token, "correct-horse-battery").unwrap();
    std::fs::write(&key, [7; 32]).unwrap();
    // a proxy lets in whom it likes
    let proxied = Config { web_behind_proxy: true, ..config() };
    let kept = Kept::new(proxied.clone()).await;
    check(&kept.post("1", close, JSON).await, "403", "--web-token-file");
    kept.end().await;
    let kept = Kept::new(Config { web_token_file: Some(token), ..proxied }).await;
    check(&kept.post("1", close, JSON).await, "401", "");
    check(&kept.post("1", close, &format!("{JSON}Authorization: Bearer correct-horse-battery\r\n")).await, "200", "resolved");
    kept.end().await;
    let kept = Kept::new(Config { web_redact: Some(key), ..config() }).await;
    check(&kept.post("1", close, JSON).await, "403", "changed by nobody");
    let list = kept.world.json_with("/api/incidents", |list| !list["incidents"][0].is_null()).await;
    assert_eq!((&list["acting"], list.to_string().contains("alice")), (&"public".into(), false), "{list}");
    kept.end().await;
    let world = World::start(config()).await;
    let head =
        format!("POST /api/incidents/1 HTTP/1.1\r\nHost: localhost\r\n{JSON}Connection: close\r\nContent-Length: 2\r\n\r\n{{}}");
    check(&world.ask(head).await, "409", "peer-observer incidents");
    world.end().await;
}

async fn done_again(kept: &Kept) -> String {
    kept.post("1", r#"{"act":"acknowledge","by":" ann "}"#, JSON).await
}

/// A disk is full: the pages do not say that all is well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn that_the_book_is_behind_is_shown() {
    let reason = "failed to write the incident book /var/book: no space".to_owned();
    let trouble = ask::Trouble { findings: 3, lost: 1, reason, hint: "the disk is full".into() };
    let kept = Kept::troubled(config(), Some(trouble.clone())).await;
    let says = |answer: &Value| answer["trouble"]["sentence"] == trouble.to_string().as_str();
    assert_eq!(trouble.to_string(), "3 findings wait, 1 was lost: failed to write the incident book /var/book: no space");
    let list = kept.world.json_with("/api/incidents", |list| !list["incidents"][0].is_null()).await;
    assert!(says(&list) && list["trouble"]["findings"] == "3", "{list}");
    assert!(says(&kept.world.json("/api/incidents/1").await));
    // what is asked for may be among what waits
    check(
        &kept.post("2", r#"{"act":"close","by":"ann"}"#, JSON).await,
        "503",
        "there is no incident 2 in this book; 3 findings wait",
    );
    kept.end().await;
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    std::fs::write(&key, [7; 32]).unwrap();
    let kept = Kept::troubled(Config { web_redact: Some(key), ..config() }, Some(trouble)).await;
    let list = kept.world.json_with("/api/incidents", |list| !list["incidents"][0].is_null()).await;
    assert!(list["trouble"].is_null(), "strangers are told nothing of it: {list}");
    kept.end().await;
    let kept = Kept::new(config()).await;
    assert!(kept.world.json("/api/incidents").await["trouble"].is_null());
    kept.end().await;
}
