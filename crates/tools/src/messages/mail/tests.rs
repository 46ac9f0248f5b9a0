//! What a mail looks like whatever is in it, and servers that do not take one.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tokio::io::{AsyncWriteExt as _, join, sink};

use super::*;

const NOW: u64 = 1_750_000_000_000_000_000;

fn letter(title: &str, paragraph: &str) -> Letter {
    let incident = event::Incident { number: 17, revision: 3, ..Default::default() };
    Letter {
        number: 17,
        revision: 3,
        book: "0011223344556677".into(),
        change: "opened",
        title: title.into(),
        paragraphs: vec![("What", paragraph.into())],
        incident,
        refusals: 0,
    }
}

fn mailbox(server: &str) -> Mailbox {
    let [from, to] = ["observer@example.org", "ann@example.org"].map(|address| address.parse().unwrap());
    Mailbox { server: server.parse().unwrap(), from, to, login: None }
}

fn written(title: &str, paragraph: &str) -> String {
    String::from_utf8(mailbox("smtps://localhost").mail(&letter(title, paragraph), NOW).unwrap().formatted()).unwrap()
}

#[test]
fn a_mail_is_this() {
    expect_test::expect![[r#"
        From: observer@example.org
        To: ann@example.org
        Subject: [UNSPECIFIED] incident 17 opened: inv_queue (D39) at name-1
        Date: Sun, 15 Jun 2025 15:06:40 +0000
        Message-ID: <incident-17.3.0011223344556677@example.org>
        In-Reply-To: <incident-17.0011223344556677@example.org>
        References: <incident-17.0011223344556677@example.org>
        Auto-Submitted: auto-generated
        MIME-Version: 1.0
        Content-Type: text/plain; charset=utf-8
        Content-Transfer-Encoding: 7bit

        What: it waits

        peer-observer incidents show 17"#]]
    .assert_eq(&written("inv_queue (D39) at name-1", "it waits").replace("\r\n", "\n"));
}

#[test]
fn nothing_that_a_reader_would_decode_is_in_a_subject() {
    assert_eq!(subject("a =?utf-8?q?=0ABcc:?= b"), "a = ?utf-8?q?=0ABcc:?= b");
    assert_eq!(subject(" a\r\nBcc: eve \t b"), "a\\u{d}\\u{a}Bcc: eve \\u{9} b");
    assert_eq!(subject(&"ä".repeat(999)).chars().count(), SUBJECT);
}

proptest! {
    /// Whatever a stranger chose: the headers are those that we write, each once, in lines that every server takes.
    #[test]
    fn no_text_makes_a_header(title in any::<String>(), more in "[ -~\r\n\t]{0,1200}", paragraph in any::<String>(), long in "[a-z=?. \r\n]{0,3000}") {
        let mail = written(&format!("{title}{more}"), &format!("{paragraph}{long}"));
        prop_assert!(mail.is_ascii());
        for line in mail.split("\r\n") {
            prop_assert!(line.len() <= 998 && !line.contains(['\r', '\n', '\0']), "{line:?}");
        }
        let (head, _) = mail.split_once("\r\n\r\n").unwrap();
        let (mut names, mut lines) = (BTreeSet::new(), 0);
        for line in head.split("\r\n").filter(|line| !line.starts_with(' ')) {
            names.insert(line.split_once(": ").unwrap().0);
            lines += 1;
        }
        let ours = [
            "Auto-Submitted", "Content-Transfer-Encoding", "Content-Type", "Date", "From", "In-Reply-To", "MIME-Version", "Message-ID",
            "References", "Subject", "To",
        ];
        prop_assert_eq!(names.into_iter().collect::<Vec<_>>(), ours);
        prop_assert_eq!(lines, ours.len());
    }

    /// No answers make it panic, and no more than so much of them is read.
    #[test]
    fn no_answers_make_it_panic(pieces in proptest::collection::vec(prop_oneof![
        "[2345][0-9]{2}[ -][ -~]{0,40}\r\n", Just("250-STARTTLS\r\n250 AUTH PLAIN\r\n".to_owned()), any::<String>(),
    ], 0..12)) {
        let answers = pieces.concat().into_bytes();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let ours = mailbox("smtp+plain://localhost");
            let mail = ours.mail(&letter("", ""), NOW).unwrap();
            if let Ok(mut connection) = ours.meet(Line::new(join(std::io::Cursor::new(answers), sink()))).await {
                let login = Credentials::new("user".into(), "password".into());
                let _ = connection.auth(DEFAULT_MECHANISMS, &login).await;
                if let Err(error) = connection.send(mail.envelope(), &mail.formatted()).await {
                    assert!(ours.said(&error, true).to_string().chars().count() < 4_000);
                }
            }
        });
    }
}

/// Answers as a server does that takes everything.
fn fine(line: &str) -> &'static str {
    match line.split(' ').next().unwrap_or_default() {
        "" => "220 fake\r\n",
        "EHLO" => "250-fake\r\n250 AUTH PLAIN\r\n",
        "AUTH" => "235 welcome\r\n",
        "DATA" => "354 go on\r\n",
        "QUIT" => "221 bye\r\n",
        _ => "250 fine\r\n",
    }
}

/// Delivers to a server that answers so; what came of it, and what the server heard.
async fn delivered(scheme: &str, login: bool, answer: fn(&str) -> String) -> (Result<(), SendError>, Vec<String>) {
    let (address, heard) = testkit::smtp::server(answer).unwrap();
    let mut mailbox = mailbox(&format!("{scheme}://{address}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "hush").unwrap();
    mailbox.login = login.then(|| ("ann".to_owned(), Secret::password(&file).unwrap()));
    let trust = Trust::of_the_system_and(vec![]).unwrap();
    let done = mailbox.deliver(&trust, &letter("a title", "a text"), NOW).await;
    (done, heard.try_iter().collect())
}

#[tokio::test]
async fn a_server_that_takes_it_has_heard_this() {
    let (done, heard) = delivered("smtp+plain", true, |line| fine(line).to_owned()).await;
    done.unwrap();
    let commands = heard.iter().map(String::as_str).filter(|line| line.starts_with("MAIL") || line.starts_with("RCPT"));
    let commands: Vec<&str> = commands.collect();
    assert_eq!(commands, ["MAIL FROM:<observer@example.org>", "RCPT TO:<ann@example.org>"], "{heard:#?}");
    assert_eq!(heard[0], "EHLO example.org", "and not the name of this machine");
    assert!(heard.contains(&"Subject: [UNSPECIFIED] incident 17 opened: a title".to_owned()), "{heard:#?}");
    assert_eq!(heard[1], "AUTH PLAIN AGFubgBodXNo");
}

/// What it says and what is to be done, and whether it is final.
async fn refused(login: bool, answer: fn(&str) -> String) -> (String, bool) {
    let (done, _) = delivered("smtp+plain", login, answer).await;
    let error = done.unwrap_err();
    let said = error.to_string();
    (said.split_once(" answered ").map_or(said.clone(), |(_, said)| said.to_owned()), error.is_final())
}

#[tokio::test]
async fn what_is_refused_for_good_is_told_from_what_is_not() {
    let answer = |line: &str| if line.starts_with("RCPT") { "550 5.1.1 nobody\r\n".into() } else { fine(line).to_owned() };
    assert_eq!(refused(false, answer).await, ("550: 5.1.1 nobody".into(), true));
    let answer = |line: &str| if line == "." { "554-no\r\n554 \u{1b}[2Jthanks\r\n".into() } else { fine(line).to_owned() };
    let (said, last) = refused(false, answer).await;
    assert!(last && said.starts_with("554: no") && !said.contains(char::is_control), "{said}");
    let answer = |line: &str| if line.starts_with("RCPT") { "451 greylisted\r\n".into() } else { fine(line).to_owned() };
    assert_eq!(refused(false, answer).await, ("451: greylisted".into(), false));
    // who it is from can be mended
    let answer = |line: &str| if line.starts_with("MAIL") { "530 log in\r\n".into() } else { fine(line).to_owned() };
    assert_eq!(refused(false, answer).await, ("530: log in".into(), false));
    let answer = |line: &str| if line.starts_with("AUTH") { "535 wrong\r\n".into() } else { fine(line).to_owned() };
    assert_eq!(refused(true, answer).await, ("535: wrong".into(), false));
    let answer = |line: &str| if line.is_empty() { "554 go away\r\n".into() } else { fine(line).to_owned() };
    assert_eq!(refused(false, answer).await, ("554: go away".into(), false));
}

#[tokio::test]
async fn a_server_that_has_the_mail_may_go_away() {
    let answer = |line: &str| if line == "QUIT" { String::new() } else { fine(line).to_owned() };
    delivered("smtp+plain", false, answer).await.0.unwrap();
}

#[tokio::test]
async fn a_password_is_said_to_nobody_who_does_not_ask_for_it_under_encryption() {
    for scheme in ["smtp", "smtps"] {
        let (done, heard) = delivered(scheme, true, |line| fine(line).to_owned()).await;
        let error = done.unwrap_err();
        assert!(!error.is_final(), "{error}");
        let heard = heard.join("\n");
        assert!(!heard.contains("AUTH") && !heard.contains("MAIL") && !heard.contains("hush"), "{error}: {heard}");
        assert_eq!(matches!(error, SendError::Clear { .. }), scheme == "smtp", "{error}");
    }
    let (done, heard) = delivered("smtp+plain", true, |line| fine(line).replace("AUTH PLAIN", "HELP")).await;
    let error = done.unwrap_err().to_string();
    assert!(error.ends_with("it offers neither PLAIN nor LOGIN"), "{error}");
    assert_eq!(heard, ["EHLO example.org"]);
}

/// Somebody on the way says more in the clear than was asked: answers for later.
#[tokio::test]
async fn nothing_that_was_said_in_the_clear_counts_later() {
    let answer = |line: &str| match line {
        "STARTTLS" => "220 go on\r\n250-fake\r\n250 AUTH PLAIN\r\n235 welcome\r\n250 a\r\n250 b\r\n354 c\r\n250 d\r\n".into(),
        line => fine(line).replace("AUTH PLAIN", "STARTTLS"),
    };
    let (done, heard) = delivered("smtp", true, answer).await;
    let error = done.unwrap_err().to_string();
    assert!(error.starts_with("failed to trust smtp://"), "{error}");
    assert_eq!(heard[..2], ["EHLO example.org", "STARTTLS"]);
    assert!(!heard.concat().contains("hush"));
}

#[tokio::test]
async fn nonsense_is_a_sentence() {
    for greeting in ["I am no mail server\r\n", "\r\n", "999 what\r\n", "HTTP/1.1 400 Bad Request\r\n"] {
        let (address, _heard) = testkit::smtp::server(move |_| greeting.to_owned()).unwrap();
        let trust = Trust::of_the_system_and(vec![]).unwrap();
        let error = mailbox(&format!("smtp+plain://{address}")).deliver(&trust, &letter("", ""), NOW).await.unwrap_err();
        let said = error.to_string();
        assert!(said.starts_with(&format!("failed to speak with smtp+plain://{address}: ")) && said.len() < 400, "{said}");
        assert!(!error.is_final());
    }
}

/// A server that talks and talks: so much of it is read, and no more.
#[tokio::test]
async fn an_endless_answer_has_an_end() {
    for piece in ["220-more\r\n", "220 no line ends here"] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let talking = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // until the other side has had enough
            while stream.write_all(piece.repeat(100).as_bytes()).await.is_ok() {}
        });
        let trust = Trust::of_the_system_and(vec![]).unwrap();
        let error = mailbox(&format!("smtp+plain://{address}")).deliver(&trust, &letter("", ""), NOW).await.unwrap_err();
        assert!(error.to_string().ends_with("it says too much"), "{error}");
        talking.await.unwrap();
    }
}

/// The clock goes on by itself where nothing else does.
#[tokio::test(start_paused = true)]
async fn silence_has_an_end() {
    for scheme in ["smtp", "smtps", "smtp+plain"] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("{scheme}://{}", listener.local_addr().unwrap());
        let trust = Trust::of_the_system_and(vec![]).unwrap();
        let begun = tokio::time::Instant::now();
        let error = mailbox(&server).deliver(&trust, &letter("", ""), NOW).await.unwrap_err();
        assert_eq!(error.to_string(), format!("{server} did not answer within 30 s"));
        assert_eq!(begun.elapsed().as_secs(), PATIENCE.as_secs());
    }
}
