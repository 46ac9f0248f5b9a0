//! `archive info`: what a recording is, from its heads: what, when, who, how complete.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use event::archive::Head;
use event::text::Rfc3339;
use event::{Event, KindId, NodeName, Source};
use serde::Serialize;

use super::amount::{Age, Size, counted};
use super::input;
use super::progress::Progress;
use super::segment::{End, ReadError, Segment};
use super::sequences::{self, Run, Stretch, Stretches};
use super::store::Forecast;

/// What a recording is.
#[derive(Serialize, Debug, Default)]
#[serde(rename_all = "camelCase")]
pub struct Info {
    /// Its files.
    pub files: Vec<FileInfo>,
    /// Events.
    pub events: u64,
    /// Bytes of all files.
    pub bytes: u64,
    /// Bytes of the events as protobuf.
    pub raw_bytes: u64,
    /// The earliest time, nanoseconds since the epoch; absent where there are no events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Time>,
    /// The latest time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Time>,
    /// Who stated the events.
    pub sources: Vec<SourceInfo>,
    /// What they are.
    pub kinds: Vec<KindInfo>,
    /// Losses that were reported in it, by stage.
    pub lost: BTreeMap<&'static str, u64>,
    /// Places that cannot be read.
    pub faults: Vec<String>,
    /// How it grows, if it is an archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forecast: Option<Forecast>,
}

/// A time, as number and as text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Time(pub u64);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Rfc3339::from_nanos(self.0).fmt(f)
    }
}

impl Serialize for Time {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A file of a recording.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct FileInfo {
    /// Where it is.
    pub path: PathBuf,
    /// How many bytes.
    pub bytes: u64,
    /// How many frames; absent for a recording of the first form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frames: Option<usize>,
    /// `finished`, `open`, or `torn` in the middle of a frame.
    pub end: &'static str,
    /// The release that wrote it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub writer: String,
    /// Which kinds were asked for; empty for all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub asked: String,
    /// What of an event was kept.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub profile: String,
}

/// One run of a source.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct SourceInfo {
    /// The node's name.
    pub node: String,
    /// Who states it.
    pub source: &'static str,
    /// When that life of the source began.
    pub run: Time,
    /// Events.
    pub events: u64,
    /// Sequence of the first.
    pub from: u64,
    /// Sequence of the last.
    pub to: u64,
    /// Sequences that are missing between them: not asked for, or lost.
    pub missing: u64,
    /// Events that are there twice, or out of order.
    pub repeated: u64,
}

/// A kind.
#[derive(Serialize, Debug)]
#[serde(rename_all = "camelCase")]
pub struct KindInfo {
    /// Its name, or its number where only a later release knows it.
    pub kind: String,
    /// Events.
    pub events: u64,
    /// Their bytes as protobuf.
    pub bytes: u64,
}

/// Describes recordings: files, or directories of segments.
///
/// Of segments only the heads are read, and the frames in which losses are reported, or events are there twice.
///
/// # Errors
///
/// One of them cannot be read, or is no recording.
pub fn info(paths: &[PathBuf], now: u64) -> Result<Info, ReadError> {
    info_watched(paths, now, &Progress::default())
}

/// As [`info()`]; `progress` is how much was read.
///
/// # Errors
///
/// As [`info()`].
pub fn info_watched(paths: &[PathBuf], now: u64, progress: &Progress) -> Result<Info, ReadError> {
    let mut summary = Summary::watched(progress);
    let mut unread = Vec::new();
    input::each_file(paths, |file| summary.file(file), |error| unread.push(error))?;
    if progress.is_stopped() {
        return Err(ReadError::Stopped);
    }
    unread.iter().for_each(|error| summary.fault(error));
    let mut info = summary.finish();
    if let [directory] = paths
        && directory.is_dir()
    {
        info.forecast = Forecast::of(directory, now).ok();
    }
    Ok(info)
}

/// Describes events that are no recording of ours, by the file or folder they are read from.
pub fn info_of<E: fmt::Display>(path: &Path, events: impl Iterator<Item = Result<Event, E>>) -> Info {
    let mut summary = Summary::default();
    summary.events(path, events);
    summary.finish()
}

/// Adds up heads.
#[derive(Default)]
pub(crate) struct Summary {
    info: Info,
    runs: BTreeMap<Run, Stretches>,
    kinds: BTreeMap<u32, (u64, u64)>,
    progress: Progress,
}

impl Summary {
    /// One that tells how far it is.
    pub(crate) fn watched(progress: &Progress) -> Self {
        Self { progress: progress.clone(), ..Self::default() }
    }

    fn file(&mut self, path: &Path) -> Result<(), ReadError> {
        if self.progress.is_stopped() {
            return Ok(());
        }
        let segment = match Segment::open(path, |_, _| true) {
            Ok(Some(segment)) => segment,
            Ok(None) => return Ok(()),
            Err(ReadError::Foreign { empty: false, .. }) => return self.first_form(path),
            Err(error) => return Err(error),
        };
        self.segment(&segment);
        for entry in &segment.entries {
            self.frame(&entry.head, || {
                let read = sequences::read(&entry.head, &segment.body(entry)?);
                read.map_err(|damage| segment.damaged(entry.place, &damage.to_string()))
            });
        }
        self.progress.add(segment.size);
        if segment.entries.iter().any(|entry| entry.head.has_kind(KindId::HealthLost as u32)) {
            self.losses(path)?;
        }
        Ok(())
    }

    /// What a segment says of itself.
    pub(crate) fn segment(&mut self, segment: &Segment) {
        let fault = |fault: &super::segment::Fault| segment.damaged(fault.offset, &fault.what).to_string();
        self.info.faults.extend(segment.faults.iter().map(fault));
        if let End::Unindexed(offset) = segment.end {
            self.info.faults.push(segment.damaged(offset, "its index; everything in it can be read").to_string());
        }
        self.info.bytes += segment.size;
        self.info.files.push(FileInfo {
            path: segment.path.clone(),
            bytes: segment.size,
            frames: Some(segment.entries.len()),
            end: match segment.end {
                End::Finished | End::Unindexed(_) => "finished",
                End::Open => "open",
                End::Torn(_) => "torn",
            },
            writer: segment.header.writer.clone(),
            asked: segment.header.kinds.clone(),
            profile: segment.header.profile.clone(),
        });
    }

    /// Adds a frame by its head; `read` is asked where that does not tell what is missing.
    fn frame<E: fmt::Display>(&mut self, head: &Head, read: impl FnOnce() -> Result<Vec<(Run, Stretch)>, E>) {
        let mut told = sequences::told(head);
        if !told.certain {
            match read() {
                Ok(stretches) => told.stretches = stretches,
                Err(error) => self.fault(&error),
            }
        }
        self.head(head, told.stretches);
    }

    /// Adds a frame. Its numbers are what somebody wrote there: they may be anything.
    pub(crate) fn head(&mut self, head: &Head, stretches: Vec<(Run, Stretch)>) {
        if head.events == 0 {
            return;
        }
        self.span(head.first, head.last);
        self.info.events = self.info.events.saturating_add(head.events);
        self.info.raw_bytes = self.info.raw_bytes.saturating_add(head.bytes);
        for kind in &head.kinds {
            let (events, bytes) = self.kinds.entry(kind.number).or_default();
            *events = events.saturating_add(kind.events);
            *bytes = bytes.saturating_add(kind.bytes);
        }
        for (run, stretch) in stretches {
            self.runs.entry(run).or_default().push(stretch);
        }
    }

    fn span(&mut self, first: u64, last: u64) {
        let info = &mut self.info;
        info.first = Some(info.first.map_or(Time(first), |known| known.min(Time(first))));
        info.last = info.last.max(Some(Time(last)));
    }

    pub(crate) fn lost(&mut self, event: &Event) {
        if let Some(event::Kind::HealthLost(lost)) = &event.kind {
            let total = self.info.lost.entry(lost.stage().word()).or_default();
            *total = total.saturating_add(lost.count);
        }
    }

    fn losses(&mut self, path: &Path) -> Result<(), ReadError> {
        let kinds = Some([KindId::HealthLost].into_iter().collect());
        let selection = super::Selection { kinds, ..Default::default() };
        let progress = self.progress.apart();
        for event in input::open_watched(&[path.to_owned()], &selection, &progress)?.events() {
            match event {
                Ok(event) => self.lost(&event),
                Err(error) => self.fault(&error),
            }
        }
        Ok(())
    }

    pub(crate) fn fault(&mut self, error: &impl fmt::Display) {
        let text = error.to_string();
        if !self.info.faults.contains(&text) {
            self.info.faults.push(text);
        }
    }

    /// A recording of the first form has no heads.
    pub(crate) fn first_form(&mut self, path: &Path) -> Result<(), ReadError> {
        let progress = self.progress.clone();
        self.events(path, input::open_watched(&[path.to_owned()], &super::Selection::default(), &progress)?.events());
        Ok(())
    }

    /// What has no heads gets some.
    fn events<E: fmt::Display>(&mut self, path: &Path, events: impl Iterator<Item = Result<Event, E>>) {
        let mut packer = event::archive::Packer::default();
        let mut compressor = zstd::bulk::Compressor::new(1).expect("there is memory for it");
        let mut flush = |packer: &mut event::archive::Packer, summary: &mut Self| {
            if let Some((head, frame)) = packer.finish(&mut compressor) {
                summary.frame(&head, || sequences::read(&head, &frame[frame.len() - head.body_length()..]));
            }
        };
        for event in events {
            match event {
                Ok(event) => {
                    self.lost(&event);
                    packer.push(&event);
                    if packer.is_full() {
                        flush(&mut packer, self);
                    }
                }
                Err(error) => self.fault(&error),
            }
        }
        flush(&mut packer, self);
        let bytes = std::fs::metadata(path).map_or(0, |metadata| if metadata.is_file() { metadata.len() } else { 0 });
        self.info.bytes += bytes;
        self.info.files.push(FileInfo {
            path: path.to_owned(),
            bytes,
            frames: None,
            end: "finished",
            writer: String::new(),
            asked: String::new(),
            profile: String::new(),
        });
    }

    pub(crate) fn finish(self) -> Info {
        let source = |((node, source, run), stretches): (Run, Stretches)| {
            let Stretch { first: from, last: to, events, missing, repeated } = stretches.sum();
            let source = Source::try_from(source).unwrap_or_default().word();
            SourceInfo { node, source, run: Time(run), events, from, to, missing, repeated }
        };
        let name = |number: u32| KindId::ALL.into_iter().find(|id| *id as u32 == number).map(|id| id.name().to_owned());
        let kind = |(number, (events, bytes)): (u32, (u64, u64))| KindInfo {
            kind: name(number).unwrap_or(number.to_string()),
            events,
            bytes,
        };
        let mut kinds: Vec<_> = self.kinds.into_iter().map(kind).collect();
        kinds.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.kind.cmp(&b.kind)));
        Info { sources: self.runs.into_iter().map(source).collect(), kinds, ..self.info }
    }
}

impl Info {
    /// Sequences that are missing, of all sources.
    pub fn missing(&self) -> u64 {
        self.sources.iter().fold(0, |sum, source| sum.saturating_add(source.missing))
    }

    /// Events that are there twice, or out of order, of all sources.
    pub fn repeated(&self) -> u64 {
        self.sources.iter().fold(0, |sum, source| sum.saturating_add(source.repeated))
    }
}

/// As a page for people.
impl fmt::Display for Info {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frames: usize = self.files.iter().filter_map(|file| file.frames).sum();
        let (files, frames) = (counted(self.files.len() as u64, "file", "files"), counted(frames as u64, "frame", "frames"));
        writeln!(f, "files     {files}, {frames}, {}", Size(self.bytes))?;
        for file in self.files.iter().filter(|file| file.end != "finished") {
            writeln!(
                f,
                "          {} is {}",
                file.path.display(),
                if file.end == "open" { "being written, or was not ended" } else { "cut in the middle of a frame" }
            )?;
        }
        let ratio = self.raw_bytes as f64 / self.bytes.max(1) as f64;
        writeln!(f, "events    {}, {} as protobuf ({ratio:.1} times as much)", self.events, Size(self.raw_bytes))?;
        if let (Some(first), Some(last)) = (self.first, self.last) {
            let length = Age(std::time::Duration::from_nanos(last.0.saturating_sub(first.0)));
            writeln!(f, "time      {first} to {last} ({length})")?;
        }
        let asked: std::collections::BTreeSet<_> =
            self.files.iter().map(|file| file.asked.as_str()).filter(|asked| !asked.is_empty()).collect();
        for asked in asked {
            writeln!(f, "asked for {asked}")?;
        }
        if let Some(forecast) = &self.forecast {
            writeln!(f, "growth    {forecast}")?;
        }
        writeln!(f, "complete  {}", self.completeness())?;
        for fault in &self.faults {
            writeln!(f, "FAULT     {fault}")?;
        }
        writeln!(f, "\n{:<16} {:<8} {:<30} {:>10} {:>10} {:>10}", "node", "source", "since", "events", "missing", "repeated")?;
        for source in &self.sources {
            let SourceInfo { node, source, run, events, missing, repeated, .. } = source;
            // in a segment a name may be as long as its writer liked
            let end = node.floor_char_boundary(NodeName::MAX);
            let rest = if end < node.len() { "…" } else { "" };
            let node = format!("{}{rest}", event::text::Printable(&node[..end]));
            writeln!(f, "{node:<16} {source:<8} {:<30} {events:>10} {missing:>10} {repeated:>10}", run.to_string())?;
        }
        writeln!(f, "\n{:<32} {:>10} {:>12}", "kind", "events", "bytes")?;
        for KindInfo { kind, events, bytes } in &self.kinds {
            writeln!(f, "{kind:<32} {events:>10} {:>12}", Size(*bytes).to_string())?;
        }
        Ok(())
    }
}

impl Info {
    fn completeness(&self) -> String {
        let mut parts = Vec::new();
        if self.missing() > 0 {
            parts.push(format!("{} missing", counted(self.missing(), "sequence is", "sequences are")));
        }
        if self.repeated() > 0 {
            parts.push(format!("{} there twice or out of order", counted(self.repeated(), "event is", "events are")));
        }
        let lost = self.lost.values().fold(0_u64, |sum, count| sum.saturating_add(*count));
        if lost > 0 {
            let stages: Vec<_> = self.lost.iter().map(|(stage, count)| format!("{count} {stage}")).collect();
            parts.push(format!("{} reported lost ({})", counted(lost, "event was", "events were"), stages.join(", ")));
        }
        let torn = self.files.iter().filter(|file| file.end == "torn").count() as u64;
        if torn > 0 {
            parts.push(format!("{} in the middle of a frame", counted(torn, "file ends", "files end")));
        }
        if !self.faults.is_empty() {
            parts.push(format!("{} cannot be read", counted(self.faults.len() as u64, "place", "places")));
        }
        if parts.is_empty() { "no sequence is missing, no loss was reported".to_owned() } else { parts.join("; ") }
    }
}
