//! `peer-observer`: the program.
//!
//! This crate holds the command line, the configuration file, the wiring of components, signals, and exit codes. What can be tested
//! without them lives in the other crates.

mod alone;
mod archive;
#[cfg(feature = "attack")]
mod attack;
mod bar;
mod bench;
mod cli;
mod config;
mod connect;
mod demo;
mod detect;
mod doctor;
mod exit;
mod export;
mod history;
mod incidents;
mod known;
mod logger;
mod metrics;
mod parts;
mod service;
mod ship;
mod top;
#[cfg(feature = "ebpf")]
mod user;
mod web;
mod wiring;

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::CommandFactory as _;

use cli::{Cli, Command};
use exit::{Code, Failure};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("{failure}");
            failure.into()
        }
    }
}

fn run() -> Result<ExitCode, Failure> {
    let line: Vec<_> = std::env::args_os().collect();
    let cli::Parsed { cli, file, told } = cli::parse(&line)?;
    start_log(&cli.log, cli.command.has_screen())?;
    match cli.command {
        Command::Run(options) => wiring::run(*options, file.as_ref(), &told)?,
        Command::Demo(options) => demo::run(options)?,
        Command::Doctor(options) => return doctor::run(&options, file.as_ref(), &told),
        Command::Extract(options) => wiring::extract(options, file.as_ref(), &told)?,
        Command::Logger(options) => logger::run(options)?,
        Command::Metrics(options) => metrics::run(options)?,
        Command::Top(options) => top::run(*options)?,
        Command::Detect(options) => detect::run(*options)?,
        Command::Connect(options) => connect::run(*options)?,
        Command::Incidents(options) => incidents::run(options)?,
        Command::Web(options) => web::run(*options)?,
        Command::Archive(options) => return archive::run(options),
        Command::Replay(options) => archive::replay(*options)?,
        Command::Events { kinds } => print(&events(&kinds)?)?,
        Command::Config => print(&config::commented(cli::SECTIONS, &cli::NODE))?,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "peer-observer", &mut script);
            print(&String::from_utf8_lossy(&script))?;
        }
        Command::Bench(options) => bench::run(&options)?,
        #[cfg(feature = "attack")]
        Command::Attack(options) => attack::run(options)?,
        #[cfg(feature = "ebpf")]
        Command::Tracer => ebpf::tracer::run().map_err(anyhow::Error::new)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What the program says of itself goes to standard error; standard output is for what was asked for. While a screen is up, it is held back.
fn start_log(level: &str, screen: bool) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(level)
        .map_err(|error| Failure::new(Code::Usage, error).hint("as in `--log info` or `--log info,bus=debug`"))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_target(false);
    if screen {
        log.with_writer(|| top::LOG.lines()).with_ansi(false).init();
    } else {
        log.with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).init();
    }
    Ok(())
}

/// Prints a page; a reader that goes away early is no failure.
fn print(text: &str) -> Result<(), Failure> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(anyhow::Error::new(error).into()),
        _ => Ok(()),
    }
}

fn events(patterns: &[String]) -> Result<String, Failure> {
    if patterns.is_empty() {
        return Ok(event::schema::markdown());
    }
    let filter = event::Filter::parse(patterns.iter().map(String::as_str)).map_err(|error| Failure::new(Code::Usage, error))?;
    Ok(event::schema::markdown_of(&filter.kinds))
}
