//! `run` with an archive and a place to ship it to, beside a real node: every segment arrives, none goes before it has, and the rest is told of.
#![cfg(all(feature = "ebpf", feature = "s3"))]
#![allow(clippy::unwrap_used, reason = "a test fails where it must")]

mod program;

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use program::{Running, may_trace, program};
use rustix::process::Signal;
use serde_json::Value;
use testkit::{Moto, Node, Peer, attack, moto, node, wait};
use tools::archive::amount::Age;
use tools::target::s3::{Options, S3};
use tools::target::{Checksum, Target};

/// A node that is watched, with an archive that turns over quickly and may hardly keep anything.
struct World {
    folder: tempfile::TempDir,
    node: Node,
}

impl World {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), node: Node::start(node::Options::default()).unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn archive(&self) -> PathBuf {
        self.path("archive")
    }

    /// Starts the program, which ships to `place`; also where its metrics are.
    fn run(&self, place: &str, more: &str) -> (Running, String) {
        let file = self.path("peer-observer.toml");
        let text = format!(
            "[ebpf]\n[rpc]\n[log]\n[proc]\n[join]\n\
             [logger]\nformat = \"json\"\nkinds = [\"health.shipped\", \"health.attached\", \"net.ping\"]\n\
             [metrics]\nlisten = \"127.0.0.1:0\"\n\
             [archive]\ndir = {:?}\nsegment-age = \"1s\"\nmax-size = \"1B\"\n\
             [ship]\nto = {place:?}\nname = \"host\"\nevery = \"1s\"\n{more}\
             [node.alice]\ndatadir = {:?}\n",
            self.archive(),
            self.node.datadir(),
        );
        fs::write(&file, text).unwrap();
        let mut running = Running::start(program().arg("--config").arg(&file).arg("run"));
        let line = running.wait_for_error("the metrics", |line| line.contains("serving metrics"));
        let address = line.split("address=").nth(1).unwrap().to_owned();
        running.wait_for("probes", |line| line.contains("health.attached") && line.contains("\"source\":\"ebpf\""));
        (running, address)
    }

    /// Numbers and names of the segments that are here.
    fn segments(&self) -> Vec<String> {
        let names = fs::read_dir(self.archive()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut segments: Vec<String> = names.filter(|name| name.ends_with(".poa")).collect();
        segments.sort();
        segments
    }

    /// What the archive is called there.
    fn name_there(&self) -> String {
        let path = self.archive().canonicalize().unwrap().display().to_string();
        format!("host/{}", path.trim_start_matches('/').replace(['/', '.'], "-"))
    }

    /// What was left is sent by the command that does it once.
    fn ship_the_rest(&self, place: &str, more: &[&str]) -> String {
        let mut command = program();
        command.args(["archive", "ship"]).arg(self.archive()).args(["--ship-to", place, "--ship-name", "host"]).args(more);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        said
    }
}

/// What the last round did, once it is like that.
fn shipped(running: &mut Running, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
    let of = |line: &str| serde_json::from_str::<Value>(line).unwrap().get("healthShipped").cloned();
    let lines = running.wait_within(what, testkit::wait::LONG * 3, |line| of(line).is_some_and(|shipped| fits(&shipped)));
    of(lines.last().unwrap()).unwrap()
}

/// 64-bit integers are text in JSON, and absent where they are nothing.
fn number(shipped: &Value, name: &str) -> u64 {
    shipped.get(name).map_or(0, |value| value.as_str().unwrap().parse().unwrap())
}

/// The value of a metric.
fn metric(address: &str, name: &str) -> Option<f64> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(wait::LONG)).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    let line = page.lines().find(|line| line.starts_with(name) && line.contains("node=\"alice\""))?;
    line.rsplit(' ').next().unwrap().parse().ok()
}

/// The files that stand in the manifest, with size and checksum.
fn manifest(bytes: &[u8]) -> BTreeMap<String, Checksum> {
    let manifest: Value = serde_json::from_slice(bytes).unwrap();
    let sum =
        |entry: &Value| Checksum { bytes: entry["bytes"].as_u64().unwrap(), sha256: entry["sha256"].as_str().unwrap().to_owned() };
    manifest["files"].as_object().unwrap().iter().map(|(name, entry)| (name.clone(), sum(entry))).collect()
}

/// Traffic, until a segment has ended after it.
fn live_a_while(world: &World, running: &mut Running, host: u8) -> Peer {
    let peer = Peer::connect(world.node.p2p_address(), &attack::at([127, 0, 24], host)).unwrap();
    peer.ping_flood(200).unwrap();
    running.wait_for("pings", |line| line.contains("\"net.ping\""));
    peer
}

/// How many files it said were not sent, at the end.
fn remains(errors: &[String]) -> u64 {
    let line = errors.iter().find(|line| line.contains("not shipped yet")).unwrap_or_else(|| panic!("{errors:#?}"));
    line.split("files=").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn segments_arrive_in_a_directory_before_they_go_here() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let world = World::new();
    let to = world.path("there");
    fs::create_dir(&to).unwrap();
    // a file in the place of the folder: nothing can arrive
    fs::write(to.join("host"), "in the way").unwrap();
    let place = to.display().to_string();
    let (mut running, metrics) = world.run(&place, "");
    let first = live_a_while(&world, &mut running, 1);
    let failed = shipped(&mut running, "a failure", |shipped| number(shipped, "failures") > 0);
    assert_eq!((number(&failed, "files"), failed.get("lastSuccess")), (0, None), "{failed:#}");
    assert!(failed["error"].as_str().unwrap().contains(&place), "{failed:#}");
    // beyond its limit of a byte, and all of it is here
    wait::until("three segments", wait::LONG, || Ok((world.segments().len() > 3).then_some(()))).unwrap();
    let before = world.segments();
    assert!(before[0].starts_with("00000001-"), "{before:?}");
    assert_eq!(metric(&metrics, "peerobserver_ship_last_success_timestamp_seconds"), None);
    assert!(metric(&metrics, "peerobserver_ship_failures").unwrap() >= 1.0);

    fs::remove_file(to.join("host")).unwrap();
    // what ended within the last second goes with a later round
    shipped(&mut running, "success", |shipped| {
        shipped.get("lastSuccess").is_some() && shipped.get("error").is_none() && number(shipped, "files") >= 3
    });
    let second = live_a_while(&world, &mut running, 2);
    // retention deletes what is there, at the end of some segment
    wait::until("the first segment to be deleted", wait::LONG, || Ok((!world.segments().contains(&before[0])).then_some(())))
        .unwrap();
    wait::until("the time of success", wait::LONG, || Ok(metric(&metrics, "peerobserver_ship_last_success_timestamp_seconds")))
        .unwrap();
    let (lines, errors, status) = running.end(Signal::TERM);
    assert!(status.success(), "{errors:#?}");
    drop((first, second));

    let there = to.join(world.name_there());
    let listed = manifest(&fs::read(there.join("manifest.json")).unwrap());
    for (name, sum) in &listed {
        assert_eq!(&Checksum::of(&there.join(name)).unwrap(), sum, "{name}");
    }
    // every segment that ever was, in one place at least
    let here = world.segments();
    let last: u64 = here.last().unwrap()[..8].parse().unwrap();
    for number in 1..=last {
        let is_it = |name: &String| name.starts_with(&format!("{number:08}-"));
        assert!(here.iter().any(is_it) || listed.keys().any(is_it), "segment {number} is gone");
    }
    let left = remains(&errors);
    let differs = |name: &&String| Some(&Checksum::of(&world.archive().join(name)).unwrap()) != listed.get(*name);
    assert_eq!(left, here.iter().filter(differs).count() as u64, "{here:?}, {:?}", listed.keys());
    // the last event about it says what waited by then, without the segment that was still open
    let told = lines.iter().rev().find_map(|line| serde_json::from_str::<Value>(line).unwrap().get("healthShipped").cloned());
    assert!(number(&told.unwrap(), "waiting") < left);

    let said = world.ship_the_rest(&place, &[]);
    assert!(said.starts_with(&format!("{left} files, ")) && said.ends_with("; 0 wait\n"), "{said}");
    whole(&there);
}

/// An archive of which no event is missing.
fn whole(archive: &Path) {
    let output = program().args(["archive", "verify", "--format=json"]).arg(archive).output().unwrap();
    let info: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success(), "{info:#}");
    let sources = info["sources"].as_array().unwrap();
    assert!(sources.len() > 3 && sources.iter().all(|source| source["missing"] == 0), "{info:#}");
}

#[test]
fn segments_arrive_in_a_store() {
    testkit::need_node!();
    if !may_trace() {
        return;
    }
    let Some(store) = Moto::start(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap() else { return };
    let world = World::new();
    let credentials = moto::credentials(world.folder.path()).unwrap();
    let place = format!("s3://{}/archives", moto::BUCKET);
    let more =
        format!("s3-endpoint = {:?}\ns3-region = \"eu-central-1\"\ns3-credentials-file = {credentials:?}\n", store.endpoint());
    let (mut running, metrics) = world.run(&place, &more);
    let peer = live_a_while(&world, &mut running, 3);
    shipped(&mut running, "three files", |shipped| number(shipped, "files") >= 3 && shipped.get("lastSuccess").is_some());
    wait::until("the first segment to be deleted", wait::LONG, || {
        Ok(world.segments().first().is_some_and(|name| !name.starts_with("00000001-")).then_some(()))
    })
    .unwrap();
    wait::until("the time of success", wait::LONG, || Ok(metric(&metrics, "peerobserver_ship_last_success_timestamp_seconds")))
        .unwrap();
    let (_, errors, status) = running.end(Signal::TERM);
    assert!(status.success(), "{errors:#?}");
    assert!(remains(&errors) > 0);
    drop(peer);

    let region = ["--s3-region", "eu-central-1", "--s3-credentials-file", credentials.to_str().unwrap()];
    let said = world.ship_the_rest(&place, &[&["--s3-endpoint", store.endpoint()], &region[..]].concat());
    assert!(said.ends_with("; 0 wait\n"), "{said}");
    let options = Options {
        s3_endpoint: Some(store.endpoint().to_owned()),
        s3_region: Some("eu-central-1".to_owned()),
        s3_credentials_file: Some(credentials),
        s3_timeout: Age(Duration::from_secs(30)),
    };
    let target = Target::S3(S3::open(moto::BUCKET, "archives", &options).unwrap());
    let name = world.name_there();
    let listed = manifest(&target.read(&format!("{name}/manifest.json")).unwrap().unwrap());
    let last: u64 = world.segments().last().unwrap()[..8].parse().unwrap();
    let numbers: Vec<u64> = listed.keys().map(|name| name[..8].parse().unwrap()).collect();
    assert_eq!(numbers, (1..=last).collect::<Vec<_>>());
    // brought back, they are the archive
    let back = world.path("back");
    fs::create_dir(&back).unwrap();
    for (file, sum) in &listed {
        let path = format!("{name}/{file}");
        target.check(&path, sum).unwrap();
        fs::write(back.join(file), target.read(&path).unwrap().unwrap()).unwrap();
    }
    whole(&back);
}
