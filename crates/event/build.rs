//! Generates everything that follows from `proto/`: the types (prost), the list of kinds, the JSON form, the columns, and the schema as data.

#[path = "build/columns.rs"]
mod columns;
#[path = "build/redact.rs"]
mod redact;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use prost_reflect::{
    Cardinality, DescriptorPool, DynamicMessage, EnumDescriptor, ExtensionDescriptor, FieldDescriptor, Kind, MessageDescriptor,
};

const PACKAGE: &str = "peer_observer";

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let proto = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", proto.display());
    let out = PathBuf::from(std::env::var("OUT_DIR")?);

    let mut compiler = protox::Compiler::new([&proto])?;
    compiler.include_source_info(true).include_imports(true).open_file("event.proto")?;
    let pool = compiler.descriptor_pool();

    let schema = Schema::new(&pool)?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]).out_dir(&out);
    schema.read_answers(&mut config)?;
    for kind in schema.kinds.iter().filter(|kind| kind.boxed()) {
        config.boxed(format!("{PACKAGE}.Event.kind.{}", kind.name.replacen('.', "_", 1)));
    }
    config.compile_fds(compiler.file_descriptor_set())?;
    std::fs::write(out.join("words.rs"), schema.words_of_answers()?)?;
    std::fs::write(out.join("kinds.rs"), schema.kinds()?)?;
    std::fs::write(out.join("costs.rs"), schema.costs()?)?;
    std::fs::write(out.join("columns.rs"), columns::code(&schema)?)?;
    std::fs::write(out.join("json.rs"), schema.json()?)?;
    std::fs::write(out.join("schema.rs"), schema.documentation()?)?;
    let page = std::fs::read_to_string(proto.join("redaction.txt"))?;
    std::fs::write(out.join("redact.rs"), redact::code(&schema, &page)?)?;
    Ok(())
}

/// What an event holds beside a kind's pointer should not be much more than the most frequent kinds need: every event is as large as
/// its largest kind that is not boxed, and is moved several times. A ping takes 100 bytes.
const LARGEST_UNBOXED: usize = 136;

/// One line of the `oneof` in `event.proto`.
struct EventKind {
    number: u32,
    variant: String,
    /// `net.ping`
    name: String,
    message: MessageDescriptor,
}

impl EventKind {
    /// Whether it stands in the event as a pointer.
    fn boxed(&self) -> bool {
        size(&self.message) > LARGEST_UNBOXED
    }
}

/// Bytes of the Rust type of a message, give or take some padding.
fn size(message: &MessageDescriptor) -> usize {
    let field = |field: FieldDescriptor| {
        if field.is_list() || field.is_map() {
            return if field.is_map() { 48 } else { 24 };
        }
        let optional = field.supports_presence();
        match field.kind() {
            Kind::Message(part) => size(&part) + 8,
            Kind::String => 24,
            Kind::Bytes => 32,
            Kind::Bool => 1 + usize::from(optional),
            Kind::Int32 | Kind::Sint32 | Kind::Uint32 | Kind::Fixed32 | Kind::Sfixed32 | Kind::Float | Kind::Enum(_) => {
                if optional { 8 } else { 4 }
            }
            _ => {
                if optional {
                    16
                } else {
                    8
                }
            }
        }
    };
    message.fields().map(field).sum::<usize>().next_multiple_of(8)
}

struct Schema {
    kinds: Vec<EventKind>,
    messages: Vec<MessageDescriptor>,
    enums: Vec<EnumDescriptor>,
    text: ExtensionDescriptor,
    rpc: ExtensionDescriptor,
}

impl Schema {
    fn new(pool: &DescriptorPool) -> Result<Self> {
        let event = pool.get_message_by_name("peer_observer.Event").ok_or("no message Event")?;
        let oneof = event.oneofs().find(|o| o.name() == "kind").ok_or("no oneof kind")?;
        let mut kinds = Vec::new();
        for field in oneof.fields() {
            let Kind::Message(message) = field.kind() else { return Err(format!("{} is not a message", field.name()).into()) };
            kinds.push(EventKind {
                number: field.number(),
                variant: camel(field.name()),
                name: field.name().replacen('_', ".", 1),
                message,
            });
        }
        kinds.sort_by_key(|kind| kind.number);
        let ours = |name: &str| name.split('.').next() == Some(PACKAGE);
        let schema = Self {
            messages: pool.all_messages().filter(|m| ours(m.full_name())).collect(),
            enums: pool.all_enums().filter(|e| ours(e.full_name()) && !matches!(e.name(), "Text" | "Rpc")).collect(),
            text: pool.get_extension_by_name("peer_observer.text").ok_or("no option text")?,
            rpc: pool.get_extension_by_name("peer_observer.rpc").ok_or("no option rpc")?,
            kinds,
        };
        schema.check_net()?;
        Ok(schema)
    }

    /// Fields 1 to 7 of every `net.*` kind are the same: the generated `Kind::net` relies on it.
    fn check_net(&self) -> Result<()> {
        const COMMON: [&str; 7] = ["peer", "direction", "address", "connection_type", "network", "size", "raw"];
        for kind in self.family("net") {
            for (number, name) in (1..).zip(COMMON) {
                if kind.message.get_field(number).is_none_or(|field| field.name() != name) {
                    return Err(format!("{}: field {number} must be `{name}`, as in every net message", kind.name).into());
                }
            }
        }
        Ok(())
    }

    fn family(&self, family: &str) -> impl Iterator<Item = &EventKind> {
        self.kinds.iter().filter(move |kind| kind.name.split('.').next() == Some(family))
    }

    /// `KindId`, and what follows from a kind: its id, peer, size, conversion.
    fn kinds(&self) -> Result<String> {
        let mut out = String::new();
        writeln!(out, "/// Which kind an event is: one value per line of the `oneof` in `event.proto`.")?;
        writeln!(out, "#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]\n#[repr(u16)]\npub enum KindId {{")?;
        for kind in &self.kinds {
            writeln!(out, "    #[doc = {:?}]\n    {} = {},", format!("`{}`", kind.name), kind.variant, kind.number)?;
        }
        writeln!(out, "}}\n\nimpl KindId {{")?;
        writeln!(out, "    /// Every kind, by number.\n    pub const ALL: [Self; {}] = [", self.kinds.len())?;
        for kind in &self.kinds {
            writeln!(out, "        Self::{},", kind.variant)?;
        }
        writeln!(
            out,
            "    ];\n\n    /// The dotted name, `net.ping`.\n    pub const fn name(self) -> &'static str {{\n        match self {{"
        )?;
        for kind in &self.kinds {
            writeln!(out, "            Self::{} => {:?},", kind.variant, kind.name)?;
        }
        writeln!(out, "        }}\n    }}\n\n    /// Place in [`KindId::ALL`]: a dense index for tables.")?;
        writeln!(out, "    pub const fn index(self) -> usize {{\n        match self {{")?;
        for (index, kind) in self.kinds.iter().enumerate() {
            writeln!(out, "            Self::{} => {index},", kind.variant)?;
        }
        writeln!(out, "        }}\n    }}\n}}\n\nimpl Kind {{")?;
        writeln!(out, "    /// Which kind this is.\n    pub const fn id(&self) -> KindId {{\n        match self {{")?;
        for kind in &self.kinds {
            writeln!(out, "            Self::{0}(_) => KindId::{0},", kind.variant)?;
        }
        writeln!(out, "        }}\n    }}\n\n    /// The peer it is about, if it is about one.")?;
        writeln!(out, "    pub fn peer(&self) -> Option<u64> {{\n        match self {{")?;
        for kind in &self.kinds {
            match kind.message.get_field_by_name("peer") {
                Some(field) if field.supports_presence() => writeln!(out, "            Self::{}(m) => m.peer,", kind.variant)?,
                Some(_) => writeln!(out, "            Self::{}(m) => Some(m.peer),", kind.variant)?,
                None => writeln!(out, "            Self::{}(_) => None,", kind.variant)?,
            }
        }
        writeln!(
            out,
            "        }}\n    }}\n\n    /// The address of the peer it is about, as the node states it; empty if it is not known or not about a peer."
        )?;
        writeln!(out, "    pub fn address(&self) -> &str {{\n        match self {{")?;
        for kind in &self.kinds {
            let peer = kind.message.get_field_by_name("peer").is_some() && kind.message.get_field_by_name("address").is_some();
            let value = if peer { "m) => &m.address" } else { "_) => \"\"" };
            writeln!(out, "            Self::{}({value},", kind.variant)?;
        }
        writeln!(out, "        }}\n    }}\n\n    /// What every P2P message has, if it is one.")?;
        writeln!(out, "    pub fn net(&self) -> Option<Net<'_>> {{\n        Some(match self {{")?;
        for kind in self.family("net") {
            writeln!(
                out,
                "            Self::{}(m) => Net {{ peer: m.peer, direction: m.direction(), address: &m.address, connection_type: \
                 m.connection_type(), network: m.network(), size: m.size, raw: m.raw.as_ref() }},",
                kind.variant
            )?;
        }
        writeln!(out, "            _ => return None,\n        }})\n    }}\n")?;
        writeln!(out, "    /// Bytes held outside of the value itself, roughly: what a bounded queue has to count.")?;
        writeln!(out, "    pub fn heap_size(&self) -> usize {{\n        match self {{")?;
        for kind in &self.kinds {
            let mut terms = self.heap_terms(&kind.message, "m");
            let binding = if terms.is_empty() { "_" } else { "m" };
            if kind.boxed() {
                terms.push(format!("size_of::<{}>()", kind.message.name()));
            }
            let sum = if terms.is_empty() { "0".to_owned() } else { terms.join(" + ") };
            writeln!(out, "            Self::{}({binding}) => {sum},", kind.variant)?;
        }
        writeln!(out, "        }}\n    }}\n}}\n")?;
        for kind in &self.kinds {
            let message = kind.message.name();
            writeln!(out, "impl From<{message}> for Kind {{")?;
            let value = if kind.boxed() { "Box::new(message)" } else { "message" };
            writeln!(out, "    fn from(message: {message}) -> Self {{\n        Self::{}({value})\n    }}\n}}\n", kind.variant)?;
        }
        Ok(out)
    }

    fn heap_terms(&self, message: &MessageDescriptor, value: &str) -> Vec<String> {
        let mut terms = Vec::new();
        for field in message.fields() {
            let access = format!("{value}.{}", rust_name(field.name()));
            let variable = matches!(field.kind(), Kind::String | Kind::Bytes);
            match (field.is_list(), field.kind()) {
                // elements with lists of their own are looked into: a peer of `getpeerinfo` holds some kilobytes
                (true, Kind::Message(part)) if part.fields().any(|inner| inner.is_list()) => {
                    let inner = self.heap_terms(&part, "v").join(" + ");
                    terms.push(format!("{access}.iter().map(|v| size_of_val(v) + {inner}).sum::<usize>()"));
                }
                // an element's own heap is reckoned with 48 bytes: a hash and its share of a buffer
                (true, Kind::Message(_) | Kind::String | Kind::Bytes) => terms.push(format!("heap_of(&{access}, 48)")),
                (true, _) => terms.push(format!("heap_of(&{access}, 0)")),
                (false, _) if variable && field.supports_presence() => {
                    let owner = if matches!(field.kind(), Kind::String) { "String" } else { "Bytes" };
                    terms.push(format!("{access}.as_ref().map_or(0, {owner}::len)"));
                }
                (false, _) if variable => terms.push(format!("{access}.len()")),
                _ => {}
            }
        }
        terms
    }

    /// What decoding costs: for every message that holds lists, or parts that do, the fields in question.
    fn costs(&self) -> Result<String> {
        let mut costly: Vec<&MessageDescriptor> = Vec::new();
        let is_costly = |costly: &[&MessageDescriptor], field: &FieldDescriptor| {
            field.is_list() || field.kind().as_message().is_some_and(|part| costly.contains(&part))
        };
        // until no more are found: a message may be declared before its parts
        while let Some(message) =
            self.messages.iter().find(|m| !costly.contains(m) && m.fields().any(|field| is_costly(&costly, &field)))
        {
            costly.push(message);
        }
        let table = |message: &MessageDescriptor| snake(message.name()).to_uppercase();
        let mut out = String::new();
        for message in &costly {
            writeln!(out, "static {}: &[Field] = &[", table(message))?;
            let mut fields: Vec<_> = message.fields().filter(|field| is_costly(&costly, field)).collect();
            fields.sort_by_key(FieldDescriptor::number);
            for field in fields {
                if field.is_map() {
                    return Err(format!("{}: `costs` does not know what a map takes", field.full_name()).into());
                }
                let (element, inner) = match field.kind() {
                    Kind::Message(part) if costly.contains(&&part) => {
                        (format!("crate::{}", part.name()), format!("Message({})", table(&part)))
                    }
                    Kind::Message(part) => (format!("crate::{}", part.name()), "Whole".to_owned()),
                    Kind::String => ("String".into(), "Whole".into()),
                    Kind::Bytes => ("bytes::Bytes".into(), "Whole".into()),
                    Kind::Bool => ("bool".into(), "Varint".into()),
                    Kind::Int32 | Kind::Uint32 | Kind::Sint32 | Kind::Enum(_) => ("u32".into(), "Varint".into()),
                    Kind::Int64 | Kind::Uint64 | Kind::Sint64 => ("u64".into(), "Varint".into()),
                    Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => ("u32".into(), "Fixed(4)".into()),
                    Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => ("u64".into(), "Fixed(8)".into()),
                };
                // a part that is no list lies within its message
                let size = if field.is_list() { format!("size_of::<{element}>()") } else { "0".to_owned() };
                writeln!(out, "    Field {{ number: {}, size: {size}, inner: Inner::{inner} }},", field.number())?;
            }
            writeln!(out, "];\n")?;
        }
        Ok(out)
    }

    /// `Serialize` for every message: the one JSON form.
    fn json(&self) -> Result<String> {
        let mut out = String::new();
        for e in &self.enums {
            let prefix = format!("{}_", snake(e.name()).to_uppercase());
            let word = |name: &str| name.strip_prefix(&prefix).unwrap_or(name).to_lowercase();
            writeln!(out, "impl {} {{\n    /// The name in words, as JSON and every other text has it.", e.name())?;
            writeln!(out, "    pub const fn word(self) -> &'static str {{\n        match self {{")?;
            for value in e.values() {
                writeln!(out, "            Self::{} => {:?},", camel(&word(value.name())), word(value.name()))?;
            }
            writeln!(out, "        }}\n    }}\n\n    /// The value that goes by this name.")?;
            writeln!(out, "    pub fn from_word(word: &str) -> Option<Self> {{\n        Some(match word {{")?;
            for value in e.values() {
                writeln!(out, "            {:?} => Self::{},", word(value.name()), camel(&word(value.name())))?;
            }
            writeln!(out, "            _ => return None,\n        }})\n    }}\n}}\n")?;
        }
        for message in self.messages.iter().filter(|m| m.name() != "Event") {
            writeln!(out, "impl serde::Serialize for {} {{", message.name())?;
            writeln!(out, "    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {{")?;
            writeln!(
                out,
                "        let {}map = serializer.serialize_map(None)?;",
                if message.fields().len() == 0 { "" } else { "mut " }
            )?;
            for field in message.fields() {
                self.json_field(&mut out, &field)?;
            }
            writeln!(out, "        map.end()\n    }}\n}}\n")?;
        }
        self.fields_of(&mut out)?;
        writeln!(out, "/// The kind under its `oneof` name, as proto3's mapping has it.")?;
        writeln!(
            out,
            "fn serialize_kind<M: serde::ser::SerializeMap>(kind: &Kind, map: &mut M) -> Result<(), M::Error> {{\n    match kind {{"
        )?;
        for kind in &self.kinds {
            let key = lower_camel(&kind.variant);
            writeln!(out, "        Kind::{}(m) => map.serialize_entry({key:?}, m),", kind.variant)?;
        }
        writeln!(out, "    }}\n}}")?;
        Ok(out)
    }

    /// `Fields` for every message: its values in order, for whoever writes lines and tables rather than JSON.
    fn fields_of(&self, out: &mut String) -> Result<()> {
        for message in self.messages.iter().filter(|m| m.name() != "Event") {
            let visit = if message.fields().len() == 0 { "_" } else { "visit" };
            writeln!(
                out,
                "impl Fields for {} {{\n    fn fields(&self, {visit}: &mut dyn FnMut(&'static str, Value<'_>)) {{",
                message.name()
            )?;
            for field in message.fields() {
                let (key, name) = (field.name(), rust_name(field.name()));
                let shown = match (field.kind(), self.text_of(&field)) {
                    (Kind::Bytes, "TEXT_HASH") => "Value::Scalar(&text::Hash(v))".to_owned(),
                    (Kind::Bytes, "TEXT_ADDRESS") => format!("Value::Scalar(&text::Address({}, v))", self.network_of(&field)),
                    (Kind::Bytes, _) => "Value::Scalar(&text::Hex(v))".to_owned(),
                    (Kind::String, _) => "Value::Scalar(&text::Printable(v))".to_owned(),
                    (Kind::Enum(e), _) => format!("Value::Scalar(&{}::try_from(*v).unwrap_or_default().word())", e.name()),
                    (_, "TEXT_TIME_NANOS") => "Value::Scalar(&text::Rfc3339::from_nanos(*v))".to_owned(),
                    (_, "TEXT_TIME_SECONDS") => "Value::Scalar(&text::Rfc3339::from_seconds(*v))".to_owned(),
                    (Kind::Message(_), _) => "Value::Part(v)".to_owned(),
                    _ => "Value::Scalar(v)".to_owned(),
                };
                if field.is_list() {
                    // lists of parts are summed up by the part's first enumeration: `type` of an inventory, `network` of an address
                    let word = match field.kind() {
                        Kind::Message(part) => part.fields().find_map(|f| match f.kind() {
                            Kind::Enum(_) => Some(format!("v.{}().word()", rust_name(f.name()))),
                            _ => None,
                        }),
                        _ => None,
                    };
                    match word {
                        Some(word) => writeln!(
                            out,
                            "        visit({key:?}, Value::List(self.{name}.len(), &mut self.{name}.iter().map(|v| {word})));"
                        )?,
                        None if matches!(field.kind(), Kind::Message(_)) => {
                            writeln!(out, "        visit({key:?}, Value::List(self.{name}.len(), &mut std::iter::empty()));")?;
                        }
                        None => writeln!(
                            out,
                            "        match self.{name}.as_slice() {{ [v] => visit({key:?}, {shown}), many => visit({key:?}, \
                             Value::List(many.len(), &mut std::iter::empty())) }}"
                        )?,
                    }
                } else if field.supports_presence() {
                    writeln!(out, "        if let Some(v) = &self.{name} {{ visit({key:?}, {shown}); }}")?;
                } else {
                    writeln!(out, "        {{ let v = &self.{name}; visit({key:?}, {shown}); }}")?;
                }
            }
            writeln!(out, "    }}\n}}\n")?;
        }
        writeln!(
            out,
            "impl Fields for Kind {{\n    fn fields(&self, visit: &mut dyn FnMut(&'static str, Value<'_>)) {{\n        match self {{"
        )?;
        for kind in &self.kinds {
            writeln!(out, "            Self::{}(m) => m.fields(visit),", kind.variant)?;
        }
        writeln!(out, "        }}\n    }}\n}}\n")?;
        Ok(())
    }

    fn json_field(&self, out: &mut String, field: &FieldDescriptor) -> Result<()> {
        let key = field.json_name();
        let name = rust_name(field.name());
        let text = self.text_of(field);
        // how one value becomes JSON, given a reference `v` to it
        let wrap: String = match (field.kind(), text) {
            (Kind::Bytes, "TEXT_HASH") => "text::Hash(v)".into(),
            (Kind::Bytes, "TEXT_HEX") => "text::Hex(v)".into(),
            (Kind::Bytes, "TEXT_ADDRESS") => format!("text::Address({}, v)", self.network_of(field)),
            (Kind::Bytes, _) => return Err(format!("{}: bytes need the option `text`", field.full_name()).into()),
            (Kind::Int64 | Kind::Sint64 | Kind::Sfixed64, _) => "text::I64(*v)".into(),
            (Kind::Uint64 | Kind::Fixed64, _) => "text::U64(*v)".into(),
            (Kind::Enum(e), _) => format!("{}::try_from(*v).unwrap_or_default().word()", e.name()),
            (Kind::Double, _) => "text::Double(*v)".into(),
            _ => "v".into(),
        };
        let time = match text {
            "TEXT_TIME_NANOS" => Some("text::Rfc3339::from_nanos(*v)"),
            "TEXT_TIME_SECONDS" => Some("text::Rfc3339::from_seconds(*v)"),
            _ => None,
        };
        let entry = |value: &str| match time {
            None => format!("map.serialize_entry({key:?}, &{value})?;"),
            Some(time) => format!("map.serialize_entry({key:?}, &{value})?; map.serialize_entry(\"{key}Text\", &{time})?;"),
        };
        if field.cardinality() == Cardinality::Repeated {
            if wrap == "v" {
                writeln!(out, "        map.serialize_entry({key:?}, &self.{name})?;")?;
            } else {
                writeln!(out, "        map.serialize_entry({key:?}, &text::each(&self.{name}, |v| {wrap}))?;")?;
            }
        } else if field.supports_presence() {
            writeln!(out, "        if let Some(v) = &self.{name} {{ {} }}", entry(&wrap))?;
        } else {
            writeln!(out, "        {{ let v = &self.{name}; {} }}", entry(&wrap))?;
        }
        Ok(())
    }

    fn text_of(&self, field: &FieldDescriptor) -> &'static str {
        let options: DynamicMessage = field.options();
        let number = options.get_extension(&self.text).as_enum_number().unwrap_or(0);
        ["TEXT_PLAIN", "TEXT_HASH", "TEXT_HEX", "TEXT_ADDRESS", "TEXT_TIME_NANOS", "TEXT_TIME_SECONDS"][number as usize]
    }

    /// The messages that Bitcoin Core's RPC answers with.
    fn answers(&self) -> impl Iterator<Item = &MessageDescriptor> {
        self.messages.iter().filter(|m| m.parent_file().name() == "rpc.proto")
    }

    /// `Deserialize` for them: under the names of the answer, with a function of `rpc_json` where JSON has another form than the field.
    ///
    /// What may be absent here may be missing there; a field without presence must be there.
    fn read_answers(&self, config: &mut prost_build::Config) -> Result<()> {
        for message in self.answers() {
            config.type_attribute(format!(".{}", message.full_name()), "#[derive(serde::Deserialize)]");
            for field in message.fields() {
                let rpc = self.rpc_of(&field);
                let attribute = if matches!(rpc, "RPC_SKIP" | "RPC_KEY") {
                    "skip".to_owned()
                } else {
                    let mut attribute = format!("rename = {:?}", field.json_name());
                    let unstated = matches!(field.kind(), Kind::Enum(e) if e.default_value().name().ends_with("_UNSPECIFIED"));
                    if field.is_list() || field.supports_presence() || unstated {
                        attribute.push_str(", default");
                    }
                    if let Some(function) = self.reader(&field, rpc)? {
                        write!(attribute, ", deserialize_with = {:?}", format!("crate::rpc_json::{function}"))?;
                    }
                    attribute
                };
                config.field_attribute(format!(".{}", field.full_name()), format!("#[serde({attribute})]"));
            }
        }
        Ok(())
    }

    /// The function that reads a field's value, where its type alone does not.
    fn reader(&self, field: &FieldDescriptor, rpc: &str) -> Result<Option<String>> {
        let optional = field.supports_presence();
        let function = match (rpc, field.kind(), self.text_of(field)) {
            ("RPC_MAP", Kind::Message(_), _) if field.is_list() => "map",
            ("RPC_ONE_OR_MANY", Kind::String, _) if field.is_list() => "one_or_many",
            ("RPC_PLAIN", Kind::Bytes | Kind::Enum(_), _) if field.is_list() => {
                return Err(format!("{}: no such lists", field.full_name()).into());
            }
            ("RPC_PLAIN", _, _) if field.is_list() => "list",
            ("RPC_AMOUNT", Kind::Int64, _) => "amount",
            ("RPC_SECONDS", Kind::Uint64, _) if optional => "seconds",
            ("RPC_HEX", Kind::Uint32 | Kind::Uint64, _) if optional => "hex_number",
            ("RPC_NOT_ZERO", Kind::Uint32 | Kind::Uint64, _) if optional => "not_zero",
            ("RPC_NOT_NEGATIVE", Kind::Uint32 | Kind::Uint64, _) if optional => "not_negative",
            ("RPC_PLAIN", Kind::Bytes, "TEXT_HASH") => "hash",
            ("RPC_PLAIN", Kind::Bytes, "TEXT_HEX") if optional => "hex",
            ("RPC_PLAIN", Kind::Bytes, "TEXT_ADDRESS") => "address",
            ("RPC_PLAIN", Kind::Enum(e), _) => return Ok(Some(format!("word::<_, crate::{}, _>", e.name()))),
            ("RPC_PLAIN", Kind::Bytes, _) => return Err(format!("{}: no way to read it", field.full_name()).into()),
            ("RPC_PLAIN", ..) => return Ok(None),
            _ => return Err(format!("{}: {rpc} does not go with it", field.full_name()).into()),
        };
        Ok(Some(function.to_owned()))
    }

    /// How words of the answers become values of enumerations.
    fn words_of_answers(&self) -> Result<String> {
        let mut out = String::new();
        let used = |e: &&EnumDescriptor| self.answers().any(|m| m.fields().any(|f| f.kind().as_enum() == Some(e)));
        for e in self.enums.iter().filter(used) {
            if !e.values().any(|value| value.name().ends_with("_OTHER")) {
                return Err(format!("{}: needs a value OTHER for words that this release does not know", e.name()).into());
            }
            writeln!(out, "impl Word for crate::{} {{\n    fn number(word: &str) -> i32 {{", e.name())?;
            writeln!(out, "        Self::from_word(word).unwrap_or(Self::Other) as i32\n    }}\n}}\n")?;
        }
        Ok(out)
    }

    fn rpc_of(&self, field: &FieldDescriptor) -> &'static str {
        let options: DynamicMessage = field.options();
        let number = options.get_extension(&self.rpc).as_enum_number().unwrap_or(0);
        [
            "RPC_PLAIN",
            "RPC_AMOUNT",
            "RPC_SECONDS",
            "RPC_HEX",
            "RPC_NOT_ZERO",
            "RPC_NOT_NEGATIVE",
            "RPC_MAP",
            "RPC_KEY",
            "RPC_ONE_OR_MANY",
            "RPC_SKIP",
        ][number as usize]
    }

    /// The field that says how to read an address: `source_network` of `source`, else `network`.
    fn network_of(&self, field: &FieldDescriptor) -> String {
        let own = format!("{}_network", field.name());
        let found = field.parent_message().get_field_by_name(&own).is_some();
        format!("self.{}()", if found { own } else { "network".to_owned() })
    }

    /// The schema as data: for `peer-observer events`, the docs page, and the list of frozen numbers.
    fn documentation(&self) -> Result<String> {
        let mut out = String::new();
        writeln!(out, "/// Every kind, by number.\npub const KINDS: &[KindDoc] = &[")?;
        for kind in &self.kinds {
            writeln!(
                out,
                "    KindDoc {{ id: KindId::{}, message: {:?}, doc: {:?}, fields: {} }},",
                kind.variant,
                kind.message.name(),
                comment(&kind.message.parent_file(), kind.message.path()),
                self.fields(&kind.message, None)?
            )?;
        }
        writeln!(out, "];\n\n/// Messages that are parts of others.\npub const PARTS: &[PartDoc] = &[")?;
        let is_kind = |m: &MessageDescriptor| self.kinds.iter().any(|kind| kind.message == *m);
        for message in self.messages.iter().filter(|m| !is_kind(m)) {
            let skip = (message.name() == "Event").then_some("kind");
            writeln!(
                out,
                "    PartDoc {{ message: {:?}, doc: {:?}, fields: {} }},",
                message.name(),
                comment(&message.parent_file(), message.path()),
                self.fields(message, skip)?
            )?;
        }
        writeln!(out, "];\n\n/// Enumerations.\npub const WORDS: &[WordsDoc] = &[")?;
        for e in &self.enums {
            let prefix = format!("{}_", snake(e.name()).to_uppercase());
            write!(out, "    WordsDoc {{ name: {:?}, doc: {:?}, words: &[", e.name(), comment(&e.parent_file(), e.path()))?;
            for value in e.values() {
                let word = value.name().strip_prefix(&prefix).unwrap_or(value.name()).to_lowercase();
                write!(out, "({:?}, {}, {:?}), ", word, value.number(), comment(&e.parent_file(), value.path()))?;
            }
            writeln!(out, "] }},")?;
        }
        writeln!(out, "];")?;
        Ok(out)
    }

    fn fields(&self, message: &MessageDescriptor, skip_oneof: Option<&str>) -> Result<String> {
        let mut out = String::from("&[");
        for field in message.fields() {
            if field.containing_oneof().is_some_and(|o| Some(o.name()) == skip_oneof) {
                continue;
            }
            let kind = match field.kind() {
                Kind::Message(m) => m.name().to_owned(),
                Kind::Enum(e) => e.name().to_owned(),
                other => format!("{other:?}").to_lowercase(),
            };
            let label = match (field.is_list(), field.supports_presence() && !matches!(field.kind(), Kind::Message(_))) {
                (true, _) => "repeated ",
                (_, true) => "optional ",
                _ => "",
            };
            write!(
                out,
                "FieldDoc {{ number: {}, name: {:?}, json: {:?}, kind: {:?}, text: {:?}, doc: {:?} }}, ",
                field.number(),
                field.name(),
                field.json_name(),
                format!("{label}{kind}"),
                self.text_of(&field),
                comment(&message.parent_file(), field.path())
            )?;
        }
        out.push(']');
        Ok(out)
    }
}

fn comment(file: &prost_reflect::FileDescriptor, path: &[i32]) -> String {
    let file = file.file_descriptor_proto();
    let locations = file.source_code_info.as_ref().map_or(&[][..], |info| &info.location);
    let text = locations.iter().find(|l| l.path == path).and_then(|l| l.leading_comments.as_deref()).unwrap_or_default();
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

fn camel(name: &str) -> String {
    let capital = |part: &str| part[..1].to_uppercase() + &part[1..];
    name.split('_').filter(|part| !part.is_empty()).map(capital).collect()
}

fn lower_camel(name: &str) -> String {
    name[..1].to_lowercase() + &name[1..]
}

fn snake(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// Fields whose names are words of Rust get a raw identifier, as prost does it.
fn rust_name(name: &str) -> String {
    if matches!(name, "type" | "move" | "ref" | "match") { format!("r#{name}") } else { name.to_owned() }
}
