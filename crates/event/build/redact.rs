//! What `proto/redaction.txt` decides, as code: a match over all kinds, and a function per message that deals with all its fields.
//!
//! Nothing is left to chance: a field that the page does not name, a name that the schema does not have, a decision that does not go
//! with the field's type, and text or bytes that would be kept as they are, each end the build.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::{EventKind, Result, Schema, rust_name};

/// The section for what all messages of the family have.
const NET: &str = "Net*";

/// What to do with a field.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule<'a> {
    Always(&'a str),
    /// By the direction of the message.
    Either {
        inbound: &'a str,
        outbound: &'a str,
    },
}

/// The page.
struct Page<'a> {
    /// By message, by field.
    rules: BTreeMap<&'a str, BTreeMap<&'a str, Rule<'a>>>,
    withheld: BTreeSet<&'a str>,
}

impl<'a> Page<'a> {
    fn parse(text: &'a str) -> Result<Self> {
        let mut page = Self { rules: BTreeMap::new(), withheld: BTreeSet::new() };
        let mut message = "";
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let Some(decision) = line.strip_prefix("  ") else {
                message = line;
                if page.rules.insert(message, BTreeMap::new()).is_some() {
                    return Err(wrong(message, "is there twice"));
                }
                continue;
            };
            if decision == "withheld" {
                page.withheld.insert(message);
                continue;
            }
            let (rule, fields) = decision.split_once(": ").ok_or_else(|| wrong(message, "has a line without fields"))?;
            let rule = match rule.strip_prefix("inbound ").and_then(|rest| rest.split_once(", outbound ")) {
                Some((inbound, outbound)) => Rule::Either { inbound, outbound },
                None => Rule::Always(rule),
            };
            let rules = page.rules.get_mut(message).ok_or("a decision before the first message")?;
            for field in fields.split(' ') {
                if rules.insert(field, rule).is_some() {
                    return Err(wrong(&format!("{message}.{field}"), "is decided twice"));
                }
            }
        }
        Ok(page)
    }

    /// Every message and every field has its place, and nothing else has.
    fn check(&self, schema: &Schema) -> Result<()> {
        let known = |name: &str| name == NET || schema.messages.iter().any(|message| message.name() == name);
        if let Some(stranger) = self.rules.keys().find(|name| !known(name)) {
            return Err(wrong(stranger, "is no message of the schema"));
        }
        for message in &schema.messages {
            let name = message.name();
            let own = self.rules.get(name).ok_or_else(|| wrong(name, "is not decided on"))?;
            if let Some(stranger) = own.keys().find(|field| message.get_field_by_name(field).is_none()) {
                return Err(wrong(&format!("{name}.{stranger}"), "is no field of the schema"));
            }
            if self.withheld.contains(name) {
                continue;
            }
            for field in message.fields().filter(|field| !is_kind(field)) {
                let field = field.name();
                self.rule(schema, message, field).ok_or_else(|| wrong(&format!("{name}.{field}"), "is not decided on"))?;
            }
        }
        Ok(())
    }

    fn rule(&self, schema: &Schema, message: &MessageDescriptor, field: &str) -> Option<Rule<'a>> {
        let common = || {
            let net = schema.family("net").any(|kind| kind.message == *message);
            self.rules.get(NET).filter(|_| net)?.get(field).copied()
        };
        self.rules.get(message.name())?.get(field).copied().or_else(common)
    }
}

/// The kinds in the envelope: each is decided on by itself.
fn is_kind(field: &FieldDescriptor) -> bool {
    field.containing_oneof().is_some_and(|oneof| oneof.name() == "kind")
}

fn wrong(what: &str, why: &str) -> Box<dyn std::error::Error> {
    format!("proto/redaction.txt: {what} {why} (docs/redaction.md says how to decide)").into()
}

/// Writes the code.
struct Writer<'a> {
    schema: &'a Schema,
    page: Page<'a>,
    /// What is done, in the order of the numbers by which the code refers to it.
    rules: Vec<(String, String, String)>,
    /// Messages that hold an address of the node's own, themselves or in their parts.
    learned_from: BTreeSet<String>,
}

pub fn code(schema: &Schema, page: &str) -> Result<String> {
    let page = Page::parse(page)?;
    page.check(schema)?;
    let mut writer = Writer { schema, page, rules: Vec::new(), learned_from: BTreeSet::new() };
    let mut out = String::new();
    for message in schema.messages.iter().filter(|message| message.name() != "Event") {
        writer.learning(message)?;
    }
    for message in schema.messages.iter().filter(|message| message.name() != "Event") {
        writer.message(message, &mut out)?;
    }
    writer.kinds(&mut out)?;
    writer.envelope(&mut out)?;
    writeln!(out, "/// Every rule that changes something: message, field, what is done. Its place is its number.")?;
    writeln!(out, "#[cfg(test)]\nconst RULES: &[(&str, &str, &str)] = &[")?;
    for (message, field, rule) in &writer.rules {
        writeln!(out, "    ({message:?}, {field:?}, {rule:?}),")?;
    }
    writeln!(out, "];")?;
    Ok(out)
}

impl Writer<'_> {
    fn number(&mut self, message: &str, field: &str, rule: &str) -> usize {
        self.rules.push((message.to_owned(), field.to_owned(), rule.to_owned()));
        self.rules.len() - 1
    }

    /// Finds out, parts first, whether there is something to learn from a message.
    fn learning(&mut self, message: &MessageDescriptor) -> Result<bool> {
        if self.learned_from.contains(message.name()) || self.page.withheld.contains(message.name()) {
            return Ok(self.learned_from.contains(message.name()));
        }
        let mut found = false;
        for field in message.fields() {
            found |= match self.rule_of(message, &field)? {
                Rule::Always("own" | "claimed") | Rule::Either { inbound: "own" | "claimed", .. } => true,
                Rule::Either { outbound: "own" | "claimed", .. } => {
                    return Err(wrong(field.full_name(), "is the peer's, outbound"));
                }
                Rule::Always("parts") => {
                    let Kind::Message(part) = field.kind() else { return Err(wrong(field.full_name(), "has no parts")) };
                    self.learning(&part)?
                }
                _ => false,
            };
        }
        if found {
            self.learned_from.insert(message.name().to_owned());
        }
        Ok(found)
    }

    fn rule_of(&self, message: &MessageDescriptor, field: &FieldDescriptor) -> Result<Rule<'_>> {
        self.page.rule(self.schema, message, field.name()).ok_or_else(|| wrong(field.full_name(), "is not decided on"))
    }

    fn message(&mut self, message: &MessageDescriptor, out: &mut String) -> Result<()> {
        if self.page.withheld.contains(message.name()) {
            return Ok(());
        }
        let (mut redact, mut learn) = (String::new(), String::new());
        for field in message.fields() {
            match self.rule_of(message, &field)? {
                Rule::Always(rule) => {
                    let rule = rule.to_owned();
                    redact += &self.apply(message, &field, &rule, &rule)?;
                    learn += &self.learn(&field, &rule);
                }
                Rule::Either { inbound, outbound } => {
                    if message.get_field_by_name("direction").is_none() {
                        return Err(wrong(field.full_name(), "depends on a direction that its message does not have"));
                    }
                    let (inbound, outbound) = (inbound.to_owned(), outbound.to_owned());
                    let one = self.apply(message, &field, &inbound, &format!("inbound {inbound}"))?;
                    let other = self.apply(message, &field, &outbound, &format!("outbound {outbound}"))?;
                    let neither = self.apply(message, &field, "clear", "neither clear")?;
                    write!(
                        redact,
                        "        match self.direction() {{\n            Direction::Inbound => {{ {one} }}\n            Direction::Outbound => \
                         {{ {other} }}\n            Direction::Unspecified => {{ {neither} }}\n        }}\n"
                    )?;
                    let learned = self.learn(&field, &inbound);
                    if !learned.is_empty() {
                        writeln!(learn, "        if self.direction() == Direction::Inbound {{ {learned} }}")?;
                    }
                }
            }
        }
        writeln!(out, "impl Redact for {} {{", message.name())?;
        if !learn.is_empty() {
            writeln!(out, "    fn learn(&self, own: &mut Own) {{\n{learn}    }}\n")?;
        }
        let by = if redact.is_empty() { "_" } else { "by" };
        let stays = redact.contains("stays");
        writeln!(out, "    fn redact(&mut self, {by}: &Redactor) -> bool {{")?;
        if stays {
            writeln!(out, "        let mut stays = true;")?;
        }
        writeln!(out, "{redact}        {}\n    }}\n}}\n", if stays { "stays" } else { "true" })?;
        Ok(())
    }

    fn learn(&self, field: &FieldDescriptor, rule: &str) -> String {
        let name = rust_name(field.name());
        match (rule, field.kind()) {
            ("own" | "claimed", _) if field.supports_presence() => {
                format!("        if let Some(v) = &self.{name} {{ own.{rule}(v); }}\n")
            }
            ("own" | "claimed", _) => format!("        own.{rule}(&self.{name});\n"),
            ("parts", Kind::Message(part)) if self.learned_from.contains(part.name()) => {
                format!("        self.{name}.iter().for_each(|v| v.learn(own));\n")
            }
            _ => String::new(),
        }
    }

    fn apply(&mut self, message: &MessageDescriptor, field: &FieldDescriptor, rule: &str, full: &str) -> Result<String> {
        let name = rust_name(field.name());
        let text = self.schema.text_of(field);
        let misfit = || Err(wrong(field.full_name(), &format!("cannot be `{rule}`")));
        // text and bytes may hold anything: there is always more to say than `keep`
        let harmless =
            !matches!(field.kind(), Kind::String | Kind::Message(_)) && (field.kind() != Kind::Bytes || text == "TEXT_HASH");
        match (rule, field.kind()) {
            ("keep", _) if harmless => return Ok(String::new()),
            ("public", Kind::Bytes) if text == "TEXT_HEX" => return Ok(String::new()),
            ("parts", Kind::Message(part)) => {
                if self.page.withheld.contains(part.name()) {
                    return misfit();
                }
                return Ok(if field.is_list() {
                    format!("        self.{name}.retain_mut(|v| v.redact(by));\n")
                } else {
                    format!("        if self.{name}.as_mut().is_some_and(|v| !v.redact(by)) {{ self.{name} = None; }}\n")
                });
            }
            _ => {}
        }
        let number = self.number(message.name(), field.name(), full);
        let each = |call: String| {
            if field.is_list() {
                format!("        for v in &mut self.{name} {{ {call}; }}\n")
            } else if field.supports_presence() {
                format!("        if let Some(v) = &mut self.{name} {{ {call}; }}\n")
            } else {
                format!("        {{ let v = &mut self.{name}; {call}; }}\n")
            }
        };
        Ok(match (rule, field.kind()) {
            ("clear", _) => format!("        by.clear({number}, &mut self.{name});\n"),
            ("own" | "claimed", Kind::String) if !field.is_list() => format!("        by.clear({number}, &mut self.{name});\n"),
            ("count", Kind::Fixed64) if field.is_list() => {
                format!("        if !by.spares({number}) {{ self.{name}.fill(0); }}\n")
            }
            ("day", Kind::Uint32 | Kind::Uint64) if text == "TEXT_TIME_SECONDS" => {
                each(format!("if !by.spares({number}) {{ *v -= *v % 86_400 }}"))
            }
            ("words" | "agent", Kind::String) => each(format!("by.{rule}({number}, v)")),
            ("peer", Kind::String) if !field.is_list() => each(format!("stays &= by.peer({number}, v)")),
            ("peer", Kind::Bytes) if text == "TEXT_ADDRESS" && !field.is_list() && !field.supports_presence() => {
                let network = self.schema.network_of(field);
                format!("        let network = {network};\n        stays &= by.gossiped({number}, network, &mut self.{name});\n")
            }
            _ => return misfit(),
        })
    }

    fn kinds(&mut self, out: &mut String) -> Result<()> {
        let withheld = |page: &Page<'_>, kind: &EventKind| page.withheld.contains(kind.message.name());
        writeln!(
            out,
            "/// Learns what an event says of the node's own addresses.\nfn learn_from(kind: &Kind, own: &mut Own) {{\n    match kind {{"
        )?;
        for kind in &self.schema.kinds {
            let (binding, call) = if self.learned_from.contains(kind.message.name()) { ("m", "m.learn(own)") } else { ("_", "()") };
            writeln!(out, "        Kind::{}({binding}) => {call},", kind.variant)?;
        }
        writeln!(out, "    }}\n}}\n\n/// The kinds from which it learns.\nconst TEACHING: &[KindId] = &[")?;
        for kind in self.schema.kinds.iter().filter(|kind| self.learned_from.contains(kind.message.name())) {
            writeln!(out, "    KindId::{},", kind.variant)?;
        }
        writeln!(out, "];\n\n/// Whether a kind may leave; if so, it has become what may.")?;
        writeln!(out, "fn redact_kind(kind: &mut Kind, by: &Redactor) -> bool {{\n    match kind {{")?;
        for kind in &self.schema.kinds {
            if withheld(&self.page, kind) {
                let number = self.number(kind.message.name(), "", "withheld");
                writeln!(out, "        Kind::{}(_) => by.spares({number}),", kind.variant)?;
            } else {
                // an own address that stands alone is emptied; the event stays
                writeln!(out, "        Kind::{}(m) => {{ m.redact(by); true }}", kind.variant)?;
            }
        }
        writeln!(out, "    }}\n}}\n")?;
        Ok(())
    }

    /// The envelope is dealt with by hand; here is what by.
    fn envelope(&mut self, out: &mut String) -> Result<()> {
        for (name, rule) in self.page.rules.get("Event").into_iter().flatten() {
            let fine = match rule {
                Rule::Always("keyed") => matches!(*name, "node" | "node_run" | "run"),
                Rule::Always("keep") => matches!(*name, "source" | "sequence" | "time" | "replay"),
                _ => false,
            };
            if !fine {
                return Err(wrong(&format!("Event.{name}"), "is not what `redact.rs` does with it"));
            }
        }
        for name in ["node", "node_run", "run"] {
            let number = self.number("Event", name, "keyed");
            writeln!(out, "const {}: usize = {number};", name.to_uppercase())?;
        }
        let number = self.number("", "", "own addresses go");
        writeln!(out, "const OWN: usize = {number};\n")?;
        Ok(())
    }
}
