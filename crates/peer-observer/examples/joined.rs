//! Prints what join and reconciliation make of recordings: `cargo run --release --example joined -- FILE [EVERY]`.
//!
//! With a number, every so manieth message of each type is withheld from the reconciliation, which should notice.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use event::primary::Primaries;
use event::{Event, Source};
use extract::recording::Recording;
use tools::join::Joiner;
use tools::logger::{Colour, Line};
use tools::reconcile::Reconciler;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().context("which recording?")?;
    let every = arguments.next().map(|number| number.parse::<u64>()).transpose().context("one of how many is withheld?")?;
    let mut joiner = Joiner::new(Duration::from_secs(1));
    let mut reconciler = Reconciler::new(Duration::from_secs(300));
    let mut counts = BTreeMap::new();
    let (mut node, mut events) = (String::new(), 0_u64);
    let mut kinds = BTreeMap::new();
    let mut primaries = Primaries::default();
    let mut spent = [Duration::ZERO; 3];
    let mut facts = Vec::new();
    let mut print = |facts: &mut Vec<tools::join::Fact>, node: &str| {
        for (time, node_run, kind) in facts.drain(..) {
            *kinds.entry(kind.id().name()).or_insert(0_u64) += 1;
            println!("{}", Line(&Event { time, node_run, ..Event::new(node, Source::Join, kind) }, Colour::Off));
        }
    };
    for event in Recording::open(Path::new(&file))? {
        // what is whole at the beginning of a broken file counts
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                eprintln!("{error}");
                break;
            }
        };
        events += 1;
        node.clone_from(&event.node);
        let message = event.kind.as_ref().filter(|kind| kind.net().is_some()).map(|kind| kind.id().name());
        let withheld = message.zip(every).is_some_and(|(name, every)| {
            let count = counts.entry(name).or_insert(0_u64);
            *count += 1;
            count.is_multiple_of(every)
        });
        let mut start = Instant::now();
        let mut lap = |spent: &mut Duration| *spent += std::mem::replace(&mut start, Instant::now()).elapsed();
        primaries.admit(&event);
        lap(&mut spent[0]);
        joiner.observe(&event, &mut |fact| facts.push(fact));
        lap(&mut spent[1]);
        if !withheld {
            reconciler.observe(&event, &mut |fact| facts.push(fact));
        }
        lap(&mut spent[2]);
        print(&mut facts, &node);
    }
    joiner.finish(&mut |fact| facts.push(fact));
    print(&mut facts, &node);
    let [filter, join, reconciliation] = spent.map(|spent| spent.as_nanos() as f64 / events as f64);
    eprintln!("{events} events; ns per event: filter {filter:.0}, join {join:.0}, reconciliation {reconciliation:.0}");
    eprintln!("{:?}; {kinds:?}", primaries.account());
    Ok(())
}
