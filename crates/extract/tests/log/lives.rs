//! Which life of the node a line is from.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use event::KindId;
use event::text::Rfc3339;
use extract::life::Life;
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
    let time = Rfc3339::from_nanos(seconds * 1_000_000_000);
    world.life.send_replace(life(seconds - 10));
    let mut line = |message: &str| log.write_all(format!("{time} {message}\n").as_bytes()).unwrap();
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
