//! Certificates for a server that a test runs.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;

/// A certificate authority of the test's own, and a server certificate from it for 127.0.0.1 and `localhost`.
///
/// Made by the `openssl` program (3.0 or newer), which comes with every Debian that can reach https: a crate would
/// only serve these tests.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
}

impl Certificates {
    /// Makes both, with new keys.
    pub fn generate() -> anyhow::Result<Certificates> {
        let folder = tempfile::Builder::new().prefix("testkit-tls-").tempdir()?;
        let certificates = Certificates { folder };
        fs::write(certificates.path("openssl.cnf"), OPENSSL_CONFIG)?;
        certificates.request("ca", "/CN=testkit authority", &[])?;
        let authority = [certificates.authority(), certificates.path("ca.key")];
        certificates.request("server", "/CN=localhost", &authority)?;
        Ok(certificates)
    }

    /// The authority's certificate (PEM): what a client trusts.
    pub fn authority(&self) -> PathBuf {
        self.path("ca.pem")
    }

    /// The server's certificate (PEM).
    pub fn certificate(&self) -> PathBuf {
        self.path("server.pem")
    }

    /// The server's private key (PEM).
    pub fn key(&self) -> PathBuf {
        self.path("server.key")
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn request(&self, name: &str, subject: &str, issuer: &[PathBuf]) -> anyhow::Result<()> {
        let [cert, key] = [self.path(&format!("{name}.pem")), self.path(&format!("{name}.key"))];
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc"]);
        command.args(["-days", "2", "-subj", subject, "-extensions", name]);
        command.arg("-config").arg(self.path("openssl.cnf"));
        command.arg("-keyout").arg(&key).arg("-out").arg(&cert);
        if let [authority, authority_key] = issuer {
            command.arg("-CA").arg(authority).arg("-CAkey").arg(authority_key);
        }
        let output = command.output().context("failed to run openssl (package `openssl`)")?;
        ensure!(output.status.success(), "openssl failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
        Ok(())
    }
}

const OPENSSL_CONFIG: &str = "\
[req]
distinguished_name = name
[name]
[ca]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
";
