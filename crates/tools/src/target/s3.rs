//! A bucket of an S3-compatible store.
//!
//! Signing, credentials and retries are `object_store`'s; the connection is ours: one, over the TLS that the bus uses, too. Large files go
//! and come in parts, so that memory is bounded and a broken connection costs one part. Every answer has an end in time and in length:
//! whatever answers may be no store.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use object_store::aws::{AmazonS3, AmazonS3Builder, Checksum as Algorithm};
use object_store::path::Path as Key;
use object_store::{BackoffConfig, MultipartUpload as _, ObjectStoreExt as _, PutPayload, RetryConfig};
use tokio::runtime::Runtime;

use super::{Checksum, Summing, TargetError, differs};

mod connection;

/// Files are sent and read back in parts of so many bytes. S3 wants 5 MiB at least; files of 10,000 parts are the largest.
const PART: usize = 8 << 20;

/// How to reach a store.
///
/// There is no flag for a secret: it would stand in the list of processes.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Where the S3-compatible store is: `https://s3.example.org` [default: AWS, or AWS_ENDPOINT_URL]
    ///
    /// Plain `http://` is for stores on this machine or in a network that nobody else is in: data goes as it is.
    #[arg(long, value_name = "URL")]
    pub s3_endpoint: Option<String>,

    /// Its region [default: us-east-1, or AWS_REGION]
    #[arg(long, value_name = "NAME")]
    pub s3_region: Option<String>,

    /// Read the credentials from this file, in the form of `~/.aws/credentials`
    ///
    /// Its profile `default`, or the one that AWS_PROFILE names. Without it they come from the environment (AWS_ACCESS_KEY_ID and
    /// AWS_SECRET_ACCESS_KEY, AWS_SHARED_CREDENTIALS_FILE, a web identity), or from the role that the machine or container has.
    #[arg(long, value_name = "FILE")]
    pub s3_credentials_file: Option<PathBuf>,

    /// Give up a request after so long; it is tried again three times
    #[arg(long, default_value = "60s", value_name = "TIME")]
    pub s3_timeout: crate::archive::amount::Age,
}

impl Default for Options {
    fn default() -> Self {
        let timeout = crate::archive::amount::Age(Duration::from_secs(60));
        Self { s3_endpoint: None, s3_region: None, s3_credentials_file: None, s3_timeout: timeout }
    }
}

/// How often a request is tried again.
const RETRIES: usize = 3;

/// A bucket that is open.
pub struct S3 {
    store: AmazonS3,
    prefix: String,
    place: String,
    /// Files are made here, and deleted when they were sent.
    staging: tempfile::TempDir,
    runtime: Runtime,
}

impl S3 {
    /// Gets everything ready; asks nobody yet.
    ///
    /// # Errors
    ///
    /// Options or credentials that cannot be used.
    pub fn open(bucket: &str, prefix: &str, options: &Options) -> Result<Self, TargetError> {
        let place = super::Place::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() }.to_string();
        let failed = |what: String| TargetError::Setup { place: place.clone(), what };
        let environment = |name: &str| std::env::var_os(name).map(PathBuf::from);
        let endpoint = options.s3_endpoint.as_deref();
        if endpoint.is_some_and(|endpoint| endpoint.contains('@')) {
            return Err(failed("an endpoint has no user and no password in it".to_owned()));
        }
        let timeout = options.s3_timeout.0;
        let backoff = BackoffConfig { init_backoff: Duration::from_millis(200), max_backoff: Duration::from_secs(5), base: 2.0 };
        // the time of all attempts is bounded by that of each
        let retry = RetryConfig { backoff, max_retries: RETRIES, retry_timeout: timeout * (RETRIES as u32 + 1) };
        let mut builder = AmazonS3Builder::from_env()
            .with_bucket_name(bucket)
            .with_http_connector(connection::Connector::new(timeout))
            .with_checksum_algorithm(Algorithm::SHA256)
            .with_retry(retry);
        if let Some(endpoint) = endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/')).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(region) = &options.s3_region {
            builder = builder.with_region(region);
        }
        let shared = || environment("AWS_SHARED_CREDENTIALS_FILE").filter(|_| environment("AWS_ACCESS_KEY_ID").is_none());
        if let Some(file) = options.s3_credentials_file.clone().or_else(shared) {
            let profile = std::env::var("AWS_PROFILE").unwrap_or_else(|_| "default".to_owned());
            let credentials = Credentials::read(&file, &profile).map_err(failed)?;
            builder = builder.with_access_key_id(credentials.id).with_secret_access_key(credentials.secret);
            if let Some(token) = credentials.token {
                builder = builder.with_token(token);
            }
        }
        let store = builder.build().map_err(|error| failed(said(&error)))?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| failed(error.to_string()))?;
        let staging = tempfile::Builder::new().prefix("peer-observer-").tempdir().map_err(|error| failed(error.to_string()))?;
        Ok(Self { store, prefix: prefix.to_owned(), place, staging, runtime })
    }

    /// Where a file is made before it is sent.
    pub(super) fn staging(&self, name: &str) -> PathBuf {
        self.staging.path().join(name)
    }

    /// Sends a file, in parts where it is large.
    ///
    /// # Errors
    ///
    /// It cannot be read, or the store does not take it.
    pub(super) fn send(
        &self,
        file: &Path,
        name: &str,
        sum: &Checksum,
        pace: &mut dyn FnMut(usize) -> bool,
    ) -> Result<(), TargetError> {
        let failed = |source| TargetError::Read { path: file.to_owned(), source };
        let mut input = File::open(file).map_err(failed)?;
        let mut part = |pace: &mut dyn FnMut(usize) -> bool| -> Result<Bytes, TargetError> {
            let mut bytes = Vec::new();
            (&mut input).take(PART as u64).read_to_end(&mut bytes).map_err(failed)?;
            if pace(bytes.len()) { Ok(bytes.into()) } else { Err(TargetError::Stopped) }
        };
        let key = self.key(name);
        let refused = |error| self.failed("send", name, &error);
        if sum.bytes <= PART as u64 {
            let payload = PutPayload::from(part(pace)?);
            return self.runtime.block_on(self.store.put(&key, payload)).map(drop).map_err(refused);
        }
        let mut upload = self.runtime.block_on(self.store.put_multipart(&key)).map_err(refused)?;
        let mut parts = || -> Result<(), TargetError> {
            loop {
                let bytes = part(pace)?;
                if bytes.is_empty() {
                    return self.runtime.block_on(upload.complete()).map(drop).map_err(refused);
                }
                self.runtime.block_on(upload.put_part(bytes.into())).map_err(refused)?;
            }
        };
        let sent = parts();
        if sent.is_err() {
            // parts of an upload that nobody ends are paid for
            let _ = self.runtime.block_on(upload.abort());
        }
        sent
    }

    /// Reads a file back and compares.
    ///
    /// # Errors
    ///
    /// It is not there, or another.
    pub(super) fn check(&self, name: &str, sum: &Checksum) -> Result<(), TargetError> {
        let key = self.key(name);
        let mut there = Summing::default();
        let size = self.size(name)?.ok_or_else(|| TargetError::Store {
            doing: "read back",
            name: self.full(name),
            what: "it is not there".to_owned(),
        })?;
        if size != sum.bytes {
            return Err(differs(&self.full(name), sum, &Checksum { bytes: size, sha256: String::new() }));
        }
        let mut at = 0;
        while at < size {
            let end = (at + PART as u64).min(size);
            let bytes = self
                .runtime
                .block_on(self.store.get_range(&key, at..end))
                .map_err(|error| self.failed("read back", name, &error))?;
            there.add(&bytes);
            at = end;
        }
        let there = there.finish();
        if there == *sum { Ok(()) } else { Err(differs(&self.full(name), sum, &there)) }
    }

    /// How large a file is.
    ///
    /// # Errors
    ///
    /// The store does not say.
    pub(super) fn size(&self, name: &str) -> Result<Option<u64>, TargetError> {
        match self.runtime.block_on(self.store.head(&self.key(name))) {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("look for", name, &error)),
        }
    }

    /// Reads a small file.
    ///
    /// # Errors
    ///
    /// The store does not give it.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, TargetError> {
        let key = self.key(name);
        let read = async { self.store.get(&key).await?.bytes().await };
        match self.runtime.block_on(read.boxed_local()) {
            Ok(bytes) => Ok(Some(bytes.to_vec())),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", name, &error)),
        }
    }

    /// Writes a small file.
    ///
    /// # Errors
    ///
    /// The store does not take it.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), TargetError> {
        let payload = PutPayload::from(bytes.to_vec());
        let put = self.runtime.block_on(self.store.put(&self.key(name), payload));
        put.map(drop).map_err(|error| self.failed("write", name, &error))
    }

    fn key(&self, name: &str) -> Key {
        if self.prefix.is_empty() { Key::from(name) } else { Key::from(format!("{}/{name}", self.prefix)) }
    }

    fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.place)
    }

    fn failed(&self, doing: &'static str, name: &str, error: &object_store::Error) -> TargetError {
        TargetError::Store { doing, name: self.full(name), what: said(error) }
    }
}

/// What an error says, with its causes, in a line of a readable length. A store may answer with a book.
fn said(error: &dyn std::error::Error) -> String {
    const LENGTH: usize = 300;
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    let line: String = event::text::Printable(&text).to_string().chars().take(LENGTH).collect();
    line
}

struct Credentials {
    id: String,
    secret: String,
    token: Option<String>,
}

impl Credentials {
    fn read(file: &Path, profile: &str) -> Result<Self, String> {
        let text =
            fs::read_to_string(file).map_err(|error| format!("failed to read the credentials {}: {error}", file.display()))?;
        Self::parse(&text, profile).map_err(|key| format!("the profile `{profile}` in {} has no `{key}`", file.display()))
    }

    /// The form of `~/.aws/credentials`: sections in brackets, keys with `=`.
    fn parse(text: &str, profile: &str) -> Result<Self, &'static str> {
        let mut within = false;
        let (mut id, mut secret, mut token) = (None, None, None);
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                within = name.trim() == profile;
            } else if let (true, Some((key, value))) = (within, line.split_once('=')) {
                let value = Some(value.trim().to_owned());
                match key.trim() {
                    "aws_access_key_id" => id = value,
                    "aws_secret_access_key" => secret = value,
                    "aws_session_token" => token = value,
                    _ => {}
                }
            }
        }
        Ok(Self { id: id.ok_or("aws_access_key_id")?, secret: secret.ok_or("aws_secret_access_key")?, token })
    }
}

/// Without the secret, wherever somebody prints it.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_of_the_profile() {
        let text = "# mine\n[other]\naws_access_key_id = x\n[default]\naws_access_key_id=AKIA\n aws_secret_access_key = s=cret \n";
        let credentials = Credentials::parse(text, "default").unwrap();
        assert_eq!((credentials.id.as_str(), credentials.secret.as_str(), credentials.token), ("AKIA", "s=cret", None));
        assert_eq!(Credentials::parse(text, "other").unwrap_err(), "aws_secret_access_key");
        assert_eq!(Credentials::parse(text, "none").unwrap_err(), "aws_access_key_id");
    }

    #[test]
    fn secrets_are_not_printed() {
        let credentials = Credentials { id: "AKIA".into(), secret: "hush".into(), token: Some("hush".into()) };
        assert!(!format!("{credentials:?}").contains("hush"));
    }

    #[test]
    fn no_password_stands_in_an_address() {
        let options = Options { s3_endpoint: Some("https://me:secret@example.org".into()), ..Options::default() };
        let error = S3::open("b", "", &options).err().unwrap().to_string();
        assert!(!error.contains("secret") && error.contains("no user"), "{error}");
    }
}
