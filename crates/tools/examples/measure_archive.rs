//! What the archive costs, on a recording: `cargo run --release --package po-tools --example measure_archive -- WHAT RECORDING`.
//!
//! | what | |
//! |---|---|
//! | `append` | events into frames and a file, at the level of a running archive; no disk is waited for |
//! | `size` | against the same events as varint-delimited protobuf under zstd −19; frames closed after 5 s of the recording, and packed |
//! | `replay` | a packed file at maximum speed into counting by kind |
//! | `again` | archived, replayed into a bus at maximum speed, archived again: whether all events are equal |
//! | `export` | a packed file into tables of Parquet; no disk is waited for longer than it takes to hand it the files |
//! | `seek DIRECTORY [GB]` | the first event of a minute in an archive of 10 GB, which is made in the directory and left there |
//!
//! Speeds are per second of CPU time of the one thread that works, so that they do not depend on who else is running; medians of five.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use event::Event;
use event::archive::segment::{Header, Index};
use event::archive::{Head, Packer, Section};
use tools::archive::copy::{LEVEL, copy};
use tools::archive::segment::{Segment, Writer};
use tools::archive::store::{Store, segments};
use tools::archive::{Config, Selection, open, record};
use tools::export::parts::Limits;
use tools::export::{self, Format, Job, Progress};
use tools::target::Target;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let what = words.next().unwrap_or_default();
    let recording = PathBuf::from(words.next().context("which recording?")?);
    let rest: Vec<String> = words.collect();
    let place = tempfile::tempdir()?;
    match what.as_str() {
        "append" => append(&recording, place.path())?,
        "size" => size(&recording, place.path())?,
        "replay" => replay(&recording, place.path())?,
        "again" => again(&recording, place.path())?,
        "export" => export(&recording, place.path())?,
        "seek" => {
            let directory = PathBuf::from(rest.first().context("in which directory?")?);
            let gigabytes: u64 = rest.get(1).map_or(Ok(10), |text| text.parse())?;
            seek(&recording, place.path(), &directory, gigabytes * 1_000_000_000)?;
        }
        _ => bail!("append, size, replay, again, export or seek"),
    }
    println!("memory at peak    {} kB", peak()?);
    Ok(())
}

fn events(recording: &Path) -> Result<Vec<Event>> {
    Ok(open(&[recording.to_owned()], &Selection::default())?.events().collect::<Result<_, _>>()?)
}

fn append(recording: &Path, place: &Path) -> Result<()> {
    let events = events(recording)?;
    println!("{} events in memory: {} kB", events.len(), peak()?);
    let mut speeds = Vec::new();
    for run in 0..5 {
        let mut writer = Writer::create(&place.join(format!("{run}.poa")), &Header::default(), 3)?;
        let mut packer = Packer::default();
        let start = cpu()?;
        for event in &events {
            packer.push(event);
            if packer.is_full() {
                writer.frame(&mut packer)?;
            }
        }
        writer.frame(&mut packer)?;
        speeds.push(events.len() as f64 / (cpu()? - start).as_secs_f64());
        println!("append            {:.0} k events/s, {} bytes", speeds[run] / 1000.0, writer.size());
    }
    median("append", speeds);
    Ok(())
}

fn size(recording: &Path, place: &Path) -> Result<()> {
    let (mut live, mut packer) = (Writer::create(&place.join("live.poa"), &Header::default(), 3)?, Packer::default());
    let mut counted = Counted::default();
    let (mut began, mut raw, mut count) = (0, 0_u64, 0_u64);
    let mut buffer = Vec::new();
    {
        let mut baseline = zstd::Encoder::new(&mut counted, 19)?;
        for event in open(&[recording.to_owned()], &Selection::default())?.events() {
            let event = event?;
            if packer.is_full() || (packer.events() > 0 && event.time.saturating_sub(began) >= 5_000_000_000) {
                live.frame(&mut packer)?;
            }
            if packer.events() == 0 {
                began = event.time;
            }
            packer.push(&event);
            buffer.clear();
            event::recording::write(&event, &mut buffer);
            std::io::Write::write_all(&mut baseline, &buffer)?;
            raw += buffer.len() as u64;
            count += 1;
        }
        baseline.finish()?;
    }
    live.frame(&mut packer)?;
    let live = live.finish()?;
    let packed = place.join("packed.poa");
    let start = cpu()?;
    let packed = copy(&[recording.to_owned()], &Selection::default(), &packed, 0)?.bytes;
    let speed = count as f64 / (cpu()? - start).as_secs_f64();
    let ratio = |bytes: u64| bytes as f64 / counted.0 as f64;
    println!("events            {count}, {raw} bytes as protobuf");
    println!("zstd -19          {} bytes", counted.0);
    println!("frames of 5 s     {live} bytes, {:.3}", ratio(live));
    println!("packed            {packed} bytes, {:.3}; {:.0} k events/s at level {LEVEL}", ratio(packed), speed / 1000.0);
    Ok(())
}

fn replay(recording: &Path, place: &Path) -> Result<()> {
    let packed = place.join("packed.poa");
    copy(&[recording.to_owned()], &Selection::default(), &packed, 0)?;
    let mut speeds = Vec::new();
    for _ in 0..5 {
        let start = cpu()?;
        let mut counts = [0_u64; event::KindId::ALL.len()];
        let mut count = 0;
        for event in open(std::slice::from_ref(&packed), &Selection::default())?.events() {
            if let Some(id) = event?.id() {
                counts[id.index()] += 1;
            }
            count += 1;
        }
        black_box(counts);
        speeds.push(f64::from(count) / (cpu()? - start).as_secs_f64());
    }
    median("replay", speeds);
    Ok(())
}

fn again(recording: &Path, place: &Path) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (first, second) = (place.join("first"), place.join("second"));
    let start = Instant::now();
    runtime.block_on(archived(recording, &first))?;
    runtime.block_on(archived(&first, &second))?;
    // what the archive says of itself comes on top
    let events = |path: PathBuf| -> Result<_> {
        let is_recorded = |event: &Result<Event, _>| event.as_ref().map_or(true, |event| event.source() != event::Source::Tool);
        Ok(open(&[path], &Selection::default())?.events().filter(is_recorded))
    };
    let (mut live, mut one, mut two) = (events(recording.to_owned())?, events(first)?, events(second)?);
    let mut count = 0_u64;
    loop {
        let [live, one, two] = [live.next().transpose()?, one.next().transpose()?, two.next().transpose()?];
        anyhow::ensure!(live == one && one == two, "event {count} differs: {live:?}, {one:?}, {two:?}");
        if live.is_none() {
            break;
        }
        count += 1;
    }
    println!("again             {count} events, all equal; {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// What a recording plays into a bus at maximum speed, archived from there.
async fn archived(recording: &Path, to: &Path) -> Result<()> {
    #[derive(clap::Parser)]
    struct Defaults {
        #[command(flatten)]
        archive: Config,
    }
    let bus = bus::Bus::local();
    // what the archive says of itself is no part of what it was asked to keep
    let filter = event::Filter::parse(["!health.archived"])?;
    let events = bus.subscribe(filter, bus::Limits::default()).await?;
    let config = Config { archive: Some(to.to_owned()), ..<Defaults as clap::Parser>::parse_from([""]).archive };
    let recording_of = tokio::spawn(record::run(config, Store::open(to)?, events, bus.clone()));
    extract::replay::run(open(&[recording.to_owned()], &Selection::default())?.events(), extract::replay::Pace::Max, &bus).await?;
    bus.close().await;
    recording_of.await?
}

fn export(recording: &Path, place: &Path) -> Result<()> {
    let packed = place.join("packed.poa");
    copy(&[recording.to_owned()], &Selection::default(), &packed, 0)?;
    let mut speeds = Vec::new();
    for run in 0..5 {
        let directory = place.join(run.to_string());
        let job = Job {
            recordings: vec![packed.clone()],
            selection: Selection::default(),
            format: Format::Parquet,
            license: None,
            redactor: None,
            limits: Limits::default(),
        };
        let target = Target::directory(&directory)?;
        let start = cpu()?;
        let exported = export::run(job, &target, "", &Progress::default(), &AtomicBool::new(false))?;
        speeds.push(exported.events as f64 / (cpu()? - start).as_secs_f64());
        anyhow::ensure!(exported.rows == exported.events, "{} events, {} rows", exported.events, exported.rows);
        println!("export            {:.0} k events/s, {} files, {} bytes", speeds[run] / 1000.0, exported.files, exported.bytes);
    }
    median("export", speeds);
    Ok(())
}

fn seek(recording: &Path, place: &Path, directory: &Path, size: u64) -> Result<()> {
    if segments(directory).map_or(0, |kept| kept.iter().map(|kept| kept.size).sum()) < size {
        generate(recording, place, directory, size)?;
    }
    let kept = segments(directory)?;
    let bounds = |path: &Path| -> Result<(u64, u64)> {
        let segment = Segment::open(path, |_, _| true)?.context("a segment")?;
        let first = segment.entries.first().context("a frame")?.head.first;
        Ok((first, segment.entries.last().context("a frame")?.head.last))
    };
    let first = bounds(&kept.first().context("a segment")?.path)?.0;
    let last = bounds(&kept.last().context("a segment")?.path)?.1;
    let total: u64 = kept.iter().map(|kept| kept.size).sum();
    println!("{} segments, {total} bytes, {} minutes", kept.len(), (last - first) / MINUTE);
    let mut took = Vec::new();
    for number in 0..101_u64 {
        // all over the archive, no two near each other
        let minute = (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11) % ((last - first) / MINUTE);
        let from = first + minute * MINUTE;
        let start = Instant::now();
        let selection = Selection { times: from..=u64::MAX, ..Selection::default() };
        let event = open(&[directory.to_owned()], &selection)?.events().next().context("an event")??;
        took.push(start.elapsed());
        assert!(event.time >= from && event.time < from + MINUTE, "{} is not in the minute from {from}", event.time);
    }
    took.sort_unstable();
    println!("first of a minute {:.1} ms median, {:.1} ms at most, of {}", ms(took[50]), ms(took[100]), took.len());
    Ok(())
}

const MINUTE: u64 = 60_000_000_000;

/// The recording, one after another at later and later times, until it is as large.
fn generate(recording: &Path, place: &Path, directory: &Path, size: u64) -> Result<()> {
    let packed = place.join("packed.poa");
    copy(&[recording.to_owned()], &Selection::default(), &packed, 0)?;
    let source = Segment::open(&packed, |_, _| true)?.context("a segment")?;
    let first = source.entries.iter().map(|entry| entry.head.first).min().context("a frame")?;
    let last = source.entries.iter().map(|entry| entry.head.last).max().context("a frame")?;
    let store = Store::open(directory)?;
    let (mut shift, mut total) = (0, 0);
    while total < size {
        let header = Header { created: first + shift, ..Header::default() };
        // only for its name
        let path = store.begin(&header, 1)?.path().to_owned();
        let mut bytes = header.to_bytes();
        let mut index = Index::default();
        while bytes.len() < 64 << 20 {
            for entry in &source.entries {
                let (head, body) = shifted(&entry.head, &source.body(entry)?, shift)?;
                let head_bytes = head.to_bytes();
                index.push(bytes.len() as u64, &head, &head_bytes);
                bytes.extend(head_bytes);
                bytes.extend(body);
            }
            shift += last - first + 1_000_000;
        }
        let end = index.to_bytes(bytes.len() as u64);
        bytes.extend(end);
        total += bytes.len() as u64;
        std::fs::write(path, bytes)?;
    }
    Ok(())
}

/// A frame at another time. Only its first time counts from the beginning of time.
fn shifted(head: &Head, body: &[u8], shift: u64) -> Result<(Head, Vec<u8>)> {
    const WIDTHS: usize = 5;
    let (mut sections, mut rest) = (Vec::new(), body);
    for section in &head.sections {
        let (stored, more) = rest.split_at(section.stored as usize);
        rest = more;
        sections.push(stored.to_vec());
    }
    let planes = WIDTHS + 1..head.sections.len();
    anyhow::ensure!(planes.len() == 8, "a first time of eight bytes");
    let raw = |number: usize, stored: &[u8]| match head.sections[number] {
        Section { compressed: true, raw, .. } => zstd::bulk::decompress(stored, raw as usize),
        _ => Ok(stored.to_vec()),
    };
    let mut head = head.clone();
    let mut first = [0; 8];
    for (byte, number) in first.iter_mut().zip(planes.clone()) {
        sections[number] = raw(number, &sections[number])?;
        *byte = sections[number][0];
    }
    // zigzag: twice the time
    let first = (u64::from_le_bytes(first) + 2 * shift).to_le_bytes();
    for (byte, number) in first.iter().zip(planes) {
        sections[number][0] = *byte;
        let length = sections[number].len() as u32;
        head.sections[number] = Section { stored: length, raw: length, compressed: false };
    }
    let body = sections.concat();
    head.first += shift;
    head.last += shift;
    head.body_checksum = event::archive::checksum(&body);
    Ok((head, body))
}

#[derive(Default)]
struct Counted(u64);

impl std::io::Write for &mut Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn median(what: &str, mut speeds: Vec<f64>) {
    speeds.sort_by(f64::total_cmp);
    println!("{what:<17} {:.0} k events/s ({:.0} to {:.0})", speeds[2] / 1000.0, speeds[0] / 1000.0, speeds[4] / 1000.0);
}

fn ms(length: Duration) -> f64 {
    length.as_secs_f64() * 1000.0
}

/// CPU time of this thread.
fn cpu() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(Duration::from_nanos(stat.split(' ').next().context("a number")?.parse()?))
}

/// Most memory that this process ever had, in kB.
fn peak() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("a line")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
