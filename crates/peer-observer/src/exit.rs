//! How the program ends: a code that a script can branch on, a sentence that a person can act on.

use std::fmt;
use std::process::ExitCode;

/// Why the program ends. The numbers are part of the interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Code {
    /// Something that should not happen, or a failure that has no code of its own.
    Failure = 1,
    /// The command line or the configuration file is wrong.
    Usage = 2,
    /// There is no such node, or it does not run.
    NoNode = 3,
    /// The system does not permit it.
    NotPermitted = 4,
    /// The kernel, or the node's program, lacks what is needed.
    Unsupported = 5,
    /// The message bus cannot be reached, or refuses us.
    Bus = 6,
    /// A recording or a log cannot be read.
    Recording = 7,
    /// `doctor` found something that does not work.
    Unhealthy = 8,
    /// A signal came before it was done: what it was to write is not there, or not all of it.
    Ended = 9,
}

/// For `--help`.
pub const HELP: &str = "\
Exit codes:
  0  done; what runs until it is ended, or prints what it reads: ended by SIGINT or SIGTERM
  1  a failure that has no code of its own
  2  the command line or the configuration file is wrong
  3  no such node, or it does not run
  4  not permitted
  5  the kernel or the node's program lacks what is needed
  6  the message bus cannot be reached, or refuses us
  7  a recording or a log cannot be read
  8  doctor found something that does not work
  9  ended by SIGINT or SIGTERM before it was done";

/// A failure that ends the program.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    error: anyhow::Error,
    hint: Option<String>,
}

impl Failure {
    /// A failure with its code.
    pub fn new(code: Code, error: impl Into<anyhow::Error>) -> Self {
        Self { code, error: error.into(), hint: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Code::Failure, error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // causes whose text an outer sentence already contains are not repeated
        let mut said = self.error.to_string();
        write!(f, "error: {said}")?;
        for cause in self.error.chain().skip(1).map(ToString::to_string) {
            if !said.contains(&cause) {
                write!(f, ": {cause}")?;
                said = cause;
            }
        }
        if let Some(hint) = &self.hint {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}

impl From<Failure> for ExitCode {
    fn from(failure: Failure) -> Self {
        Self::from(failure.code as u8)
    }
}
