//! The configuration file: another way to give flags.
//!
//! A component's `Config` derives its flags; this module makes the TOML file a source of defaults for them, so that names, types,
//! help and defaults are stated once. What a flag or an environment variable says wins over the file.
//!
//! A section is a component; a key is a flag without the section's name before it (`--nats-user` is `user` in `[nats]`, `--nats` itself
//! is named after its value: `url`).

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use clap::{Arg, ArgAction, Args, Command, FromArgMatches};
use toml::{Table, Value};

/// A component that the file can configure.
pub struct Section {
    /// Its name in the file.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    augment: fn(Command) -> Command,
}

impl Section {
    /// A section made of these flags.
    pub const fn of<A: Args>(name: &'static str, about: &'static str) -> Self {
        Self { name, about, augment: A::augment_args }
    }

    fn command(&self) -> Command {
        (self.augment)(Command::new(self.name).no_binary_name(true))
    }

    /// The names of its flags, as the parser knows them.
    pub fn flags(&self) -> impl Iterator<Item = String> {
        self.keys().into_iter().map(|(_, arg)| arg.get_id().to_string())
    }

    /// Keys of the section and the flags they stand for.
    fn keys(&self) -> Vec<(String, Arg)> {
        let key = |arg: &Arg| {
            let long = arg.get_long()?;
            if long == self.name {
                return Some(arg.get_value_names()?.first()?.to_lowercase());
            }
            Some(long.strip_prefix(self.name).and_then(|rest| rest.strip_prefix('-')).unwrap_or(long).to_owned())
        };
        self.command().get_arguments().filter_map(|arg| Some((key(arg)?, arg.clone()))).collect()
    }
}

/// A configuration file that was read and checked.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct File {
    /// Sections that are there.
    sections: Vec<String>,
    /// What it says of flags: the flag, and the words that one would type after it.
    defaults: Vec<(clap::Id, Vec<String>)>,
    /// Its nodes, each as the line of flags that it stands for.
    nodes: Vec<(String, Vec<String>)>,
}

impl File {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// It cannot be read, is no TOML, or has a key that means nothing or a value of the wrong type.
    pub fn read(path: &Path, sections: &[Section], node: &Section) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| format!("failed to read the configuration {}", path.display()))?;
        Self::parse(&text, sections, node).with_context(|| format!("the configuration {} is wrong", path.display()))
    }

    fn parse(text: &str, sections: &[Section], node: &Section) -> anyhow::Result<Self> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| anyhow!("{}", error.to_string().trim_end()))?;
        let mut file = Self::default();
        for (name, value) in &table {
            if name == "node" {
                let nodes = value.as_table().ok_or_else(|| anyhow!("`node` must be a table of nodes, as in `[node.alice]`"))?;
                for (name, keys) in nodes {
                    let place = format!("node.{name}");
                    let flags = entries(&place, keys, node)?;
                    let mut line = vec![format!("--name={name}")];
                    line.extend(flags.iter().flat_map(|(arg, words)| words.iter().filter_map(|word| flag(arg, word))));
                    node.command().try_get_matches_from(&line).map_err(|error| refused(&place, &error))?;
                    file.nodes.push((place, line));
                }
                continue;
            }
            let Some(section) = sections.iter().find(|s| s.name == name) else {
                let near = nearest(name, sections.iter().map(|s| s.name).chain(["node"]));
                bail!("there is no section `[{name}]`{near}");
            };
            let flags = entries(name, value, section)?;
            let line: Vec<String> = flags.iter().flat_map(|(arg, words)| words.iter().filter_map(|word| flag(arg, word))).collect();
            section.command().try_get_matches_from(&line).map_err(|error| refused(name, &error))?;
            file.defaults.extend(flags.into_iter().map(|(arg, words)| (arg.get_id().clone(), words)));
            file.sections.push(name.clone());
        }
        Ok(file)
    }

    /// Whether a section is there.
    pub fn has(&self, section: &str) -> bool {
        self.sections.iter().any(|name| name == section)
    }

    /// Whether a component should run: its section is there, or no component's is (a bus is no component).
    pub fn runs(&self, section: &str) -> bool {
        let mut components = self.sections.iter().filter(|name| *name != "nats").peekable();
        components.peek().is_none() || components.any(|name| name == section)
    }

    /// Makes what the file says the defaults of the flags of a command and its subcommands.
    pub fn apply(&self, command: Command) -> Command {
        let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
        let command = names.into_iter().fold(command, |command, name| command.mut_subcommand(name, |sub| self.apply(sub)));
        self.defaults.iter().fold(command, |command, (id, words)| {
            if command.get_arguments().any(|known| known.get_id() == id) {
                command.mut_arg(id.clone(), |arg| arg.default_values(words.clone()))
            } else {
                command
            }
        })
    }

    /// The nodes that it names, each as the flags in its table give it.
    ///
    /// # Errors
    ///
    /// Flags that do not go together.
    pub fn nodes<A: Args + FromArgMatches>(&self, node: &Section) -> anyhow::Result<Vec<A>> {
        let parse = |(place, line): &(String, Vec<String>)| {
            let matches = node.command().try_get_matches_from(line).map_err(|error| refused(place, &error))?;
            A::from_arg_matches(&matches).map_err(|error| refused(place, &error))
        };
        self.nodes.iter().map(parse).collect()
    }
}

/// A value as one would type it; nothing for `false`: a flag that is given at all is true.
fn flag(arg: &Arg, word: &str) -> Option<String> {
    let long = arg.get_long().unwrap_or_default();
    match arg.get_action() {
        ArgAction::SetTrue => (word == "true").then(|| format!("--{long}")),
        _ => Some(format!("--{long}={word}")),
    }
}

/// The keys of a table, as flags and words.
fn entries(name: &str, value: &Value, section: &Section) -> anyhow::Result<Vec<(Arg, Vec<String>)>> {
    let table = value.as_table().ok_or_else(|| anyhow!("`{name}` must be a table: `[{name}]` on a line of its own"))?;
    // a node's name is the name of its table
    let keys: Vec<(String, Arg)> = section.keys().into_iter().filter(|(k, _)| !(section.name == "node" && k == "name")).collect();
    let flat = if name == "detect" { &thresholds(table.clone())? } else { table };
    let entry = |(key, value): (&String, &Value)| match keys.iter().find(|(k, _)| k == key) {
        Some((_, arg)) => Ok((arg.clone(), words(&format!("[{name}] {key}"), arg, value)?)),
        None => bail!("there is no key `{key}` in `[{name}]`{}", nearest(key, keys.iter().map(|(k, _)| k.as_str()))),
    };
    flat.iter().map(entry).collect()
}

/// Thresholds may stand in tables, `[detect.thresholds]` and `[detect.nodes.alice.thresholds]`: they are as many values of one key.
fn thresholds(mut detect: Table) -> anyhow::Result<Table> {
    fn of(value: Value, place: &str, prefix: &str, lines: &mut Vec<Value>) -> anyhow::Result<()> {
        let Value::Table(rows) = value else { bail!("`{place}` must be a table: `[{place}]` on a line of its own") };
        for (name, value) in rows {
            let number = match value {
                Value::Integer(number) => number.to_string(),
                Value::Float(number) => number.to_string(),
                other => bail!("[{place}] {name}: a threshold is a number, not a {}", other.type_str()),
            };
            lines.push(Value::String(format!("{prefix}{name}={number}")));
        }
        Ok(())
    }
    let mut lines = Vec::new();
    if let Some(common) = detect.remove("thresholds") {
        of(common, "detect.thresholds", "", &mut lines)?;
    }
    match detect.remove("nodes") {
        None => {}
        Some(Value::Table(nodes)) => {
            for (node, keys) in nodes {
                let place = format!("detect.nodes.{node}");
                let Value::Table(mut keys) = keys else { bail!("`{place}` must be a table") };
                if let Some(own) = keys.remove("thresholds") {
                    of(own, &format!("{place}.thresholds"), &format!("{node}:"), &mut lines)?;
                }
                if let Some(key) = keys.keys().next() {
                    bail!("there is no key `{key}` in `[{place}]`{}", nearest(key, ["thresholds"].into_iter()));
                }
            }
        }
        Some(_) => bail!("`detect.nodes` must be a table of nodes, as in `[detect.nodes.alice.thresholds]`"),
    }
    if !lines.is_empty() {
        match detect.entry("threshold").or_insert(Value::Array(Vec::new())) {
            Value::Array(known) => known.extend(lines),
            _ => bail!("[detect] threshold: expected a list"),
        }
    }
    Ok(detect)
}

/// What clap says of a value, without its talk of flags and usage: its sentence, and what it lists below.
fn refused(place: &str, error: &clap::Error) -> anyhow::Error {
    let text = error.to_string();
    let mut lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let sentence = lines.next().unwrap_or_default();
    let prefix = format!("--{place}-");
    let listed: Vec<&str> = lines.map(|line| line.strip_prefix(&prefix).or(line.strip_prefix("--")).unwrap_or(line)).collect();
    let sentence = sentence.strip_prefix("error: ").unwrap_or(sentence);
    if listed.is_empty() { anyhow!("[{place}]: {sentence}") } else { anyhow!("[{place}]: {sentence} {}", listed.join(", ")) }
}

fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or(String::new(), |(_, candidate)| format!("; did you mean `{candidate}`?"))
}

/// A value as the words that one would type after its flag.
fn words(place: &str, arg: &Arg, value: &Value) -> anyhow::Result<Vec<String>> {
    let flag = matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse);
    match value {
        Value::Array(items) if matches!(arg.get_action(), ArgAction::Append) => {
            items.iter().map(|item| word(place, item)).collect()
        }
        Value::Boolean(_) if !flag => bail!("{place}: expected a value, not true or false"),
        other if flag && !other.is_bool() => bail!("{place}: expected true or false"),
        other => Ok(vec![word(place, other)?]),
    }
}

fn word(place: &str, value: &Value) -> anyhow::Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        other => bail!("{place}: a {} cannot stand here", other.type_str()),
    })
}

/// The whole configuration with its defaults, every key explained.
pub fn commented(sections: &[Section], node: &Section) -> String {
    let mut out = String::from(
        "# Configuration of peer-observer, with the defaults.\n\
         #\n\
         # A section that is there is a component that `run` starts; without any component's section it starts everything that works.\n\
         # Flags and environment variables win over this file. Unknown keys are errors.\n",
    );
    out.push_str(&format!("\n# {}: one table per node, named after it.\n#[node.alice]\n", node.about));
    keys(&mut out, node);
    for section in sections {
        out.push_str(&format!("\n# {}\n#[{}]\n", section.about, section.name));
        keys(&mut out, section);
    }
    out
}

fn keys(out: &mut String, section: &Section) {
    for (key, arg) in section.keys() {
        if section.name == "node" && key == "name" {
            continue;
        }
        let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
        out.push('\n');
        for line in help.lines() {
            comment(out, line);
        }
        let words: Vec<String> = arg.get_possible_values().iter().map(|v| v.get_name().to_owned()).collect();
        if !words.is_empty() && !matches!(arg.get_action(), ArgAction::SetTrue) {
            out.push_str(&format!("# One of: {}.\n", words.join(", ")));
        }
        let default: Vec<String> = arg.get_default_values().iter().map(|v| v.to_string_lossy().into_owned()).collect();
        out.push_str(&format!("#{key} = {}\n", toml_default(&arg, &default)));
    }
}

/// A paragraph as comment lines of a readable length.
fn comment(out: &mut String, paragraph: &str) {
    const WIDTH: usize = 100;
    let mut line = String::from("#");
    for word in paragraph.split_whitespace() {
        if line.len() + 1 + word.len() > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line.truncate(1);
        }
        line.push(' ');
        line.push_str(word);
    }
    out.push_str(&line);
    out.push('\n');
}

fn toml_default(arg: &Arg, default: &[String]) -> String {
    let literal = |text: &String| if text.parse::<i64>().is_ok() { text.clone() } else { format!("{text:?}") };
    match (arg.get_action(), default) {
        (ArgAction::SetTrue, _) => "false".into(),
        (ArgAction::Append, many) => format!("[{}]", many.iter().map(literal).collect::<Vec<_>>().join(", ")),
        (_, [one]) => literal(one),
        // nothing is the default: show what kind of value goes there
        _ => format!("{:?}", arg.get_value_names().and_then(<[_]>::first).map_or("", |name| name.as_str())),
    }
}

#[cfg(test)]
mod tests;
