//! `bearer_tokens` of a web configuration: who may come in with a token, and what it is good for.

use std::path::Path;

use tsdb_model::{MatchOp, Matcher};

use crate::error::Problem;
use crate::http_client::{Source, file};
use crate::node::{Field, Section};
use crate::secret::Secret;

/// One entry of `bearer_tokens`.
#[derive(Debug, Clone)]
pub struct TokenConfig {
    /// `name`, for logs and messages.
    pub name: String,
    /// How the token is known.
    pub token: TokenSource,
    /// `matchers`: only series that pass all of them are seen and written. All when empty.
    pub matchers: Vec<Matcher>,
    /// `access` has `read`.
    pub read: bool,
    /// `access` has `write`.
    pub write: bool,
    /// `access` has `admin`.
    pub admin: bool,
}

impl PartialEq for TokenConfig {
    fn eq(&self, other: &Self) -> bool {
        let shown = |token: &Self| -> Vec<String> {
            let matchers = token.matchers.iter();
            matchers
                .map(|m| format!("{}{}{}", m.name, m.op.as_str(), m.value))
                .collect()
        };
        let access = |token: &Self| (token.read, token.write, token.admin);
        self.name == other.name
            && self.token == other.token
            && access(self) == access(other)
            && shown(self) == shown(other)
    }
}

impl Eq for TokenConfig {}

/// How a token is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// `token` or `token_file`
    Plain(Source),
    /// `token_sha256`
    Sha256([u8; 32]),
}

/// Shorter tokens can be guessed.
const MIN_TOKEN_CHARS: usize = 16;

/// Reads the list; relative file names are taken from `dir`.
pub(crate) fn read(field: &Field<'_>, dir: &Path) -> Result<Vec<TokenConfig>, Problem> {
    let mut tokens: Vec<TokenConfig> = Vec::new();
    for item in field.items()? {
        let section = item.section(&[&[
            "name",
            "token",
            "token_file",
            "token_sha256",
            "matchers",
            "access",
        ]])?;
        let name = section.string("name")?.unwrap_or_default();
        if name.is_empty() {
            return Err(section.problem_at("name", "a token needs a name"));
        }
        if tokens.iter().any(|known| known.name == name) {
            let text = format!("found multiple tokens with name {name:?}");
            return Err(section.problem_at("name", text));
        }
        let (read, write, admin) = access(&section)?;
        tokens.push(TokenConfig {
            token: source(&section, dir)?,
            matchers: matchers(&section)?,
            name,
            read,
            write,
            admin,
        });
        let token = tokens.last().filter(|t| t.admin && !t.matchers.is_empty());
        if token.is_some() {
            let text =
                "a token with matchers cannot have access to admin, which works on all series";
            return Err(section.problem_at("access", text));
        }
    }
    Ok(tokens)
}

fn source(section: &Section<'_>, dir: &Path) -> Result<TokenSource, Problem> {
    let token = section.string("token")?.filter(|t| !t.is_empty());
    let file = file(section, "token_file", dir)?;
    let hash = section.string("token_sha256")?.filter(|t| !t.is_empty());
    match (token, file, hash) {
        (Some(token), None, None) => {
            if token.chars().count() < MIN_TOKEN_CHARS {
                let text = format!("a token needs at least {MIN_TOKEN_CHARS} characters");
                return Err(section.problem_at("token", text));
            }
            Ok(TokenSource::Plain(Source::Inline(Secret::new(token))))
        }
        (None, Some(path), None) => Ok(TokenSource::Plain(Source::File(path))),
        (None, None, Some(hash)) => match digest(&hash) {
            Some(digest) => Ok(TokenSource::Sha256(digest)),
            None => Err(section.problem_at("token_sha256", "not 64 hexadecimal digits")),
        },
        _ => {
            let text = "exactly one of token, token_file & token_sha256 must be configured";
            Err(section.problem(text))
        }
    }
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    for (i, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(hex.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(digest)
}

/// Reading and writing when nothing is said.
fn access(section: &Section<'_>) -> Result<(bool, bool, bool), Problem> {
    let Some(list) = section.get("access") else {
        return Ok((true, true, false));
    };
    let (mut read, mut write, mut admin) = (false, false, false);
    for item in list.items()? {
        match item.string()? {
            "read" => read = true,
            "write" => write = true,
            "admin" => admin = true,
            other => {
                let text = format!("expected read, write or admin, got {other:?}");
                return Err(item.problem(text));
            }
        }
    }
    Ok((read, write, admin))
}

fn matchers(section: &Section<'_>) -> Result<Vec<Matcher>, Problem> {
    let Some(list) = section.get("matchers") else {
        return Ok(Vec::new());
    };
    let mut matchers = Vec::new();
    for item in list.items()? {
        matchers.push(matcher(item.string()?).map_err(|e| item.problem(e))?);
    }
    if matchers.is_empty() {
        return Err(list.problem("matchers cannot be empty; leave them out to allow all series"));
    }
    Ok(matchers)
}

/// `name="value"` with one of the four operators; the quotes may be left out.
fn matcher(text: &str) -> Result<Matcher, String> {
    let bad = || format!("{text:?} is not a matcher such as team=\"a\"");
    let at = text.find(['=', '!']).ok_or_else(bad)?;
    let (name, rest) = text.split_at(at);
    let (op, value) = [
        ("=~", MatchOp::Regex),
        ("!~", MatchOp::NotRegex),
        ("!=", MatchOp::NotEqual),
        ("=", MatchOp::Equal),
    ]
    .into_iter()
    .find_map(|(sign, op)| Some((op, rest.strip_prefix(sign)?)))
    .ok_or_else(bad)?;
    let (name, value) = (name.trim(), value.trim());
    let value = if value.starts_with('"') {
        serde_json::from_str::<String>(value).map_err(|_| bad())?
    } else {
        value.to_string()
    };
    if name.is_empty() {
        return Err(bad());
    }
    Matcher::new(op, name, value).map_err(|e| e.to_string())
}
