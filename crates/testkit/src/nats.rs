//! A real nats-server for the length of a test.

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::tls::Certificates;
use crate::wait;

/// Debian installs it where the PATH of ordinary users does not reach.
const ALSO: &[&str] = &["/usr/sbin", "/usr/local/sbin"];

/// Log lines kept for the message of a failure.
const LOG_LINES: usize = 1000;

/// A running (or stopped) nats-server; it ends when dropped.
#[derive(Debug)]
pub struct NatsServer {
    folder: TempDir,
    address: SocketAddr,
    log: Arc<Mutex<VecDeque<String>>>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Ends with the server, when all that it said has been kept.
    reader: JoinHandle<()>,
}

impl NatsServer {
    /// Whether there is a nats-server to run.
    pub fn available() -> bool {
        crate::executable("nats-server", ALSO).is_some()
    }

    /// Starts a server on a free port of 127.0.0.1 and waits until it greets.
    ///
    /// `config` is the text of a configuration file, empty for an unmodified server; it leaves out where to listen.
    pub fn start(config: &str) -> anyhow::Result<NatsServer> {
        let folder = tempfile::Builder::new().prefix("testkit-nats-").tempdir()?;
        fs::write(folder.path().join("server.conf"), config)?;
        // below those that the system gives out itself: nobody takes it while the server is away
        let address = crate::node::free_port(Ipv4Addr::LOCALHOST)?;
        let mut server = NatsServer { folder, address, log: Arc::default(), running: None };
        for attempt in 1.. {
            match server.start_again() {
                Err(error) if attempt < 5 && format!("{error:#}").contains("address already in use") => {
                    server.address = crate::node::free_port(Ipv4Addr::LOCALHOST)?;
                }
                started => {
                    started?;
                    break;
                }
            }
        }
        Ok(server)
    }

    /// Starts a stopped server again, on the same port and with the same configuration.
    pub fn start_again(&mut self) -> anyhow::Result<()> {
        ensure!(self.running.is_none(), "nats-server is running");
        let executable = crate::executable("nats-server", ALSO).context("no nats-server on PATH")?;
        let mut child = Command::new(&executable)
            .arg("-c")
            .arg(self.folder.path().join("server.conf"))
            .args(["-a", "127.0.0.1", "-p", &self.address.port().to_string()])
            .arg("--store_dir")
            .arg(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to run {}", executable.display()))?;
        let stderr = child.stderr.take().context("stderr was asked for")?;
        self.lines().clear();
        let reader = keep_lines(stderr, Arc::clone(&self.log))?;
        self.running = Some(Running { child, reader });
        self.wait_until_ready().or_else(|error| {
            self.kill()?;
            Err(error.context(format!("nats-server did not start:\n{}", self.log().trim_end())))
        })
    }

    /// Asks the server to end, and waits for it.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.end(Signal::TERM)
    }

    /// Ends the server at once.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.end(Signal::KILL)
    }

    /// [`NatsServer::stop`] and [`NatsServer::start_again`].
    pub fn restart(&mut self) -> anyhow::Result<()> {
        self.stop()?;
        self.start_again()
    }

    /// Freezes the server: connections stay open and nothing moves.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP)?;
        let tasks = format!("/proc/{}/task", self.pid().context("nats-server is not running")?);
        wait::until("nats-server to stand still", wait::LONG, || {
            for task in fs::read_dir(&tasks)? {
                let stat = fs::read_to_string(task?.path().join("stat"))?;
                if !stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
    }

    /// Undoes [`NatsServer::pause`].
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Replaces the configuration file and makes the server read it.
    pub fn reload(&self, config: &str) -> anyhow::Result<()> {
        fs::write(self.folder.path().join("server.conf"), config)?;
        self.signal(Signal::HUP)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a client takes it: `nats://127.0.0.1:…`.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// The process, absent while the server is stopped.
    pub fn pid(&self) -> Option<u32> {
        self.running.as_ref().map(|running| running.child.id())
    }

    /// The last lines that the server logged since it was last started.
    pub fn log(&self) -> String {
        self.lines().iter().map(|line| format!("{line}\n")).collect()
    }

    /// Reads the greeting that the server sends to every client: name, limits, whether it wants TLS or a password.
    pub fn info(&self) -> anyhow::Result<Value> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(wait::LONG))?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line)?;
        let json = line.strip_prefix("INFO ").with_context(|| format!("not a NATS greeting: `{}`", line.trim_end()))?;
        Ok(serde_json::from_str(json)?)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        wait::until("nats-server to listen", wait::LONG, || {
            let running = self.running.as_mut().context("nats-server is not running")?;
            if let Some(status) = running.child.try_wait()? {
                bail!("it ended with {status}");
            }
            Ok(self.log().lines().find_map(listening_on))
        })?;
        self.info()?;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.pid().context("nats-server is not running")?;
        kill_process(Pid::from_raw(pid as i32).context("a process has an id")?, signal)?;
        Ok(())
    }

    fn end(&mut self, signal: Signal) -> anyhow::Result<()> {
        let Some(running) = &mut self.running else {
            return Ok(());
        };
        if running.child.try_wait()?.is_none() {
            self.signal(signal)?;
            // a frozen server hears SIGTERM only when it runs
            self.resume()?;
        }
        if let Some(mut running) = self.running.take() {
            running.child.wait()?;
            let _ = running.reader.join();
        }
        Ok(())
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.log.lock().expect("nothing panics with the log locked")
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if thread::panicking() && self.running.is_some() {
            eprintln!("log of nats-server:\n{}", self.log());
        }
        // nobody is left to tell of a failure
        let _ = self.kill();
    }
}

/// The part of a configuration that makes the server insist on TLS.
pub fn tls_config(certificates: &Certificates) -> String {
    let [certificate, key] = [certificates.certificate(), certificates.key()].map(|path| path.display().to_string());
    format!("tls {{ cert_file: {certificate:?}, key_file: {key:?} }}\n")
}

fn keep_lines(from: impl Read + Send + 'static, log: Arc<Mutex<VecDeque<String>>>) -> anyhow::Result<JoinHandle<()>> {
    let reader = thread::Builder::new().name("nats-log".to_owned()).spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            let mut lines = log.lock().expect("nothing panics with the log locked");
            if lines.len() == LOG_LINES {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    })?;
    Ok(reader)
}

fn listening_on(line: &str) -> Option<SocketAddr> {
    line.split_once("Listening for client connections on ")?.1.trim().parse().ok()
}
