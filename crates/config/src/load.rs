//! From a file or text to nodes, and on to a configuration. The only place that knows the YAML
//! library.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{
    DefaultMessageFormatter, Location, MessageFormatter, Options, Spanned, alias_limits, budget,
    options,
};

use crate::config::Config;
use crate::error::{ConfigError, Position};
use crate::global::{self, Env};
use crate::node::{Key, Node, Value};

/// Largest file that is read. Static configurations of the largest sites take a few megabytes.
const MAX_FILE_BYTES: u64 = 32 << 20;
const MAX_DEPTH: usize = 32;
const MAX_NODES: usize = 500_000;
/// What aliases may add.
const MAX_ALIASED_NODES: usize = 100_000;

impl Config {
    /// Reads a file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let file = path.display().to_string();
        let bytes = match read_file(path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(ConfigError::Read { file, source }),
        };
        if bytes.len() as u64 > MAX_FILE_BYTES {
            let limit = MAX_FILE_BYTES;
            return Err(ConfigError::TooLarge { file, limit });
        }
        match std::str::from_utf8(&bytes) {
            Ok(text) => Self::parse(text, &file),
            Err(error) => {
                let before = &bytes[..error.valid_up_to()];
                let line_start = before
                    .iter()
                    .rposition(|b| *b == b'\n')
                    .map_or(0, |i| i + 1);
                Err(ConfigError::Syntax {
                    file,
                    line: before.iter().filter(|b| **b == b'\n').count() as u64 + 1,
                    column: (before.len() - line_start) as u64 + 1,
                    reason: "not UTF-8".to_string(),
                })
            }
        }
    }

    /// Reads a text; `name` stands for the file in messages.
    pub fn parse(yaml: &str, name: &str) -> Result<Self, ConfigError> {
        Self::parse_with(yaml, name, &|variable| std::env::var(variable).ok())
    }

    pub(crate) fn parse_with(yaml: &str, name: &str, env: Env<'_>) -> Result<Self, ConfigError> {
        if yaml.len() as u64 > MAX_FILE_BYTES {
            return Err(ConfigError::TooLarge {
                file: name.to_string(),
                limit: MAX_FILE_BYTES,
            });
        }
        let root = parse_nodes(yaml, name)?;
        global::read(&root, env).map_err(|problem| problem.in_file(name))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the configuration is the user's file, not one of the store's directory"
)]
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Pipes and devices have no length that could be asked for beforehand.
    File::open(path)?
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse_nodes(yaml: &str, name: &str) -> Result<Node, ConfigError> {
    match serde_saphyr::from_str_with_options::<Spanned<Raw>>(yaml, parser_options()) {
        Ok(raw) => Ok(node(raw, yaml)),
        Err(error) => {
            let error = error.without_snippet();
            let at = error.location().map(position).unwrap_or_default();
            Err(ConfigError::Syntax {
                file: name.to_string(),
                line: at.line.max(1),
                column: at.column.max(1),
                reason: DefaultMessageFormatter.format_message(error).into_owned(),
            })
        }
    }
}

fn parser_options() -> Options {
    options! {
        budget: budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: 2 * MAX_NODES,
            max_total_scalar_bytes: 2 * MAX_FILE_BYTES as usize,
        },
        alias_limits: alias_limits! {
            max_total_replayed_events: MAX_ALIASED_NODES,
            max_replay_stack_depth: MAX_DEPTH,
        },
        // Reported with the section they are in, see `Section::open`.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        null_as_string: true,
        emit_comments: false,
        with_snippet: false,
    }
}

fn position(at: Location) -> Position {
    Position {
        line: at.line(),
        column: at.column(),
    }
}

/// A node as the library hands it over.
enum Raw {
    Null,
    Text(String),
    /// A number or boolean, here as the library understood it.
    Typed(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
}

/// Adds places, and the text of scalars as it stands in the file.
fn node(raw: Spanned<Raw>, yaml: &str) -> Node {
    let written = || {
        let span = raw.defined.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
        Some(yaml.get(start..end)?.trim())
    };
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Text(text) => {
            let plain = written() == Some(text.as_str());
            Value::Scalar { text, plain }
        }
        Raw::Typed(text) => Value::Scalar {
            text: written().map_or(text, String::from),
            plain: true,
        },
        Raw::List(items) => Value::List(items.into_iter().map(|item| node(item, yaml)).collect()),
        Raw::Map(entries) => {
            let entry = |(key, value): (Spanned<String>, _)| {
                let key = Key {
                    at: position(key.defined),
                    name: key.value,
                };
                (key, node(value, yaml))
            };
            Value::Map(entries.into_iter().map(entry).collect())
        }
    };
    Node {
        at: position(raw.defined),
        value,
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_string()))
    }

    fn visit_string<E>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}
