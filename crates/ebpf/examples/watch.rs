//! Both processes in a few lines: prints what a node says to its peers. Tests run it, too.
//!
//! ```text
//! cargo build -p po-ebpf --example watch && sudo target/debug/examples/watch datadir ~/.bitcoin
//! ```

use std::process::{Command, ExitCode};
use std::time::Duration;

use ebpf::process::Target;
use ebpf::tracer::{self, Config};
use ebpf::{Item, Source, Tracer, privileges};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let wait = args.first().is_some_and(|arg| arg == "wait");
    let target = match args.iter().skip(wait.into()).map(String::as_str).collect::<Vec<_>>()[..] {
        // this is the privileged process, started below
        ["tracer"] => return if tracer::run().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        ["pid", pid] => Target::Pid(pid.parse().expect("the pid is a number")),
        ["pid-file", path] => Target::PidFile(path.into()),
        ["datadir", path] => Target::Datadir(path.into()),
        _ => Target::Any,
    };
    match watch(target, wait) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(problem) = error.downcast_ref::<ebpf::Problem>() {
                eprintln!("hint: {}", problem.hint);
            }
            ExitCode::FAILURE
        }
    }
}

fn watch(target: Target, wait: bool) -> Result<(), Box<dyn std::error::Error>> {
    let mut command = Command::new("/proc/self/exe");
    command.arg("tracer");
    let tracer = Tracer::spawn(command, &Config { target, wait, ..Config::default() })?;
    privileges::drop_all()?;
    let mut source = Source::open(tracer, false)?;
    loop {
        source.next_batch(Duration::from_secs(1), |item| match item {
            Item::Observation(event) => println!("{} {:?}", event.time, event.kind),
            Item::Report(report) => println!("# {report:?}"),
        })?;
    }
}
