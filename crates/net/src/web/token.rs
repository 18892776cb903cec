//! Bearer tokens: who shows one that is known may do what it is good for.

use std::path::Path;
use std::sync::Arc;

use http::HeaderValue;
use ring::digest::{SHA256, digest};
use tsdb_config::{TokenConfig, TokenSource};
use tsdb_model::{Labels, Matcher};

use crate::files;

/// What the bearer token of a request allows. An extension of the requests that came with one;
/// those without may do everything.
#[derive(Debug)]
pub struct Grant {
    /// Name of the token.
    pub name: String,
    /// Only series that pass all of them are seen and written; all when empty.
    pub matchers: Vec<Matcher>,
    /// Reading is allowed.
    pub read: bool,
    /// Writing is allowed.
    pub write: bool,
    /// Everything else is allowed.
    pub admin: bool,
}

impl Grant {
    /// Whether a series is one that may be seen and written.
    pub fn allows(&self, labels: &Labels) -> bool {
        let mut matchers = self.matchers.iter();
        matchers.all(|m| m.matches(labels.get(&m.name).unwrap_or_default()))
    }
}

/// The tokens of a web configuration; kept as hashes only.
#[derive(Debug, Default)]
pub(super) struct Tokens(Vec<([u8; 32], Arc<Grant>)>);

impl Tokens {
    /// Reads the files that have tokens. The error says which token cannot be used.
    pub(super) fn load(configs: &[TokenConfig], web: &Path) -> Result<Self, super::WebError> {
        let mut tokens = Vec::with_capacity(configs.len());
        for config in configs {
            let hash = match &config.token {
                TokenSource::Sha256(hash) => *hash,
                TokenSource::Plain(source) => {
                    let token = files::read(source).and_then(|token| {
                        let token = token.trim_ascii();
                        if token.is_empty() {
                            return Err("the file is empty".to_string());
                        }
                        Ok(sha256(token))
                    });
                    token.map_err(|reason| super::WebError::Token {
                        file: web.display().to_string(),
                        name: config.name.clone(),
                        reason,
                    })?
                }
            };
            let grant = Grant {
                name: config.name.clone(),
                matchers: config.matchers.clone(),
                read: config.read,
                write: config.write,
                admin: config.admin,
            };
            tokens.push((hash, Arc::new(grant)));
        }
        Ok(Self(tokens))
    }

    /// What a header allows, if it shows a token that is known. All tokens are looked at, each in
    /// the same time wherever it differs.
    pub(super) fn find(&self, shown: &HeaderValue) -> Option<Arc<Grant>> {
        let shown = sha256(shown.as_bytes().strip_prefix(b"Bearer ")?.trim_ascii());
        let mut found = None;
        for (hash, grant) in &self.0 {
            let differ = |sum: u8, (a, b): (&u8, &u8)| sum | (a ^ b);
            if hash.iter().zip(&shown).fold(0, differ) == 0 {
                found = Some(grant);
            }
        }
        found.cloned()
    }
}

fn sha256(token: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, token).as_ref());
    hash
}
