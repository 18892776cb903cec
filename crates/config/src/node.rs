//! The configuration as written: YAML nodes with their places, and typed reading of them.
//!
//! Scalars keep their text, so that `version: 1.10` as a label stays `1.10`.

use std::collections::BTreeMap;

use tsdb_model::parse_duration_ms;

use crate::error::{Position, Problem};
use crate::size::parse_size;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) value: Value,
}

/// What YAML knows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Scalar {
        text: String,
        /// Not in quotes: may be a number or a boolean.
        plain: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub(crate) at: Position,
    pub(crate) name: String,
}

impl Value {
    fn describe(&self) -> String {
        match self {
            Self::Null => "nothing".to_string(),
            Self::Scalar { text, .. } => format!("{text:?}"),
            Self::List(_) => "a list".to_string(),
            Self::Map(_) => "a mapping".to_string(),
        }
    }
}

impl Node {
    /// True when the value asks for nothing: empty, false, 0, or made of such values only.
    pub(crate) fn asks_nothing(&self) -> bool {
        match &self.value {
            Value::Null => true,
            Value::Scalar { text, plain } => {
                text.is_empty() || *plain && (parse_bool(text) == Some(false) || text == "0")
            }
            Value::List(items) => items.iter().all(Self::asks_nothing),
            Value::Map(entries) => entries.iter().all(|(_, value)| value.asks_nothing()),
        }
    }
}

/// A value that is there, with the way to it for messages.
#[derive(Debug, Clone)]
pub(crate) struct Field<'a> {
    pub(crate) node: &'a Node,
    pub(crate) path: String,
}

impl<'a> Field<'a> {
    pub(crate) fn problem(&self, reason: impl ToString) -> Problem {
        Problem::new(self.node.at, &self.path, reason)
    }

    fn expected(&self, what: &str) -> Problem {
        self.problem(format!(
            "expected {what}, got {}",
            self.node.value.describe()
        ))
    }

    pub(crate) fn string(&self) -> Result<&'a str, Problem> {
        match &self.node.value {
            Value::Scalar { text, .. } => Ok(text),
            _ => Err(self.expected("a string")),
        }
    }

    pub(crate) fn boolean(&self) -> Result<bool, Problem> {
        let parsed = match &self.node.value {
            Value::Scalar { text, plain: true } => parse_bool(text),
            _ => None,
        };
        parsed.ok_or_else(|| self.expected("true or false"))
    }

    pub(crate) fn number(&self) -> Result<u64, Problem> {
        let parsed = match &self.node.value {
            Value::Scalar { text, plain: true } => parse_number(text),
            _ => None,
        };
        parsed.ok_or_else(|| self.expected("a number that is not negative"))
    }

    pub(crate) fn float(&self) -> Result<f64, Problem> {
        let parsed = match &self.node.value {
            Value::Scalar { text, plain: true } => text.parse().ok(),
            _ => None,
        };
        parsed.ok_or_else(|| self.expected("a number"))
    }

    pub(crate) fn duration_ms(&self) -> Result<i64, Problem> {
        parse_duration_ms(self.string()?).map_err(|e| self.problem(e))
    }

    pub(crate) fn size(&self) -> Result<u64, Problem> {
        parse_size(self.string()?).map_err(|e| self.problem(e))
    }

    /// The items of a list, nulls included.
    pub(crate) fn items(&self) -> Result<Vec<Self>, Problem> {
        let Value::List(items) = &self.node.value else {
            return Err(self.expected("a list"));
        };
        let item = |(i, node)| Field {
            node,
            path: format!("{}[{i}]", self.path),
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    pub(crate) fn strings(&self) -> Result<Vec<String>, Problem> {
        let items = self.items()?;
        items
            .iter()
            .map(|item| Ok(item.string()?.to_string()))
            .collect()
    }

    /// The entries of a mapping whose keys are free to choose, each with the place of its key.
    pub(crate) fn entries(&self) -> Result<BTreeMap<&'a str, (Position, Self)>, Problem> {
        let Value::Map(entries) = &self.node.value else {
            return Err(self.expected("a mapping"));
        };
        let mut map = BTreeMap::new();
        for (key, node) in entries {
            let field = Field {
                node,
                path: join(&self.path, &key.name),
            };
            if map.insert(key.name.as_str(), (key.at, field)).is_some() {
                let reason = format!("key {:?} already set", key.name);
                return Err(Problem::new(key.at, &self.path, reason));
            }
        }
        Ok(map)
    }

    /// Label names and values.
    pub(crate) fn labels(&self) -> Result<BTreeMap<String, String>, Problem> {
        let mut labels = BTreeMap::new();
        for (name, (at, value)) in self.entries()? {
            if name.is_empty() {
                let reason = format!("{name:?} is not a valid label name");
                return Err(Problem::new(at, &self.path, reason));
            }
            let value = match value.node.value {
                Value::Null => "",
                _ => value.string()?,
            };
            labels.insert(name.to_string(), value.to_string());
        }
        Ok(labels)
    }

    /// The mapping behind the field; other keys than `known` are refused.
    pub(crate) fn section(self, known: &[&[&str]]) -> Result<Section<'a>, Problem> {
        Section::open(self.node, self.path, known)
    }
}

/// A mapping whose keys are known.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    pub(crate) at: Position,
    pub(crate) path: String,
    entries: &'a [(Key, Node)],
}

impl<'a> Section<'a> {
    /// Opens `node`, where nothing stands for an empty mapping.
    pub(crate) fn open(node: &'a Node, path: String, known: &[&[&str]]) -> Result<Self, Problem> {
        let entries: &[(Key, Node)] = match &node.value {
            Value::Null => &[],
            Value::Map(entries) => entries,
            _ => return Err(Field { node, path }.expected("a mapping")),
        };
        for (i, (key, _)) in entries.iter().enumerate() {
            let name = key.name.as_str();
            let reason = if !known.iter().any(|names| names.contains(&name)) {
                "not found"
            } else if entries[..i].iter().any(|(earlier, _)| earlier.name == name) {
                "already set"
            } else {
                continue;
            };
            return Err(Problem::new(
                key.at,
                &path,
                format!("field {name} {reason}"),
            ));
        }
        let at = node.at;
        Ok(Self { at, path, entries })
    }

    pub(crate) fn problem(&self, reason: impl ToString) -> Problem {
        Problem::new(self.at, &self.path, reason)
    }

    /// The value of `name`; a null is as good as none.
    pub(crate) fn get(&self, name: &str) -> Option<Field<'a>> {
        let (_, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        (node.value != Value::Null).then(|| Field {
            node,
            path: join(&self.path, name),
        })
    }

    /// Refuses those of `names` that ask for something.
    pub(crate) fn refuse(&self, names: &[&str]) -> Result<(), Problem> {
        for (key, node) in self.entries {
            if names.contains(&key.name.as_str()) && !node.asks_nothing() {
                let path = join(&self.path, &key.name);
                return Err(Problem::new(key.at, &path, "not supported yet"));
            }
        }
        Ok(())
    }

    pub(crate) fn string(&self, name: &str) -> Result<Option<String>, Problem> {
        self.get(name)
            .map(|f| f.string().map(String::from))
            .transpose()
    }

    pub(crate) fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.get(name).map(|f| f.boolean()).transpose()
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        self.get(name).map(|f| f.number()).transpose()
    }

    pub(crate) fn size(&self, name: &str) -> Result<Option<u64>, Problem> {
        self.get(name).map(|f| f.size()).transpose()
    }

    pub(crate) fn duration_ms(&self, name: &str) -> Result<Option<i64>, Problem> {
        self.get(name).map(|f| f.duration_ms()).transpose()
    }

    /// A problem with the value of `name`, or with the section that has none.
    pub(crate) fn problem_at(&self, name: &str, reason: impl ToString) -> Problem {
        match self.get(name) {
            Some(field) => field.problem(reason),
            None => self.problem(reason),
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_string()
    } else {
        format!("{path}.{name}")
    }
}

/// The booleans of YAML 1.1, which Prometheus reads.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(false)
        }
        _ => None,
    }
}

/// `100`, `1_000`, `0x64`. A leading zero would mean octal in YAML 1.1 and decimal in 1.2, so it
/// means neither.
fn parse_number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix('+').unwrap_or(text).replace('_', "");
    if let Some(hex) = digits.strip_prefix("0x") {
        return u64::from_str_radix(hex, 16).ok();
    }
    let ambiguous = digits.len() > 1 && digits.starts_with('0');
    let decimal = !ambiguous && digits.bytes().all(|b| b.is_ascii_digit());
    if decimal { digits.parse().ok() } else { None }
}
