//! How the values of every message get into the columns of an archive's frame and out of them again, without a detour through protobuf:
//! `archive::value::Columnar` for each of them.

use std::fmt::Write as _;

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::{Result, Schema, rust_name};

pub fn code(schema: &Schema) -> Result<String> {
    let mut out = String::new();
    let is_kind = |message: &&MessageDescriptor| schema.kinds.iter().any(|kind| kind.message == **message);
    // the order in which `archive::layout` counts them
    let kinds = schema.kinds.iter().map(|kind| &kind.message);
    let parts = schema.messages.iter().filter(|message| !is_kind(message));
    let mut done: Vec<&MessageDescriptor> = Vec::new();
    for (part, message) in kinds.chain(parts).enumerate() {
        if message.name() != "Event" && !done.contains(&message) {
            done.push(message);
            write_message(message, part, &mut out)?;
        }
    }
    writeln!(out, "/// A message at a node, as the kind of that number; none where this release does not know it.")?;
    writeln!(
        out,
        "pub(super) fn take_kind(number: u32, from: &mut Unpacker, at: Start, into: &mut Option<Kind>) -> Result<(), Damage> {{"
    )?;
    writeln!(out, "    match number {{")?;
    for kind in &schema.kinds {
        let holder = if kind.boxed() { "Box::<" } else { "" };
        let (name, end) = (kind.message.name(), if kind.boxed() { ">" } else { "" });
        writeln!(out, "        {} => {{\n            let mut message = {holder}crate::{name}{end}::default();", kind.number)?;
        writeln!(
            out,
            "            from.kind::<crate::{name}>(at, &mut message)?;\n            *into = Some(Kind::{}(message));\n        }}",
            kind.variant
        )?;
    }
    writeln!(out, "        _ => {{}}\n    }}\n    Ok(())\n}}\n")?;
    writeln!(
        out,
        "/// The message of a kind, to be put into columns.\npub(super) fn message_of(kind: &Kind) -> &dyn Put {{\n    match kind {{"
    )?;
    for kind in &schema.kinds {
        let value = if kind.boxed() { "&**message" } else { "message" };
        writeln!(out, "        Kind::{}(message) => {value},", kind.variant)?;
    }
    writeln!(out, "    }}\n}}")?;
    Ok(out)
}

fn write_message(message: &MessageDescriptor, part: usize, out: &mut String) -> Result<()> {
    let name = message.name();
    let mut fields: Vec<_> = message.fields().collect();
    fields.sort_by_key(FieldDescriptor::number);
    let who = of_peer(&fields);
    writeln!(out, "impl Put for crate::{name} {{")?;
    let row = if fields.is_empty() { "_row" } else { "row" };
    writeln!(out, "    fn put(&self, {row}: &mut Row<'_>) {{")?;
    for field in &fields {
        let put = put(field)?;
        // who a peer is stands elsewhere
        let apart = who && matches!(field.number(), 1 | 3 | 4 | 5);
        writeln!(out, "        {}", if apart { put.replacen("if ", "if !row.of_peer && ", 1) } else { put })?;
    }
    writeln!(out, "    }}")?;
    if who {
        writeln!(out, "    fn who(&self) -> Who<'_> {{\n        Who {{")?;
        for (number, name, value) in WHO {
            let there = fields.iter().any(|field| field.number() == number);
            writeln!(out, "            {name}: {},", if there { value } else { "Default::default()" })?;
        }
        writeln!(out, "        }}\n    }}")?;
    }
    writeln!(out, "}}\n\nimpl Columnar for crate::{name} {{\n    const PART: usize = {part};\n")?;
    writeln!(out, "    fn take(&mut self, field: &mut Place, from: &mut Unpacker) -> Result<(), Damage> {{")?;
    writeln!(out, "        match field.number {{")?;
    for field in &fields {
        writeln!(out, "            {} => {},", field.number(), take(field)?)?;
    }
    writeln!(out, "            _ => return from.skip(field),\n        }}\n        Ok(())\n    }}")?;
    if who {
        writeln!(out, "\n    fn set_who(&mut self, who: &Who<'_>) {{")?;
        for (number, name, _) in WHO {
            let Some(field) = fields.iter().find(|field| field.number() == number) else { continue };
            let value = if number == 3 { "who.address.to_owned()".to_owned() } else { format!("who.{name}") };
            writeln!(out, "        self.{} = {value};", rust_name(field.name()))?;
        }
        writeln!(out, "    }}")?;
    }
    writeln!(out, "}}\n")?;
    Ok(())
}

/// Fields that say who a peer is.
const WHO: [(u32, &str, &str); 4] = [
    (1, "peer", "self.peer"),
    (3, "address", "&self.address"),
    (4, "connection_type", "self.connection_type"),
    (5, "network", "self.network"),
];

/// As `archive::layout` decides it.
fn of_peer(fields: &[FieldDescriptor]) -> bool {
    let named = |number: u32, name: &str| fields.iter().all(|field| field.number() != number || field.name() == name);
    let first = fields.first().is_some_and(|field| field.number() == 1 && field.name() == "peer" && !field.supports_presence());
    first
        && fields.iter().filter(|field| field.name() == "peer").count() == 1
        && WHO.iter().all(|(number, name, _)| named(*number, name))
}

fn put(field: &FieldDescriptor) -> Result<String> {
    let (number, name) = (field.number(), rust_name(field.name()));
    let function = match field.kind() {
        Kind::Message(_) if field.is_list() => return Ok(format!("row.messages({number}, &self.{name});")),
        Kind::Message(_) => return Ok(format!("row.messages({number}, self.{name}.as_slice());")),
        Kind::String | Kind::Bytes => "bytes",
        Kind::Fixed64 | Kind::Double => "fixed8",
        Kind::Uint32 | Kind::Uint64 | Kind::Int32 | Kind::Int64 | Kind::Sint32 | Kind::Bool | Kind::Enum(_) => "number",
        other => return Err(format!("{}: `columns` does not know {other:?}", field.full_name()).into()),
    };
    let value = |value: &str| match field.kind() {
        Kind::String | Kind::Bytes => format!("&{value}[..]"),
        Kind::Sint32 => format!("Zigzag({}).to_wire()", value.trim_matches(['(', ')'])),
        _ => format!("{value}.to_wire()"),
    };
    let of_reference = if matches!(function, "bytes") { value("value") } else { value("(*value)") };
    Ok(if field.is_list() {
        format!("row.{function}_list({number}, self.{name}.iter().map(|value| {of_reference}));")
    } else if field.supports_presence() {
        format!("if let Some(value) = &self.{name} {{ row.{function}({number}, {of_reference}); }}")
    } else if function == "bytes" {
        format!("if !self.{name}.is_empty() {{ row.{function}({number}, {}); }}", value(&format!("self.{name}")))
    } else {
        let set = match field.kind() {
            Kind::Double => " != 0.0",
            Kind::Bool => "",
            _ => " != 0",
        };
        format!("if self.{name}{set} {{ row.{function}({number}, {}); }}", value(&format!("self.{name}")))
    })
}

fn take(field: &FieldDescriptor) -> Result<String> {
    let name = rust_name(field.name());
    let (function, of_value) = match field.kind() {
        Kind::Message(_) if field.is_list() => return Ok(format!("from.messages(field, &mut self.{name})?")),
        Kind::Message(_) => return Ok(format!("from.message_at(field, self.{name}.get_or_insert_default())?")),
        Kind::String => ("text", ""),
        Kind::Bytes => ("bytes", ""),
        Kind::Fixed64 | Kind::Double => ("fixed8", ""),
        Kind::Sint32 => ("number::<Zigzag>", ".0"),
        _ => ("number", ""),
    };
    Ok(if field.is_list() {
        let function = function.split_once("::").map_or(function, |(function, _)| function);
        format!("from.{function}_list(field, &mut self.{name})?")
    } else if field.supports_presence() {
        format!("self.{name} = Some(from.{function}(field)?{of_value})")
    } else {
        format!("self.{name} = from.{function}(field)?{of_value}")
    })
}
