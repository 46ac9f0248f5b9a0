//! The logger: a line per event.

mod days;
mod line;

use std::io::{self, Write};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bus::{Delivery, Subscription};
use event::{Direction, Event, Filter, KindId, LossStage};

pub use days::{Date, Days};
pub use line::{Colour, Line, Values};

use crate::Complaint;

/// What to print, and how.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Config {
    /// How to print an event
    ///
    /// `text` is for people: a line begins with the time of day, in UTC, and a line with the date stands where it changes. `json` is one object per line, the same form that every other part of this program uses; see
    /// `peer-observer events` for its fields.
    #[arg(long, value_enum, default_value_t = Format::Text, value_name = "FORMAT")]
    pub format: Format,

    /// Colours: only on a terminal, always, or never
    ///
    /// `auto` also honours the environment variable NO_COLOR.
    #[arg(long, value_enum, default_value_t = ColourChoice::Auto, value_name = "WHEN")]
    pub color: ColourChoice,

    /// Only these kinds of events, by name or pattern: `net.ping`, `conn`, `net.*block*`, `!net.inv`
    ///
    /// May be given several times or with commas between. A pattern that begins with `!` takes away. `peer-observer events` lists all
    /// kinds. `health.beat` and `health.archived`, once a second or so, are printed only when asked for by name.
    #[arg(long, value_delimiter = ',', value_name = "PATTERN")]
    pub kinds: Vec<String>,

    /// Only P2P messages that go this way, seen from the node: `inbound` or `outbound`
    ///
    /// Takes away every event that is not a P2P message.
    #[arg(long, value_name = "DIRECTION")]
    pub direction: Option<Way>,

    /// Only what concerns these peers, by id
    #[arg(long, value_delimiter = ',', value_name = "ID")]
    pub peer: Vec<u64>,

    /// Only what concerns peers whose address begins so: `1.2.3.4`, `[2001:db8`
    #[arg(long, value_delimiter = ',', value_name = "PREFIX")]
    pub address: Vec<String>,
}

/// What says again and again that all is well: nobody reads that.
const REGULAR: [KindId; 2] = [KindId::HealthBeat, KindId::HealthArchived];

/// How to print an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Format {
    /// A line for people.
    Text,
    /// A JSON object per line.
    Json,
}

/// When to use colours.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum ColourChoice {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Which way a message goes, as a person types it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Way(pub Direction);

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "inbound" | "in" => Ok(Self(Direction::Inbound)),
            "outbound" | "out" => Ok(Self(Direction::Outbound)),
            _ => Err("a direction is `inbound` (to the node) or `outbound` (from it)".into()),
        }
    }
}

impl Config {
    /// What the bus has to deliver for this.
    ///
    /// # Errors
    ///
    /// A pattern that matches no kind.
    pub fn filter(&self) -> Result<Filter, event::FilterError> {
        let mut filter = Filter::parse(self.kinds.iter().map(String::as_str))?;
        let named = |id: KindId| self.kinds.iter().any(|pattern| !pattern.starts_with('!') && pattern.contains(id.short_name()));
        filter.kinds = filter.kinds.iter().filter(|id| !REGULAR.contains(id) || named(*id)).collect();
        Ok(filter)
    }

    /// Everything but what comes regularly, as JSON: for a program that reads a pipe.
    pub fn json() -> Self {
        Self { format: Format::Json, color: ColourChoice::Never, kinds: vec![], direction: None, peer: vec![], address: vec![] }
    }

    /// Whether it should be printed; what the bus cannot select by.
    fn wants(&self, event: &Event) -> bool {
        let Some(kind) = &event.kind else { return false };
        self.direction.is_none_or(|way| kind.net().is_some_and(|net| net.direction == way.0))
            && (self.peer.is_empty() || kind.peer().is_some_and(|peer| self.peer.contains(&peer)))
            && (self.address.is_empty() || self.address.iter().any(|prefix| kind.address().starts_with(prefix.as_str())))
    }

    fn colour(&self, terminal: bool) -> Colour {
        let auto = || terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        match self.color {
            ColourChoice::Always => Colour::On,
            ColourChoice::Auto if auto() => Colour::On,
            ColourChoice::Auto | ColourChoice::Never => Colour::Off,
        }
    }
}

/// Prints until the subscription ends, or until nobody reads what is printed.
///
/// # Errors
///
/// The output cannot be written.
pub async fn run(config: Config, mut events: Subscription, mut output: impl Write, terminal: bool) -> anyhow::Result<()> {
    const BATCH: usize = 1024;
    let mut printer = Printer { colour: config.colour(terminal), config, days: None, text: Vec::new() };
    let mut batch = Vec::with_capacity(BATCH);
    let mut complaint = Complaint::default();
    while events.next_batch(&mut batch, BATCH).await {
        complaint.look(events.stats());
        for delivery in batch.drain(..) {
            printer.print(&delivery)?;
        }
        // one write per batch: as soon as there is nothing more to read, everything is on the screen
        match output.write_all(&printer.text).and_then(|()| output.flush()) {
            Ok(()) => printer.text.clear(),
            // `peer-observer logger | head` is no failure
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(anyhow::Error::new(error).context("failed to write the lines")),
        }
    }
    Ok(())
}

/// Deliveries to text.
struct Printer {
    config: Config,
    colour: Colour,
    /// Begins with the first event: of what is recorded it says the day, of what happens now only another than today.
    days: Option<Days>,
    text: Vec<u8>,
}

impl Printer {
    fn print(&mut self, delivery: &Delivery) -> anyhow::Result<()> {
        match delivery {
            Delivery::Event(event) if self.config.wants(event) => self.event(event),
            Delivery::Event(_) => Ok(()),
            Delivery::Missed(count) => self.event(&missed(*count)),
        }
    }

    fn event(&mut self, event: &Event) -> anyhow::Result<()> {
        match self.config.format {
            Format::Text => {
                let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let begin = || if event.replay { Days::default() } else { Days::since(now()) };
                if let Some(date) = self.days.get_or_insert_with(begin).turn(event.time) {
                    writeln!(self.text, "{date}")?;
                }
                writeln!(self.text, "{}", Line(event, self.colour))?;
            }
            Format::Json => {
                serde_json::to_writer(&mut self.text, event)?;
                self.text.push(b'\n');
            }
        }
        Ok(())
    }
}

/// What a tool's own subscription missed, as an event like any other. It has no time: nobody knows when it happened.
pub fn missed(count: u64) -> Arc<Event> {
    let lost = event::HealthLost { stage: LossStage::Subscription.into(), count, ..Default::default() };
    Arc::new(Event::new("", event::Source::Tool, lost))
}

#[cfg(test)]
mod tests;
