//! Mails: to a real server, encrypted and with a password, and to one that does not take all of them.

use std::sync::mpsc::Receiver;

use bus::Subscription;
use event::IncidentDelivered;
use testkit::smtp::{self, Mail};
use testkit::{Smtp, tls};
use tools::messages::Incomplete;

use super::*;

const LOGIN: [&str; 2] = ["observer", "häsh hush"];

fn config(server: &str, to: &[&str], folder: &Path) -> messages::Config {
    let password = folder.join("password");
    std::fs::write(&password, format!("{}\n", LOGIN[1])).unwrap();
    messages::Config {
        messages_mail: Some(server.parse().unwrap()),
        messages_mail_from: Some("observer@example.org".parse().unwrap()),
        messages_mail_to: to.iter().map(|address| address.parse().unwrap()).collect(),
        messages_mail_user: Some(LOGIN[0].to_owned()),
        messages_mail_password_file: Some(password),
        ..super::config(&[], &[], &[], folder)
    }
}

/// So many mails, by whom they are for.
fn mails(server: &Smtp, count: usize) -> Vec<Mail> {
    let next = |_| server.mails().recv_timeout(LONG).expect("a mail");
    let mut mails: Vec<Mail> = tokio::task::block_in_place(|| (0..count).map(next).collect());
    mails.sort_by(|one, other| one.to.cmp(&other.to));
    mails
}

async fn real(wrapped: bool) {
    let certificates = tls::Certificates::generate().unwrap();
    let start = || Smtp::start(&certificates, wrapped, LOGIN, Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let Some(server) = tokio::task::block_in_place(start) else { return };
    let url = format!("{}://127.0.0.1:{}", if wrapped { "smtps" } else { "smtp" }, server.port());
    let folder = tempfile::tempdir().unwrap();
    let config = config(&url, &["ann@example.org", "bob@example.net"], folder.path());
    // an authority that nobody knows: it is told nothing
    let world = World::new(folder, config.clone(), QUICK).await;
    world.findings.publish(START, None, opened(1, "D39"));
    let error = trouble(&world).await;
    assert!(error.starts_with(&format!("failed to trust {url}: ")) && error.contains("UnknownIssuer"), "{error}");
    let folder = world.end().await;

    let known = messages::Config { messages_ca_file: Some(certificates.authority()), ..config.clone() };
    let world = World::new(folder, known.clone(), QUICK).await;
    let first = mails(&server, 2);
    for (mail, to) in first.iter().zip(["ann@example.org", "bob@example.net"]) {
        assert_eq!((mail.from.as_str(), mail.to.as_slice(), mail.header("to")), ("observer@example.org", &[to.to_owned()][..], to));
        assert!(mail.header("subject").starts_with("[WARN] incident 1 "), "{mail:?}");
        assert!(mail.header("subject").contains(": inv_queue (D39) at name-"), "{mail:?}");
        assert_eq!((mail.header("auto-submitted"), mail.header("from")), ("auto-generated", "observer@example.org"));
        assert!(
            mail.text.contains("What it does not prove: ") && mail.text.ends_with("peer-observer incidents show 1\n"),
            "{mail:?}"
        );
        assert_eq!((mail.hello.as_str(), mail.defects.as_slice()), ("example.org", &[][..]));
        for text in [&mail.raw, &mail.text, &format!("{:?}", mail.headers)] {
            assert!(!text.contains(NODE) && !text.contains("203.0.113"), "{text}");
        }
    }
    // it ends, in the same thread
    world.findings.publish(START + SECOND, None, cleared(1, "D39"));
    world.findings.beat(START + 500 * SECOND, None, 0, None, None);
    let last = mails(&server, 2);
    for (first, last) in first.iter().zip(&last) {
        assert!(last.header("subject").starts_with("[WARN] incident 1 resolved: "), "{last:?}");
        assert_eq!((first.to.as_slice(), first.header("references")), (last.to.as_slice(), last.header("references")));
        assert_eq!(
            (first.header("in-reply-to"), last.header("in-reply-to")),
            (first.header("references"), first.header("references"))
        );
        assert!(first.header("references").starts_with("<incident-1.") && first.header("message-id") != last.header("message-id"));
    }
    // one that does not know us
    std::fs::write(config.messages_mail_password_file.as_ref().unwrap(), "another").unwrap();
    let folder = world.end().await;
    let world = World::new(folder, known, QUICK).await;
    world.findings.publish(START + 1_000 * SECOND, None, opened(2, "D39"));
    let error = trouble(&world).await;
    assert!(error.starts_with(&format!("{url} answered 535: ")), "{error}");
    world.end().await;
    assert_eq!(server.mails().try_iter().count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_takes_them_with_starttls() {
    real(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_server_takes_them_over_tls() {
    real(true).await;
}

/// A world whose server answers so to the lines of a mail, and how it goes.
async fn world(answer: impl Fn(&str) -> Option<&'static str> + Send + Sync + 'static) -> (World, Subscription, Receiver<String>) {
    let (address, heard) = smtp::server(move |line| match (answer(line), line.split(' ').next().unwrap_or_default()) {
        (Some(answer), _) => answer.to_owned(),
        (None, "") => "220 fake\r\n".to_owned(),
        (None, "DATA") => "354 go on\r\n".to_owned(),
        (None, _) => "250 fine\r\n".to_owned(),
    })
    .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = messages::Config {
        messages_mail_user: None,
        messages_mail_password_file: None,
        ..config(&format!("smtp+plain://{address}"), &["ann@example.org", "bob@example.net"], folder.path())
    };
    let world = World::new(folder, config, QUICK).await;
    let said = world.bus.subscribe(Filter::kinds([KindId::IncidentDelivered]), Limits::default()).await.unwrap();
    world.findings.publish(START, None, opened(1, "D39"));
    (world, said, heard)
}

/// The first that fits, of the receiver at this place.
async fn first(said: &mut Subscription, place: u32, fits: impl Fn(&IncidentDelivered) -> bool) -> IncidentDelivered {
    loop {
        let Ok(Some(Delivery::Event(event))) = tokio::time::timeout(LONG, said.next()).await else { panic!("it says so") };
        if let Some(Kind::IncidentDelivered(said)) = &event.kind
            && said.place == place
            && fits(said)
        {
            return said.clone();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mail_that_is_put_off_is_handed_in_again() {
    let asked = AtomicUsize::new(0);
    let later = move |line: &str| {
        let later = line == "RCPT TO:<ann@example.org>" && asked.fetch_add(1, Ordering::Relaxed) < 3;
        later.then_some("451 4.7.1 try again later\r\n")
    };
    let (world, mut said, heard) = world(later).await;
    let total = first(&mut said, 0, |said| said.sent == 1).await;
    assert_eq!((total.receiver.as_str(), total.failed, total.refused, total.waiting, total.error), ("mail", 3, 0, 0, None));
    world.end().await;
    let ends = heard.try_iter().filter(|line| line == "From: observer@example.org").count();
    assert_eq!(ends, 2, "one for each, and none twice");
}

/// One address that is wrong keeps nobody else from being told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_that_is_refused_is_given_up_alone() {
    let (world, mut said, heard) = world(|line| (line == "RCPT TO:<ann@example.org>").then_some("550 5.1.1 nobody here\r\n")).await;
    let ann = first(&mut said, 0, |said| said.refused == 1).await;
    assert_eq!((ann.failed, ann.sent, ann.waiting), (3, 0, 0));
    assert!(ann.error.as_deref().unwrap_or_default().ends_with(" answered 550: 5.1.1 nobody here"), "{ann:?}");
    world.end().await;
    let heard: Vec<String> = heard.try_iter().collect();
    assert_eq!(heard.iter().filter(|line| *line == "RCPT TO:<ann@example.org>").count(), 3);
    assert_eq!(heard.iter().filter(|line| *line == "To: bob@example.net").count(), 1);
}

/// It takes the connection and says nothing: a mail would wait for it for half a minute.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_does_not_hold_up_the_end_and_the_next_start_tells() {
    let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smtp+plain://{}", server.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let config = messages::Config {
        messages_mail_user: None,
        messages_mail_password_file: None,
        ..config(&url, &["ann@example.org"], folder.path())
    };
    let dialled = || async { tokio::time::timeout(LONG, server.accept()).await.expect("a mail is brought").unwrap() };
    let world = World::new(folder, config.clone(), Rhythm { end: Duration::from_millis(200), ..QUICK }).await;
    let mut said = world.bus.subscribe(Filter::kinds([KindId::IncidentDelivered]), Limits::default()).await.unwrap();
    world.findings.publish(START, None, opened(1, "D39"));
    let _hanging = dialled().await;
    let begin = Instant::now();
    let folder = world.end().await;
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let total = first(&mut said, 0, |said| said.waiting == 1).await;
    assert_eq!((total.sent, total.failed, total.refused, total.dropped), (0, 0, 0, 0), "it was cut short, which is no failure");
    let world = World::new(folder, config, Rhythm { end: Duration::ZERO, ..QUICK }).await;
    let _hanging = dialled().await;
    world.end().await;
}

#[test]
fn what_is_missing_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let whole = config("smtps://mail.example", &["ann@example.org"], folder.path());
    assert!(!whole.receivers().unwrap().is_empty());
    let check = |change: &dyn Fn(&mut messages::Config), problem: &str, hint: &str| {
        let mut config = whole.clone();
        change(&mut config);
        let error = config.receivers().err().unwrap().downcast::<Incomplete>().unwrap();
        assert!(error.to_string().contains(problem) && error.hint.contains(hint), "{error}: {}", error.hint);
    };
    check(&|config| config.messages_mail = None, "need a server", "--messages-mail smtps://HOST");
    check(&|config| config.messages_mail_from = None, "need a sender", "--messages-mail-from");
    check(&|config| config.messages_mail_to.clear(), "need somebody who gets them", "--messages-mail-to");
    check(&|config| config.messages_mail_password_file = None, "needs a password", "--messages-mail-password-file");
    check(&|config| config.messages_mail_user = None, "whose is the password", "--messages-mail-user");
    let plain = |config: &mut messages::Config| config.messages_mail = Some("smtp+plain://mail.example".parse().unwrap());
    check(&plain, "a password would go to smtp+plain://mail.example:25 in the clear", "`smtps://`");
    let here = messages::Config { messages_mail: Some("smtp+plain://localhost".parse().unwrap()), ..whole.clone() };
    assert!(!here.receivers().unwrap().is_empty());
    let absent = messages::Config { messages_mail_password_file: Some(folder.path().join("none")), ..whole };
    assert!(format!("{:#}", absent.receivers().err().unwrap()).starts_with("failed to read the secret "));
}
