//! A store of S3's kind for the length of a test: `moto`, from PyPI.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, ensure};

use crate::{python, wait};

/// The bucket that there is.
pub const BUCKET: &str = "bucket";

/// Starts on any port, prints it, ends when its input does.
const SERVE: &str = r#"
import logging, sys
logging.getLogger("werkzeug").disabled = True
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
server.stop()
"#;

/// A running store; it ends, and forgets, when dropped.
#[derive(Debug)]
pub struct Moto {
    child: Child,
    endpoint: String,
}

impl Moto {
    /// With an empty bucket, [`BUCKET`]; `None`, said visibly, where it cannot be had. `folder` is where it is installed
    /// (`CARGO_TARGET_TMPDIR`).
    pub fn start(folder: &Path) -> anyhow::Result<Option<Moto>> {
        let Some(python) = python::with(&[("moto.server", "moto[s3,server]>=5")], folder) else { return Ok(None) };
        let mut command = Command::new(python);
        command.args(["-c", SERVE]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut moto = Moto { child: command.spawn().context("failed to run Python")?, endpoint: String::new() };
        let mut line = String::new();
        BufReader::new(moto.child.stdout.take().context("stdout was asked for")?).read_line(&mut line)?;
        let port: u16 = line.trim().parse().with_context(|| format!("moto said `{}` instead of its port", line.trim()))?;
        moto.endpoint = format!("http://127.0.0.1:{port}");
        let answer = make_bucket(port).context("failed to make a bucket")?;
        ensure!(answer.contains(" 200 "), "moto makes no bucket: {answer}");
        Ok(Some(moto))
    }

    /// Where it listens: `http://127.0.0.1:…`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        // nobody is left to tell of a failure
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file of credentials in `folder`: any will do.
pub fn credentials(folder: &Path) -> io::Result<PathBuf> {
    let file = folder.join("credentials");
    fs::write(&file, "[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = hush-hush\n")?;
    Ok(file)
}

fn make_bucket(port: u16) -> io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(wait::LONG))?;
    write!(stream, "PUT /{BUCKET} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}
