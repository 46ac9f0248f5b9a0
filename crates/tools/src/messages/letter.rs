//! What is said of a change of an incident, to whoever is not at the screen.

use bitcoin::hashes::{Hash as _, HashEngine as _, Hmac, HmacEngine, sha256};
use detect::FLEET;
use detect::incident::Told;
use event::redact::Redactor;
use event::{Event, Incident, IncidentState, Severity, Source};
use serde_json::{Value, json};

use crate::incidents::words;

/// A message.
#[derive(Clone, Debug)]
pub struct Letter {
    /// Of which incident, and as of which change of it.
    pub number: u64,
    /// Grows with each change.
    pub revision: u64,
    /// The book, in a form that says nothing.
    pub book: String,
    /// `opened`, `worse`, …
    pub change: &'static str,
    /// `inv_queue (D39) at alice`
    pub title: String,
    /// Headings and what stands below.
    pub paragraphs: Vec<(&'static str, String)>,
    /// As others may see it.
    pub incident: Incident,
    /// How often its receiver understood it and did not want it.
    pub refusals: u32,
}

/// Makes letters: the one place where incidents become something that leaves.
pub struct Writer {
    redactor: Option<Redactor>,
    book: String,
}

impl Writer {
    /// One for a book with this key. `plain`: nothing is redacted.
    pub fn new(key: [u8; 32], plain: bool) -> Self {
        let mut engine = HmacEngine::<sha256::Hash>::new(&key);
        engine.input(b"peer-observer messages 1\0");
        let name = Hmac::from_engine(engine).to_byte_array();
        let book = name[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Self { redactor: (!plain).then(|| Redactor::new(key)), book }
    }

    /// What the book is called in letters.
    pub fn book(&self) -> &str {
        &self.book
    }

    /// The letter of a change; `None` for what is not told.
    pub fn write(&mut self, told: &Told) -> Option<Letter> {
        let event = Event { time: told.time, ..Event::new(FLEET, Source::Tool, told.kind.clone()) };
        let event = match &mut self.redactor {
            Some(redactor) => {
                // an incident is of the fleet, and names nodes
                let places = detect::incident::of(&told.kind).map_or(&[][..], |incident| incident.places.as_slice());
                places.iter().for_each(|place| redactor.add_name(&place.node));
                redactor.redact(event)?
            }
            None => event,
        };
        let kind = event.kind.as_ref()?;
        // neither is news for people: of what nobody knows any more they hear when the incident is over by that
        if matches!(kind, event::Kind::IncidentKept(_)) || matches!(kind, event::Kind::IncidentChanged(of) if of.unheard > 0) {
            return None;
        }
        let incident = detect::incident::of(kind)?.clone();
        Some(Letter {
            number: incident.number,
            revision: incident.revision,
            book: self.book.clone(),
            change: words::change(kind),
            title: words::title(&incident),
            paragraphs: words::paragraphs(&incident),
            incident,
            refusals: 0,
        })
    }
}

impl Letter {
    /// Whether an alert ends with it.
    pub fn is_over(&self) -> bool {
        self.incident.state() == IncidentState::Resolved
    }

    /// How bad it is.
    pub fn severity(&self) -> Severity {
        self.incident.severity()
    }

    /// The first line.
    pub fn subject(&self) -> String {
        let severity = self.severity().word().to_ascii_uppercase();
        format!("[{severity}] incident {} {}: {}", self.number, self.change, self.title)
    }

    /// All of it, as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (heading, paragraph) in &self.paragraphs {
            text.push_str(&format!("{heading}: {paragraph}\n\n"));
        }
        text.push_str(&format!("peer-observer incidents show {}\n", self.number));
        text
    }

    /// All of it, for programs.
    pub fn json(&self) -> Value {
        let paragraphs: Vec<Value> =
            self.paragraphs.iter().map(|(heading, text)| json!({"heading": heading, "text": text})).collect();
        json!({
            "version": 1,
            "type": "incident",
            "book": self.book,
            "number": self.number,
            "revision": self.revision,
            "change": self.change,
            "title": self.title,
            "severity": self.severity().word(),
            "state": self.incident.state().word(),
            "subject": self.subject(),
            "paragraphs": paragraphs,
            "incident": serde_json::to_value(&self.incident).unwrap_or(Value::Null),
        })
    }
}
