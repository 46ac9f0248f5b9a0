//! The view for strangers: everything goes through the one redaction function before anything else looks at it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use event::redact::Redactor;
use event::{Event, HealthLost, Source};

/// The key of this output.
pub struct Key([u8; 32]);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Reads a key: 32 bytes.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is no key.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| format!("failed to read the key file {}", path.display()))?;
        match bytes.as_slice().try_into() {
            Ok(key) => Ok(Self(key)),
            Err(_) => bail!(
                "the key file {} has {} bytes, and a key has 32; make one with `head -c 32 /dev/urandom`",
                path.display(),
                bytes.len()
            ),
        }
    }
}

/// Makes events fit for strangers.
#[derive(Debug)]
pub struct View(Redactor);

impl View {
    /// A view under a key.
    pub fn new(key: &Key) -> Self {
        Self(Redactor::new(key.0))
    }

    /// Looks at an event that comes later.
    pub fn learn(&mut self, event: &Event) {
        self.0.learn(event);
    }

    /// An event as strangers may see it.
    pub fn event(&mut self, event: Arc<Event>) -> Option<Arc<Event>> {
        // an incident is of the fleet, and names nodes
        let incident = event.kind.as_ref().and_then(detect::incident::of);
        for place in incident.map_or(&[][..], |incident| incident.places.as_slice()) {
            self.0.add_name(&place.node);
        }
        self.0.redact(Arc::unwrap_or_clone(event)).map(Arc::new)
    }

    /// What strangers call a node.
    pub fn node(&mut self, name: &str) -> String {
        // redacted like any other event: there is one place where that is decided
        let event = Event::new(name, Source::Tool, HealthLost::default());
        self.0.redact(event).map_or_else(String::new, |event| event.node)
    }
}
