//! From a file or text to nodes, and on to a configuration. The only place that knows the YAML
//! library.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_saphyr::{
    DefaultMessageFormatter, Location, MessageFormatter, Options, Spanned, alias_limits, budget,
    options,
};

use crate::config::{Config, StaticConfig};
use crate::env::expand_nodes;
use crate::error::{ConfigError, Position, Problem};
use crate::glob::glob;
use crate::global::{self, ClientCheck, Context, Env, NamedFiles};
use crate::node::{Key, Node, Value};
use crate::rule_files::{ExprCheck, RuleFile};
use crate::web::{self, WebConfig};
use crate::{file_sd, rule_files};

/// Largest file that is read. Static configurations of the largest sites take a few megabytes.
const MAX_FILE_BYTES: u64 = 32 << 20;
const MAX_DEPTH: usize = 32;
const MAX_NODES: usize = 500_000;
/// What aliases may add.
const MAX_ALIASED_NODES: usize = 100_000;

impl Config {
    /// Reads a file, and those it names in `scrape_config_files`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        Loader::default().load(path)
    }

    /// Reads a text; `name` stands for the file in messages.
    pub fn parse(yaml: &str, name: &str) -> Result<Self, ConfigError> {
        Self::parse_with(yaml, name, &|variable| std::env::var(variable).ok())
    }

    pub(crate) fn parse_with(yaml: &str, name: &str, env: Env<'_>) -> Result<Self, ConfigError> {
        let loader = Loader::default();
        loader.read_text(yaml, name, &loader.context(env, Path::new("")))
    }
}

/// Reads configurations, with what not everyone wants.
#[derive(Default, Clone, Copy)]
pub struct Loader<'a> {
    /// Replaces `${NAME}` in values by variables of the environment. One that is not set is an
    /// error; `$${` stands for `${`.
    pub expand_env: bool,
    /// Looks at the files that HTTP clients need, so that what is wrong with them is reported
    /// with its place in the configuration.
    pub check: Option<&'a ClientCheck<'a>>,
    /// Looks at the expressions of rules.
    pub exprs: Option<&'a ExprCheck<'a>>,
    /// Does not look at the files of `rule_files`.
    pub without_rules: bool,
}

impl Loader<'_> {
    /// Reads a file, and those it names in `scrape_config_files`.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Config, ConfigError> {
        let path = path.as_ref();
        let (name, text) = read_text_file(path)?;
        let dir = path.parent().unwrap_or(Path::new(""));
        let env = |variable: &str| std::env::var(variable).ok();
        self.read_text(&text, &name, &self.context(&env, dir))
    }

    pub(crate) fn context<'b>(&'b self, env: Env<'b>, dir: &'b Path) -> Context<'b> {
        Context {
            env,
            dir,
            check: self.check,
        }
    }

    pub(crate) fn read_text(
        &self,
        yaml: &str,
        name: &str,
        context: &Context<'_>,
    ) -> Result<Config, ConfigError> {
        let root = self.nodes(yaml, name, context)?;
        let read = global::read(&root, context);
        let (mut config, more) = read.map_err(|problem| problem.in_file(name))?;
        for entry in more.scrape_configs {
            for path in entry.find(name)? {
                let (name, text) = read_text_file(&path)?;
                let root = self.nodes(&text, &name, context)?;
                let context = Context {
                    dir: path.parent().unwrap_or(Path::new("")),
                    ..*context
                };
                global::read_more(&root, &mut config, &context)
                    .map_err(|problem| problem.in_file(&name))?;
            }
        }
        let rules = more.rules.into_iter().filter(|_| !self.without_rules);
        for entry in rules {
            for path in entry.find(name)? {
                let known = config.rules_found.iter().any(|known| known.path == path);
                if !known {
                    let rules = self.read_rules(&path)?;
                    config.rules_found.push(RuleFile { path, rules });
                }
            }
        }
        Ok(config)
    }

    /// Checks a file of rules and counts them.
    fn read_rules(&self, path: &Path) -> Result<usize, ConfigError> {
        let (name, text) = read_text_file(path)?;
        let root = parse_nodes(&text, &name)?;
        rule_files::read(&root, self.exprs).map_err(|problem| problem.in_file(&name))
    }

    fn nodes(&self, yaml: &str, name: &str, context: &Context<'_>) -> Result<Node, ConfigError> {
        let mut root = parse_nodes(yaml, name)?;
        if self.expand_env {
            expand_nodes(&mut root, context.env).map_err(|problem| problem.in_file(name))?;
        }
        Ok(root)
    }
}

impl NamedFiles {
    /// The files that are meant; one without wildcards must be there.
    fn find(&self, config: &str) -> Result<Vec<PathBuf>, ConfigError> {
        let wrong = |reason: String| {
            let place = self.problem.clone();
            Problem { reason, ..place }.in_file(config)
        };
        let found = glob(&self.pattern).map_err(wrong)?;
        match found.as_slice() {
            [only] if *only == self.pattern && !only.exists() => {
                let name = only.display().to_string();
                Err(wrong(format!(
                    "{name:?} does not point to an existing file"
                )))
            }
            _ => Ok(found),
        }
    }
}

impl fmt::Debug for Loader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loader")
            .field("expand_env", &self.expand_env)
            .finish_non_exhaustive()
    }
}

impl WebConfig {
    /// Reads a file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        let path = path.as_ref();
        let (name, text) = read_text_file(path)?;
        Self::parse(&text, &name, path.parent().unwrap_or(Path::new("")))
    }

    /// Reads a text; `name` stands for the file in messages, relative names are taken from `dir`.
    pub fn parse(yaml: &str, name: &str, dir: &Path) -> Result<Self, ConfigError> {
        let root = parse_nodes(yaml, name)?;
        web::read(&root, dir).map_err(|problem| problem.in_file(name))
    }
}

/// Reads a file of target groups, as `file_sd_configs` name them: JSON or, with another ending
/// than `.json`, YAML.
pub fn load_target_groups(path: &Path) -> Result<Vec<StaticConfig>, ConfigError> {
    let (file, text) = read_text_file(path)?;
    let ending = path.extension().unwrap_or_default();
    if !ending.eq_ignore_ascii_case("json") {
        let root = parse_nodes(&text, &file)?;
        return file_sd::groups(&root).map_err(|problem| problem.in_file(&file));
    }
    if text.len() as u64 > MAX_FILE_BYTES {
        let limit = MAX_FILE_BYTES;
        return Err(ConfigError::TooLarge { file, limit });
    }
    file_sd::json_groups(&text).map_err(|(line, column, reason)| ConfigError::Syntax {
        file,
        line,
        column,
        reason,
    })
}

/// The name of a file as messages say it, and its text.
fn read_text_file(path: &Path) -> Result<(String, String), ConfigError> {
    let file = path.display().to_string();
    let bytes = match read_file(path, MAX_FILE_BYTES + 1) {
        Ok(bytes) => bytes,
        Err(source) => return Err(ConfigError::Read { file, source }),
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok((file, text)),
        Err(error) => {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
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

/// The first `max_bytes` bytes of one of the user's files.
#[expect(
    clippy::disallowed_methods,
    reason = "the configuration is the user's file, not one of the store's directory"
)]
pub fn read_file(path: &Path, max_bytes: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Pipes and devices have no length that could be asked for beforehand.
    File::open(path)?.take(max_bytes).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse_nodes(yaml: &str, name: &str) -> Result<Node, ConfigError> {
    if yaml.len() as u64 > MAX_FILE_BYTES {
        return Err(ConfigError::TooLarge {
            file: name.to_string(),
            limit: MAX_FILE_BYTES,
        });
    }
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
