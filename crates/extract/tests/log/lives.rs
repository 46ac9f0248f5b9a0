//! Which life of the node a line is from.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use event::text::Rfc3339;
use event::{Event, Kind, KindId};
use extract::life::Life;
use extract::log::Target;
use extract::log::follow::Begin;
use tempfile::TempDir;

use crate::world::World;

fn life(node_run: u64) -> Option<Life> {
    Some(Life { pid: 1, node_run, datadir: None })
}

#[test]
fn lines_are_of_the_process_that_wrote_them() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("debug.log");
    let mut log = OpenOptions::new().create(true).append(true).open(&path).unwrap();
    let mut world = World::follow(&path);
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    world.life.send_replace(life(seconds - 10));
    let mut line = |message: &str| {
        // lines of long ago are nobody's
        let time = Rfc3339::from_seconds(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs());
        log.write_all(format!("{time} {message}\n").as_bytes()).unwrap();
    };
    line("[net] Cleared nodestate for peer=1");
    // what was written before the process was known may be nobody's
    while world.wait_for(KindId::ConnStep).node_run.is_none() {
        line("[net] Cleared nodestate for peer=1");
    }
    // it ends, and its last line comes after its end was seen
    world.life.send_replace(None);
    line("[net] Cleared nodestate for peer=2");
    assert_eq!(world.wait_for(KindId::ConnStep).node_run, Some(seconds - 10));
    // another begins to write before it is known
    line("Bitcoin Core version v31.0.0 (release build)");
    line("[net] Cleared nodestate for peer=0");
    world.life.send_replace(life(seconds - 1));
    assert_eq!(world.wait_for(KindId::LogLife).node_run, Some(seconds - 1));
    assert_eq!(world.wait_for(KindId::ConnStep).node_run, Some(seconds - 1));
}

/// A node that is started again with another data directory writes elsewhere, to a file that an earlier life may have filled.
#[test]
fn another_life_may_write_to_another_file() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    let append = |name: &str| OpenOptions::new().create(true).append(true).open(path(name)).unwrap();
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let write = |name: &str, message: &str| {
        let time = Rfc3339::from_nanos(seconds * 1_000_000_000);
        append(name).write_all(format!("{time} {message}\n").as_bytes()).unwrap();
    };
    // written long ago, and not asked for
    write("second.log", "Bitcoin Core version v30.0.0 (release build)");
    write("second.log", "[net] Cleared nodestate for peer=90");
    write("first.log", "[net] Cleared nodestate for peer=91");
    let second = path("second.log");
    let locate = Box::new(move |life: &Life| (life.pid == 2).then(|| Target::Told(second.clone())));
    let mut world = World::start_with(Target::Told(path("first.log")), Begin::End, locate);
    world.wait_for(KindId::HealthAttached);
    let peer = |event: &Event| match &event.kind {
        Some(Kind::ConnStep(step)) => step.peer,
        _ => panic!("a step, not {event:?}"),
    };
    world.life.send_replace(life(seconds - 10));
    write("first.log", "[net] Cleared nodestate for peer=1");
    assert_eq!(peer(&world.wait_for(KindId::ConnStep)), 1);
    // it ends, and the next one has written before it is known
    world.life.send_replace(None);
    write("first.log", "[net] Cleared nodestate for peer=2");
    write("second.log", "Bitcoin Core version v31.0.0 (release build)");
    write("second.log", "[net] Cleared nodestate for peer=3");
    world.life.send_replace(Some(Life { pid: 2, node_run: seconds, datadir: None }));
    assert_eq!(peer(&world.wait_for(KindId::ConnStep)), 2);
    let Some(Kind::HealthDetached(detached)) = &world.wait_for(KindId::HealthDetached).kind else { unreachable!() };
    assert_eq!(detached.reason, format!("the node writes to {} now", path("second.log").display()));
    world.wait_for(KindId::HealthAttached);
    let step = world.wait_for(KindId::ConnStep);
    assert_eq!((peer(&step), step.node_run), (3, Some(seconds)));
    write("second.log", "[net] Cleared nodestate for peer=4");
    assert_eq!(peer(&world.wait_for(KindId::ConnStep)), 4);
    // a life whose log is nowhere else changes nothing
    world.life.send_replace(Some(Life { pid: 3, node_run: seconds + 1, datadir: None }));
    write("second.log", "[net] Cleared nodestate for peer=5");
    assert_eq!(peer(&world.wait_for(KindId::ConnStep)), 5);
}
