//! Who may come in: the web configuration in force, renewed when a file of it changes, and the
//! guard in front of every path.

mod password;
mod token;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use ring::rand::{SecureRandom as _, SystemRandom};
use rustls::ServerConfig;
use tokio::time::Instant;
use tsdb_config::{ClientAuth, ConfigError, Secret, WebConfig};

use crate::body::Body;
use crate::credentials::parse_basic;
use crate::files::{self, Stamp};
use crate::server::{Handler, Request, Response, ResponseFuture};
use crate::tls::server::build;
use password::{Passwords, Verdict};
pub use token::Grant;
use token::Tokens;

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a web configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// The file is not a valid web configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The certificates it names cannot be used.
    #[error("{file}: {reason}")]
    Tls {
        /// The web configuration.
        file: String,
        /// What is wrong.
        reason: String,
    },
    /// A bearer token cannot be used.
    #[error("{file}: token {name:?}: {reason}")]
    Token {
        /// The web configuration.
        file: String,
        /// Name of the token.
        name: String,
        /// What is wrong.
        reason: String,
    },
}

/// The web configuration of a file.
#[derive(Debug)]
pub struct WebAccess {
    path: PathBuf,
    uses_tls: bool,
    state: Mutex<State>,
    passwords: Arc<Passwords>,
    /// Lets this program into itself; not shown.
    own_token: Secret,
}

#[derive(Debug)]
struct State {
    current: Arc<Current>,
    stamps: Vec<Option<Stamp>>,
    looked: Instant,
}

/// One state of the files.
#[derive(Debug)]
struct Current {
    config: WebConfig,
    tls: Option<Arc<ServerConfig>>,
    headers: HeaderMap,
    tokens: Tokens,
    files: Vec<PathBuf>,
}

impl Current {
    fn load(path: &Path) -> Result<Self, WebError> {
        let config = WebConfig::load(path)?;
        let tls = config.tls.as_ref().map(build).transpose();
        let tls = tls.map_err(|reason| WebError::Tls {
            file: path.display().to_string(),
            reason,
        })?;
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                headers.insert(name, value);
            }
        }
        let mut files = config.files();
        files.push(path.to_path_buf());
        Ok(Self {
            tls: tls.map(Arc::new),
            headers,
            tokens: Tokens::load(&config.tokens, path)?,
            files,
            config,
        })
    }
}

impl Current {
    /// True when not everyone may come in.
    fn is_closed(&self) -> bool {
        !self.config.users.is_empty() || !self.config.tokens.is_empty()
    }
}

/// Looks whether a web configuration and the files it names can be used.
pub fn check(path: &Path) -> Result<(), WebError> {
    Current::load(path).map(drop)
}

impl WebAccess {
    /// Reads a web configuration. From then on its files are looked at each second; changes that
    /// cannot be used are logged and the state before stays in force. Whether TLS is spoken does
    /// not change any more.
    pub fn load(path: impl Into<PathBuf>) -> Result<Arc<Self>, WebError> {
        let path = path.into();
        let current = Current::load(&path)?;
        Ok(Arc::new(Self {
            uses_tls: current.tls.is_some(),
            path,
            state: Mutex::new(State {
                stamps: files::stamps(&current.files),
                current: Arc::new(current),
                looked: Instant::now(),
            }),
            passwords: Arc::new(Passwords::new()),
            own_token: own_token(),
        }))
    }

    /// A bearer token that is as good as a password, made anew with each start, so that the
    /// program can scrape itself.
    pub fn own_token(&self) -> &Secret {
        &self.own_token
    }

    /// True when clients have to give a password or a token.
    pub fn asks_for_password(&self) -> bool {
        self.current().is_closed()
    }

    /// True when clients have to show a certificate.
    pub fn asks_for_certificate(&self) -> bool {
        let current = self.current();
        let required = [ClientAuth::RequireAny, ClientAuth::RequireAndVerify];
        let tls = current.config.tls.as_ref();
        tls.is_some_and(|tls| required.contains(&tls.client_auth))
    }

    /// True when clients have to speak TLS.
    pub fn uses_tls(&self) -> bool {
        self.uses_tls
    }

    /// Looks at the files now; an error when they cannot be used. The state before then stays.
    pub fn reload(&self) -> Result<(), WebError> {
        self.renew(&mut self.state())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn renew(&self, state: &mut State) -> Result<(), WebError> {
        // Stamped before reading: what is written while we read is read again later.
        state.stamps = files::stamps(&state.current.files);
        let fresh = Current::load(&self.path)?;
        if fresh.tls.is_some() != self.uses_tls {
            return Err(WebError::Tls {
                file: self.path.display().to_string(),
                reason: "TLS cannot be switched on or off without a restart".to_string(),
            });
        }
        if fresh.files != state.current.files {
            state.stamps = files::stamps(&fresh.files);
        }
        state.current = Arc::new(fresh);
        Ok(())
    }

    fn current(&self) -> Arc<Current> {
        let mut state = self.state();
        let now = Instant::now();
        if now.duration_since(state.looked) >= LOOK_EVERY {
            state.looked = now;
            if files::stamps(&state.current.files) != state.stamps {
                match self.renew(&mut state) {
                    Ok(()) => {
                        tracing::info!(file = %self.path.display(), "web configuration renewed");
                    }
                    Err(error) => {
                        tracing::error!(%error, "web configuration not renewed, the old one stays");
                    }
                }
            }
        }
        state.current.clone()
    }

    /// The TLS settings for a new connection.
    pub(crate) fn tls(&self) -> Option<Arc<ServerConfig>> {
        self.current().tls.clone()
    }
}

/// Lets in whom the web configuration lets in, and adds its headers to every answer.
pub(crate) struct Guarded {
    access: Arc<WebAccess>,
    inner: Arc<dyn Handler>,
}

impl Guarded {
    pub(crate) fn new(access: Arc<WebAccess>, inner: Arc<dyn Handler>) -> Self {
        Self { access, inner }
    }
}

impl Handler for Guarded {
    fn handle(&self, mut request: Request) -> ResponseFuture {
        let current = self.access.current();
        let access = self.access.clone();
        let inner = self.inner.clone();
        Box::pin(async move {
            let shown = request.headers().get(AUTHORIZATION);
            let grant = shown.and_then(|shown| current.tokens.find(shown));
            let verdict = if !current.is_closed()
                || grant.is_some()
                || shown.is_some_and(|shown| is_token(shown, &access.own_token))
            {
                Verdict::Known
            } else {
                let shown = shown.and_then(parse_basic);
                match shown {
                    Some((user, password)) => {
                        access
                            .passwords
                            .verify(&current.config.users, user, password)
                            .await
                    }
                    None => Verdict::Unknown,
                }
            };
            if let Some(grant) = grant {
                request.extensions_mut().insert(grant);
            }
            let mut response = match verdict {
                Verdict::Known => inner.handle(request).await,
                Verdict::Unknown => {
                    let scheme = if current.config.users.is_empty() {
                        "Bearer"
                    } else {
                        "Basic"
                    };
                    let header = (WWW_AUTHENTICATE, scheme);
                    plain(StatusCode::UNAUTHORIZED, header, "Unauthorized\n")
                }
                Verdict::TooMany => plain(
                    StatusCode::SERVICE_UNAVAILABLE,
                    (RETRY_AFTER, "5"),
                    "Too many passwords to check\n",
                ),
            };
            for (name, value) in &current.headers {
                response.headers_mut().insert(name, value.clone());
            }
            response
        })
    }
}

/// Unguessable text of this process; empty, and no token at all, when the system has no
/// randomness.
fn own_token() -> Secret {
    let mut bytes = [0; 32];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes)),
        Err(_) => Secret::default(),
    }
}

/// Whether a header is `Bearer` and this token. Takes the same time wherever they differ.
fn is_token(shown: &HeaderValue, token: &Secret) -> bool {
    let token = token.expose().as_bytes();
    let Some(shown) = shown.as_bytes().strip_prefix(b"Bearer ") else {
        return false;
    };
    let differ = |sum: u8, (a, b): (&u8, &u8)| sum | (a ^ b);
    !token.is_empty() && shown.len() == token.len() && shown.iter().zip(token).fold(0, differ) == 0
}

fn plain(status: StatusCode, header: (HeaderName, &'static str), text: &'static str) -> Response {
    let mut response = Response::new(Body::full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header.0, HeaderValue::from_static(header.1));
    let text_type = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(CONTENT_TYPE, text_type);
    let name = HeaderName::from_static("x-content-type-options");
    headers.insert(name, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests;
