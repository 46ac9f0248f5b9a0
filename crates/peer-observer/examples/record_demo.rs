//! Makes the bundled recording anew: plays the scenario of `testkit` around a real bitcoind, and records what the probes see.
//!
//! `./x record-demo`; needs bitcoind on PATH (or in `BITCOIND_EXE`), and root for the probes.

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use bus::{Bus, Delivery, Limits};
use ebpf::{Source, Tracer};
use event::{Filter, KindSet};
use extract::recording::Writer;
use testkit::{Node, scenario};

const OUTPUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/demo.rec");

fn main() -> anyhow::Result<()> {
    // the tracer is this program, started again
    if std::env::args().nth(1).as_deref() == Some("tracer") {
        return Ok(ebpf::tracer::run()?);
    }
    let main = Node::start(scenario::main_options())?;
    let node = extract::node::Config { name: "demo".parse()?, datadir: Some(main.datadir().to_owned()), pid_file: None, pid: None };
    let config = extract::ebpf::Config { ebpf_raw: false, ebpf_buffer: "16MiB".parse().map_err(anyhow::Error::msg)? };
    let mut command = Command::new("/proc/self/exe");
    command.arg("tracer");
    let tracer = Tracer::spawn(command, &config.tracer(&node, false)).context("failed to start the tracing process")?;
    let source = Source::open(tracer, false)?;

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let bus = Bus::local();
    // beats say nothing that somebody watching a demonstration wants to know
    let mut filter = Filter::all();
    let beats = KindSet::matching("health.beat")?;
    filter.kinds = filter.kinds.iter().filter(|id| !beats.contains(*id)).collect();
    let mut subscription = runtime.block_on(bus.subscribe(filter, Limits::default()))?;
    let publisher = bus.publisher(node.name.clone(), event::Source::Ebpf);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let extractor = scope.spawn(|| extract::ebpf::run(source, &publisher, &stop));
        let recorder = scope.spawn(|| {
            runtime.block_on(async {
                let mut writer = Writer::new(File::create(OUTPUT)?, 19)?;
                let mut count = 0;
                let mut sequence = 0;
                while let Some(delivery) = subscription.next().await {
                    let Delivery::Event(event) = delivery else { anyhow::bail!("missed events: record again") };
                    let mut event = (*event).clone();
                    // where the program lies is this machine's business
                    if let Some(event::Kind::HealthAttached(attached)) = &mut event.kind {
                        attached.target = "bitcoind".to_owned();
                    }
                    // renumbered, because the beats are left out
                    event.sequence = sequence;
                    sequence += 1;
                    writer.write(&event)?;
                    count += 1;
                }
                let size = writer.finish()?.metadata()?.len();
                println!("{OUTPUT}: {count} events, {size} bytes");
                Ok(())
            })
        });
        let played = scenario::play(&main, 1);
        stop.store(true, Ordering::Release);
        extractor.join().expect("the extractor does not panic")?;
        runtime.block_on(bus.close());
        recorder.join().expect("the recorder does not panic")?;
        played.map(drop)
    })
}
