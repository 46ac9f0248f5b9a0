//! The incident book from the command line: while nothing runs, while a program keeps it, and when something is wrong with it.
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver as Arrivals;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bus::Bus;
use event::{EntityKind, Event, Finding, FindingEntity, FindingOpened, Severity, Source};
use program::{Running, output, program};
use rustix::process::Signal;
use serde_json::Value;
use testkit::alertmanager::is_told;
use testkit::http::{self, Arrived, OK};
use testkit::wait::{self, LONG};
use testkit::{Alertmanager, NatsServer, need_nats};
use tools::incidents::Book;

const START: u64 = 1_750_000_000_000_000_000;

fn opened(id: u64, detector: &str, name: &str) -> FindingOpened {
    let entity = FindingEntity { kind: EntityKind::Node.into(), ..FindingEntity::default() };
    let (id, detector, name) = (format!("{id:016x}"), detector.to_owned(), name.to_owned());
    let severity = Severity::Warn.into();
    FindingOpened { finding: Some(Finding { id, detector, name, entity: Some(entity), severity, ..Finding::default() }) }
}

/// A book with two incidents.
fn book(folder: &Path) -> String {
    let path = folder.join("book");
    let mut book = Book::open(&path).unwrap();
    for (id, detector, name) in [(1, "D39", "inv_queue"), (2, "D50", "reconstruction")] {
        let event = Event { time: START + id, ..Event::new("alice", Source::Detect, opened(id, detector, name)) };
        book.record(&[Arc::new(event)]).unwrap();
    }
    path.to_str().unwrap().to_owned()
}

/// What `incidents` prints, or, of a failure, its code and what it says.
fn ask(book: &str, args: &[&str]) -> Result<String, (i32, String)> {
    let output = output(&[&["incidents"], args, &["--incidents-book", book]].concat());
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err((output.status.code().unwrap(), text(output.stderr))) }
}

/// Works with two incidents as people do.
fn work(book: &str, folder: &Path) {
    let list = ask(book, &["list"]).unwrap();
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(lines.len(), 2, "{list}");
    assert!(lines[0].contains("reconstruction (D50) at alice") && lines[1].contains("inv_queue (D39) at alice"), "{list}");
    assert!(ask(book, &["ack", "1", "--by", "ann"]).unwrap().contains("acknowledged"));
    // who is late is told who was first, and nothing went wrong
    let late = ["ann", "ben"].map(|by| ask(book, &["ack", "1", "--by", by]).unwrap());
    assert!(late[0].starts_with("you look at it already\n") && late[1].starts_with("ann looks at it already\n"), "{late:?}");
    assert!(late.iter().all(|late| late.contains("inv_queue (D39) at alice")), "{late:?}");
    let nobody = ask(book, &["note", "1", "seen", "--by", " "]).unwrap_err();
    assert_eq!(nobody, (2, "error: nobody is named who does it\nhint: say who with `--by NAME`\n".to_owned()));
    ask(book, &["note", "1", "as", "in", "March", "--by", "ben"]).unwrap();
    ask(book, &["close", "2", "our own test", "--by", "ann"]).unwrap();
    assert_eq!(ask(book, &["close", "2"]).unwrap_err().0, 2);
    assert_eq!(ask(book, &["list", "--state", "open"]).unwrap(), "no incidents\n");
    let shown = ask(book, &["show", "1"]).unwrap();
    for part in [
        "incident 1: inv_queue (D39) at alice",
        "acknowledged, warn, ann looks at it",
        "note by ben\n      as in March",
        "What to do next",
    ] {
        assert!(shown.contains(part), "{part} is not in\n{shown}");
    }
    let json: Value = serde_json::from_str(&ask(book, &["show", "1", "--format", "json"]).unwrap()).unwrap();
    assert_eq!((&json["incident"]["owner"], json["timeline"].as_array().unwrap().len()), (&"ann".into(), 4));
    assert!(json["runbook"].as_str().unwrap().starts_with("1."));
    let unknown = ask(book, &["show", "7"]).unwrap_err();
    assert!(unknown.1.starts_with("error: there is no incident 7 in this book\nhint: "), "{}", unknown.1);
    let empty = ask(book, &["list", "--state", "open", "--format", "atom"]).unwrap();
    let feed = ask(book, &["list", "--format", "atom"]).unwrap();
    let id = |feed: &str| feed.lines().find(|line| line.starts_with("<id>")).unwrap().to_owned();
    assert_eq!((id(&empty), empty.contains("1970")), (id(&feed), false), "{empty}");
    assert_eq!((feed.matches("<entry>").count(), feed.ends_with("</feed>\n")), (2, true), "{feed}");
    let page = folder.join("1.html");
    let export = ["export", "1", "--output", page.to_str().unwrap()];
    assert_eq!(ask(book, &export).unwrap(), format!("incident 1 is in {}\n", page.display()));
    assert!(std::fs::read_to_string(&page).unwrap().contains("<h1>Incident 1: inv_queue (D39) at alice</h1>"));
    assert_eq!(ask(book, &export).unwrap_err().0, 2, "nothing is written over");
    // the book is named before what is to be done, or after it, or by the environment
    let before = output(&["incidents", "--incidents-book", book, "list"]);
    let named = program().args(["incidents", "list"]).env("PEER_OBSERVER_INCIDENTS_BOOK", book).output().unwrap();
    let expect = ask(book, &["list"]).unwrap();
    assert_eq!([before, named].map(|output| String::from_utf8(output.stdout).unwrap()), [expect.clone(), expect]);
}

/// Services and containers have no `USER`; who did something is in the book all the same.
#[test]
fn whoever_acts_has_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let book = book(folder.path());
    let id = std::process::Command::new("id").arg("-un").output().unwrap();
    let name = String::from_utf8(id.stdout).unwrap();
    for user in [None, Some("")] {
        let mut ack = program();
        ack.args(["incidents", "ack", if user.is_some() { "1" } else { "2" }, "--incidents-book", &book]).env_remove("LOGNAME");
        match user {
            Some(user) => ack.env("USER", user),
            None => ack.env_remove("USER"),
        };
        let done = String::from_utf8(ack.output().unwrap().stdout).unwrap();
        assert!(done.contains(&format!("{} looks at it", name.trim())), "{done}");
    }
}

/// The disk of the book is full, and a finding waits for it: nobody is told that there is nothing.
#[test]
fn a_book_that_is_behind_is_no_empty_book() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    let mut kept = Book::open(&path).unwrap();
    let (questions, mut guests) = tools::incidents::door::questions();
    let hint = "the disk is full: what was acknowledged is safe, what comes waits".to_owned();
    let trouble = tools::incidents::ask::Trouble { findings: 1, reason: "no space".into(), hint, ..Default::default() };
    guests.say(Some(trouble));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let _within = runtime.enter();
    drop(tokio::spawn(tools::incidents::door::open(&path, questions).unwrap()));
    drop(tokio::spawn(async move {
        while let Some(guest) = guests.recv().await {
            let (answer, _) = tools::incidents::ask::answer(&mut kept, guest.ask, START);
            guest.reply.send(answer).unwrap();
        }
    }));
    let book = path.to_str().unwrap();
    let waits = "1 finding waits: no space\nhint: the disk is full: what was acknowledged is safe, what comes waits\n";
    for format in ["text", "json"] {
        let list = output(&["incidents", "list", "--format", format, "--incidents-book", book]);
        let said = (list.status.code(), String::from_utf8(list.stdout).unwrap(), String::from_utf8(list.stderr).unwrap());
        assert_eq!(said, (Some(1), String::new(), format!("error: {waits}")));
    }
    for what in [&["note", "1", "seen"][..], &["show", "1"]] {
        assert_eq!(ask(book, what).unwrap_err(), (1, format!("error: there is no incident 1 in this book; {waits}")));
    }
}

#[test]
fn people_work_with_a_book_that_nobody_keeps() {
    let folder = tempfile::tempdir().unwrap();
    work(&book(folder.path()), folder.path());
}

#[test]
fn people_work_with_a_book_while_it_is_kept() {
    need_nats!();
    let server = NatsServer::start("").unwrap();
    let url = server.url();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book");
    let book = path.to_str().unwrap().to_owned();
    let mut detect = program();
    detect.args(["detect", "--nats", &url, "--incidents-book", &book]);
    let running = Running::start(&mut detect);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let options = bus::NatsOptions { url: Some(url.parse().unwrap()), ..bus::NatsOptions::default() };
        let bus = Bus::open(&options).await.unwrap();
        let publisher = bus.publisher("alice".parse().unwrap(), Source::Detect);
        // again until it listens: what was published before that is not for it
        for (id, detector, name) in [(1, "D39", "inv_queue"), (2, "D50", "reconstruction")] {
            wait::until("the incident", LONG, || {
                publisher.publish(now(), None, opened(id, detector, name));
                Ok(ask(&book, &["list"]).ok().filter(|list| list.contains(name)))
            })
            .unwrap();
        }
        bus.close().await;
    });
    work_while_kept(&book, folder.path());
    // a second keeper is refused, and the first goes on
    let second = output(&["detect", "--nats", &url, "--incidents-book", &book]);
    let said = String::from_utf8(second.stderr).unwrap();
    assert!(!second.status.success() && said.contains("is in use"), "{said}");
    let (_, errors, status) = running.end(Signal::INT);
    assert!(status.success(), "{errors:#?}");
    assert!(ask(&book, &["show", "1"]).unwrap().contains("note by ben"));
}

/// As above; that a finding was said several times is no matter.
fn work_while_kept(book: &str, folder: &Path) {
    ask(book, &["ack", "1", "--by", "ann"]).unwrap();
    ask(book, &["note", "1", "seen", "--by", "ben"]).unwrap();
    ask(book, &["close", "2"]).unwrap();
    assert_eq!(ask(book, &["close", "2"]).unwrap_err().0, 2);
    assert!(ask(book, &["show", "1"]).unwrap().contains("ann looks at it"));
    let page = folder.join("1.json");
    ask(book, &["export", "1", "--format", "json", "--output", page.to_str().unwrap()]).unwrap();
    let json: Value = serde_json::from_str(&std::fs::read_to_string(page).unwrap()).unwrap();
    assert_eq!(json["incident"]["state"], "acknowledged");
}

/// The next message of a webhook that says this of an incident; heartbeats come in between.
#[track_caller]
fn told(arrivals: &Arrivals<Arrived>, change: &str, limit: Duration) -> Value {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let arrived = arrivals.recv_timeout(left).unwrap_or_else(|_| panic!("nobody said `{change}`"));
        let json = arrived.json();
        if json["change"] == change {
            return json;
        }
    }
}

/// Waits until an Alertmanager has told its own receiver of it.
#[track_caller]
fn routed(arrivals: &Arrivals<Arrived>, severity: &str, status: &str) {
    while !is_told(&arrivals.recv_timeout(LONG).expect("it tells its receiver").json(), severity, status) {}
}

/// What `run` does by itself, once its operator names a book and whom to tell: an attack on a real node is found, becomes an incident, is told
/// to a webhook and to a real Alertmanager, is on the pages with its evidence, and ends when the attacker has gone.
#[cfg(feature = "ebpf")]
#[test]
fn an_attack_on_a_node_is_an_incident_that_people_hear_of_and_that_ends() {
    use testkit::{Node, Peer, attack, node};

    testkit::need_node!();
    if !program::may_trace() {
        return;
    }
    let (hook, arrivals) = http::receiver(|_| OK).unwrap();
    let (operator, calls) = http::receiver(|_| OK).unwrap();
    let Some(alertmanager) = Alertmanager::start(&operator).unwrap() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (book, secret) = (file("book"), file("secret"));
    std::fs::write(&secret, "0123456789abcdef").unwrap();
    let main = Node::start(node::Options::default()).unwrap();
    let mut run = program();
    run.args(["run", "--quiet", "--web-listen", "127.0.0.1:0", "--incidents-book", &book, "--archive", &file("archive")]);
    run.args(["--messages-webhook", &hook, "--messages-webhook-secret-file", &secret]);
    run.args(["--messages-alertmanager", &alertmanager.url(), "--datadir"]).arg(main.datadir());
    let mut running = Running::start(&mut run);
    let pages = running.wait_for_error("the pages", |line| line.contains("serving pages"));
    let pages: SocketAddr = pages.split("http://").nth(1).and_then(|rest| rest.split('/').next()).unwrap().parse().unwrap();
    running.wait_for_error("probes", |line| line.contains("watching the node"));

    let flooder = Peer::connect(main.p2p_address(), &attack::at([127, 0, 1], 2)).unwrap();
    attack::flood_addresses(&flooder, 20, 2).unwrap();
    let begun = Instant::now();
    let opened = told(&arrivals, "opened", LONG);
    println!("told after {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!((&opened["severity"], &opened["state"], &opened["number"]), (&"critical".into(), &"open".into(), &1.into()));
    assert!(opened["title"].as_str().unwrap().starts_with("addr_flood (D01) at name-"), "{opened}");
    assert!(!opened.to_string().contains("127.0.1.2"), "strangers are identifiers in what leaves: {opened}");
    routed(&calls, "critical", "firing");
    wait::until("the alert", LONG, || Ok(alertmanager.up().filter(|up| up.contains(&"Incident critical".to_owned())))).unwrap();
    // on the page, with what was cut out of the archive half a minute later
    let kept = |shown: &Value| shown["evidence"][0]["file"].as_str().is_some_and(|file| !file.is_empty());
    let shown = wait::until("the evidence", 2 * LONG, || Ok(http::get(pages, "/api/incidents/1").filter(kept))).unwrap();
    assert_eq!((&shown["state"], &shown["whole"], &shown["acting"]), (&"open".into(), &true.into(), &"here".into()));
    let slice = format!("{book}.evidence/{}", shown["evidence"][0]["file"].as_str().unwrap());
    let events = tools::archive::open(&[slice.into()], &tools::archive::Selection::default()).unwrap().events();
    let addresses = events.filter(|event| event.as_ref().unwrap().id().unwrap().name().starts_with("net.addr")).count();
    assert!(addresses >= 20, "the evidence holds {addresses} messages of addresses");
    let acted = ask(&book, &["ack", "1", "--by", "ann"]).unwrap();
    assert!(acted.contains("ann looks at it"), "{acted}");
    assert_eq!(told(&arrivals, "somebody looks at it", LONG)["state"], "acknowledged");
    let seen = |shown: &Value| shown["owner"] == "ann";
    wait::until("who looks at it", LONG, || Ok(http::get(pages, "/api/incidents/1").filter(seen))).unwrap();

    // the attacker goes; two quiet minutes later it is over
    drop(flooder);
    let begun = Instant::now();
    let over = told(&arrivals, "resolved", Duration::from_mins(5));
    println!("over after {:.1} s", begun.elapsed().as_secs_f64());
    assert_eq!((&over["number"], &over["state"]), (&1.into(), &"resolved".into()));
    routed(&calls, "critical", "resolved");
    wait::until("no alert", LONG, || Ok(alertmanager.up().filter(|up| up == &["PeerObserverWatches none"]))).unwrap();
    let (_, errors, status) = running.end(Signal::INT);
    assert!(status.success(), "{errors:#?}");
    assert!(ask(&book, &["list", "--state", "resolved"]).unwrap().contains("addr_flood (D01)"));
}

/// Announcements that pile up at a small node: a finding, in a recording.
const STORM: &str = r#"
    about = "announcements pile up"
    length = "16m"
    [population]
    peers = 12
    transactions_per_second = 0.2
    inbound_per_minute = 0.5
    [[ingredient]]
    what = "inv_queue"
    at = "10m"
    lasts = "6m"
"#;

/// What is found in a replay is a part of it: who watches the replay hears it, marked, and nobody else.
#[test]
fn a_replay_wakes_nobody() {
    need_nats!();
    let server = NatsServer::start("").unwrap();
    let url = server.url();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let [live, past] = ["live", "past"].map(file);
    let start = |args: &[&str]| {
        let mut detect = program();
        detect.args(["detect", "--nats", &url]).args(args);
        Running::start(&mut detect)
    };
    let keepers = [start(&["--incidents-book", &live]), start(&["--incidents-book", &past, "--nats-replay", "x2"])];
    for book in [&live, &past] {
        wait::until("a keeper", LONG, || Ok(ask(book, &["list"]).ok())).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let options = bus::NatsOptions { url: Some(url.parse().unwrap()), ..bus::NatsOptions::default() };
        let bus = Bus::open(&options).await.unwrap();
        let replay = bus.of_replay("x2".parse().unwrap());
        let findings = || event::Filter::kinds(event::KindSet::matching("finding").unwrap().iter());
        let mut heard = bus.subscribe(findings(), bus::Limits::default()).await.unwrap();
        let mut replayed = replay.subscribe(findings(), bus::Limits::default()).await.unwrap();
        let events = testkit::synthetic::load(STORM, testkit::synthetic::Run { seed: 5, strength: 1.0 }).unwrap();
        for event in events {
            replay.forward(event).await;
        }
        let found = tokio::time::timeout(LONG, replayed.next()).await.expect("the replay has a finding");
        let Some(bus::Delivery::Event(found)) = found else { panic!("{found:?} in the place of a finding") };
        assert!(found.replay && found.source() == Source::Detect, "{found:?}");
        wait::until("the incident", LONG, || Ok(ask(&past, &["list"]).ok().filter(|list| list.contains("inv_queue")))).unwrap();
        bus.close().await;
        assert_eq!(heard.next().await, None, "live tools hear of it");
    });
    assert_eq!(ask(&live, &["list"]).unwrap(), "no incidents\n");
    let shown: Value = serde_json::from_str(&ask(&past, &["show", "1", "--format", "json"]).unwrap()).unwrap();
    assert_eq!(shown["incident"]["replay"], true, "{shown}");
    for keeper in keepers {
        let (_, errors, status) = keeper.end(Signal::TERM);
        assert!(status.success(), "{errors:#?}");
    }
}

/// Whoever stops a program is not kept waiting by a server that is away.
#[test]
fn a_keeper_ends_though_the_server_is_away() {
    need_nats!();
    let mut server = NatsServer::start("").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let book = folder.path().join("book").to_str().unwrap().to_owned();
    let mut detect = program();
    detect.args(["detect", "--nats", &server.url(), "--incidents-book", &book]);
    let running = Running::start(&mut detect);
    wait::until("the keeper", LONG, || Ok(ask(&book, &["list"]).ok())).unwrap();
    server.stop().unwrap();
    let pid = rustix::process::Pid::from_raw(running.pid().try_into().unwrap()).unwrap();
    let (ended, end) = std::sync::mpsc::channel();
    std::thread::spawn(move || ended.send(running.end(Signal::TERM)));
    let Ok((..)) = end.recv_timeout(LONG) else {
        rustix::process::kill_process(pid, Signal::KILL).unwrap();
        panic!("it does not end");
    };
}

#[test]
fn what_is_wrong_with_a_book_is_a_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("none");
    let (code, said) = ask(absent.to_str().unwrap(), &["list"]).unwrap_err();
    assert!(code == 2 && said.contains("there is no incident book"), "{said}");
    assert!(!absent.exists(), "looking makes no book");
    let diary = folder.path().join("diary");
    std::fs::write(&diary, "dear diary, today was a day like any other").unwrap();
    let (code, said) = ask(diary.to_str().unwrap(), &["list"]).unwrap_err();
    assert!(code == 1 && said.contains("is no incident book") && said.contains("hint: "), "{said}");
    let none = output(&["incidents", "list"]);
    assert_eq!(none.status.code(), Some(2));
    let messages = output(&["detect", "--recording", "x", "--messages-alertmanager", "http://127.0.0.1:1"]);
    let said = String::from_utf8(messages.stderr).unwrap();
    assert!(messages.status.code() == Some(2) && said.contains("need a book"), "{said}");
    let mail = output(&["detect", "--recording", "x", "--messages-mail", "smtps://mail.example"]);
    let said = String::from_utf8(mail.stderr).unwrap();
    assert!(mail.status.code() == Some(2) && said.contains("need a sender\nhint: give `--messages-mail-from"), "{said}");
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64
}
