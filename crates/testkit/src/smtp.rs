//! Mail servers for the length of a test: a real one (`aiosmtpd`, from PyPI), and one that answers as the test wants.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use anyhow::Context as _;
use serde::Deserialize;

use crate::python;
use crate::tls::Certificates;

/// Starts on any port, prints it, then each mail that somebody hands in who logged in; ends when its input does.
const SERVE: &str = r#"
import asyncio, email, email.policy, json, ssl, sys
from aiosmtpd.smtp import SMTP, AuthResult
certificate, key, wrapped, user, password = sys.argv[1:]
wrapped = wrapped == "true"

class Keep:
    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        print(json.dumps({
            "hello": session.host_name,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": [[name.lower(), str(value)] for name, value in mail.items()],
            "text": mail.get_content().replace("\r\n", "\n"),
            "defects": [str(defect) for part in [mail, *mail.values()] for defect in part.defects],
            "raw": envelope.content.decode("latin-1"),
        }), flush=True)
        return "250 OK"

def known(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (user.encode(), password.encode()), handled=False)

async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    def make():
        return SMTP(Keep(), hostname="localhost", loop=loop, authenticator=known, auth_required=True,
                    tls_context=None if wrapped else context, require_starttls=not wrapped, auth_require_tls=not wrapped)
    server = await loop.create_server(make, "127.0.0.1", 0, ssl=context if wrapped else None)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"#;

/// A mail that a real server took, as Python's library reads it.
#[derive(Debug, Deserialize)]
pub struct Mail {
    /// What its sender called itself.
    pub hello: String,
    /// Who sent it.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// Its headers, decoded, the names in lower case.
    pub headers: Vec<(String, String)>,
    /// What it says.
    pub text: String,
    /// What is wrong with it.
    pub defects: Vec<String>,
    /// As it came.
    pub raw: String,
}

impl Mail {
    /// The value of a header; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(header, _)| header == name).map_or("", |(_, value)| value)
    }
}

/// A real mail server; it ends when dropped.
#[derive(Debug)]
pub struct Smtp {
    child: Child,
    port: u16,
    mails: Receiver<Mail>,
}

impl Smtp {
    /// One that knows a user and a password. `wrapped`: encrypted from the start; otherwise with STARTTLS, before which it takes nothing.
    /// `None`, said visibly, where it cannot be had. `folder` is where it is installed (`CARGO_TARGET_TMPDIR`).
    pub fn start(certificates: &Certificates, wrapped: bool, login: [&str; 2], folder: &Path) -> anyhow::Result<Option<Smtp>> {
        let Some(python) = python::with(&[("aiosmtpd", "aiosmtpd>=1.4")], folder) else { return Ok(None) };
        let mut command = Command::new(python);
        command.args(["-c", SERVE]).args([certificates.certificate(), certificates.key()]);
        command.arg(wrapped.to_string()).args(login);
        let (sender, mails) = channel();
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut smtp = Smtp { child: child.context("failed to run Python")?, port: 0, mails };
        let mut lines = BufReader::new(smtp.child.stdout.take().context("stdout was asked for")?).lines();
        let line = lines.next().context("aiosmtpd said nothing")??;
        smtp.port = line.trim().parse().with_context(|| format!("aiosmtpd said `{line}` instead of its port"))?;
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // who does not wait for it, or cannot read it, misses it and says so
                let Ok(mail) = serde_json::from_str(&line) else { break };
                if sender.send(mail).is_err() {
                    break;
                }
            }
        });
        Ok(Some(smtp))
    }

    /// Where it listens, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it takes.
    pub fn mails(&self) -> &Receiver<Mail> {
        &self.mails
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        // nobody is left to tell of a failure
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A mail server that answers what a client says, line by line, with what `answer` makes of it, and greets with what that makes of an
/// empty line; where that is empty, with nothing. Its address, and every line that it is told.
pub fn server(answer: impl Fn(&str) -> String + Send + Sync + 'static) -> anyhow::Result<(SocketAddr, Receiver<String>)> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let (heard, lines) = channel();
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (answer, heard) = (Arc::clone(&answer), heard.clone());
            // who breaks off has said what it wanted
            std::thread::spawn(move || converse(stream, &*answer, &heard));
        }
    });
    Ok((address, lines))
}

fn converse(stream: TcpStream, answer: &dyn Fn(&str) -> String, heard: &Sender<String>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    reader.get_mut().write_all(answer("").as_bytes()).ok()?;
    let mut within = false;
    let mut line = String::new();
    while reader.read_line(&mut line).ok()? > 0 {
        let text = line.trim_end_matches("\r\n");
        // before the answer: who has one finds it here
        heard.send(text.to_owned()).ok()?;
        if !within || text == "." {
            let answer = answer(text);
            // a mail is many lines, and the last has the next answer
            within = answer.starts_with("354");
            reader.get_mut().write_all(answer.as_bytes()).ok()?;
        }
        line.clear();
    }
    Some(())
}
