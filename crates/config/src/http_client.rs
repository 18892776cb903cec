//! How a job talks to its targets: credentials, TLS, proxy, headers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::Problem;
use crate::node::{Field, Section};
use crate::secret::Secret;

/// Keys of the HTTP client, which stand beside the others of a job.
pub(crate) const KEYS: [&str; 9] = [
    "basic_auth",
    "authorization",
    "bearer_token",
    "bearer_token_file",
    "tls_config",
    "follow_redirects",
    "enable_http2",
    "proxy_url",
    "http_headers",
];

/// The HTTP client of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpClientConfig {
    /// `basic_auth`
    pub basic_auth: Option<BasicAuth>,
    /// `authorization`, also when written as `bearer_token` or `bearer_token_file`.
    pub authorization: Option<Authorization>,
    /// `tls_config`
    pub tls_config: TlsConfig,
    /// `follow_redirects`
    pub follow_redirects: bool,
    /// `enable_http2`; without effect, HTTP/1.1 is spoken.
    pub enable_http2: bool,
    /// `proxy_url`: `http://[user:password@]host[:port]`.
    pub proxy_url: Option<Secret>,
    /// `http_headers`
    pub http_headers: BTreeMap<String, HeaderValues>,
}

impl Default for HttpClientConfig {
    fn default() -> Self {
        Self {
            basic_auth: None,
            authorization: None,
            tls_config: TlsConfig::default(),
            follow_redirects: true,
            enable_http2: true,
            proxy_url: None,
            http_headers: BTreeMap::new(),
        }
    }
}

/// A text given directly or as the name of a file that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// In the configuration itself.
    Inline(Secret),
    /// In a file, read again when it changes.
    File(PathBuf),
}

/// `basic_auth`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BasicAuth {
    /// `username` or `username_file`
    pub username: Source,
    /// `password` or `password_file`
    pub password: Source,
}

/// `authorization`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorization {
    /// `type`, such as `Bearer`.
    pub kind: String,
    /// `credentials` or `credentials_file`; without them no header is sent.
    pub credentials: Option<Source>,
}

/// `tls_config`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsConfig {
    /// `ca` or `ca_file`; the system's authorities when absent.
    pub ca: Option<Source>,
    /// `cert` or `cert_file`
    pub cert: Option<Source>,
    /// `key` or `key_file`
    pub key: Option<Source>,
    /// `server_name`; the target's host when absent.
    pub server_name: Option<String>,
    /// `insecure_skip_verify`
    pub insecure_skip_verify: bool,
    /// `min_version`
    pub min_version: Option<TlsVersion>,
    /// `max_version`
    pub max_version: Option<TlsVersion>,
}

/// A TLS version. Versions before 1.2 can be named, but are not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// `TLS10`
    Tls10,
    /// `TLS11`
    Tls11,
    /// `TLS12`
    Tls12,
    /// `TLS13`
    Tls13,
}

impl TlsVersion {
    const ALL: [(&'static str, Self); 4] = [
        ("TLS10", Self::Tls10),
        ("TLS11", Self::Tls11),
        ("TLS12", Self::Tls12),
        ("TLS13", Self::Tls13),
    ];

    /// The name in configurations.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    pub(crate) fn read(
        section: &Section<'_>,
        name: &str,
        unknown: impl Fn(&str) -> String,
    ) -> Result<Option<Self>, Problem> {
        let Some(field) = section.get(name) else {
            return Ok(None);
        };
        let text = field.string()?;
        match Self::ALL.iter().find(|(name, _)| *name == text) {
            Some((_, version)) => Ok(Some(*version)),
            None => Err(field.problem(unknown(text))),
        }
    }
}

/// The values of one header of `http_headers`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeaderValues {
    /// `values`
    pub values: Vec<String>,
    /// `secrets`
    pub secrets: Vec<Secret>,
    /// `files`
    pub files: Vec<PathBuf>,
}

/// Headers that cannot be set, because requests have their own.
const RESERVED: [&str; 18] = [
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

/// Reads the client's settings of a job; relative file names are taken from `dir`.
pub(crate) fn read(section: &Section<'_>, dir: &Path) -> Result<HttpClientConfig, Problem> {
    let defaults = HttpClientConfig::default();
    let bearer = section.string("bearer_token")?.filter(|t| !t.is_empty());
    let bearer_file = file(section, "bearer_token_file", dir)?;
    if bearer.is_some() && bearer_file.is_some() {
        let text = "at most one of bearer_token & bearer_token_file must be configured";
        return Err(section.problem_at("bearer_token_file", text));
    }
    let bearer = bearer
        .map(|token| Source::Inline(Secret::new(token)))
        .or(bearer_file.map(Source::File));
    let basic_auth = match section.get("basic_auth") {
        Some(field) if bearer.is_some() => {
            return Err(field.problem(
                "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be \
                 configured",
            ));
        }
        Some(field) => Some(basic_auth(field, dir)?),
        None => None,
    };
    let authorization = match section.get("authorization") {
        Some(field) => {
            let at = field.clone();
            let read = authorization(field, dir)?;
            if bearer.is_some() {
                return Err(at.problem(
                    "authorization is not compatible with bearer_token & bearer_token_file",
                ));
            }
            if basic_auth.is_some() {
                return Err(at.problem(
                    "at most one of basic_auth, oauth2 & authorization must be configured",
                ));
            }
            Some(read)
        }
        None => bearer.map(|credentials| Authorization {
            kind: "Bearer".to_string(),
            credentials: Some(credentials),
        }),
    };
    let tls_config = match section.get("tls_config") {
        Some(field) => tls_config(field, dir)?,
        None => TlsConfig::default(),
    };
    Ok(HttpClientConfig {
        basic_auth,
        authorization,
        tls_config,
        follow_redirects: section
            .boolean("follow_redirects")?
            .unwrap_or(defaults.follow_redirects),
        enable_http2: section
            .boolean("enable_http2")?
            .unwrap_or(defaults.enable_http2),
        proxy_url: proxy_url(section)?,
        http_headers: match section.get("http_headers") {
            Some(field) => http_headers(&field, dir)?,
            None => BTreeMap::new(),
        },
    })
}

fn basic_auth(field: Field<'_>, dir: &Path) -> Result<BasicAuth, Problem> {
    let section = field.section(&[&["username", "username_file", "password", "password_file"]])?;
    let side = |name: &str| {
        let text = format!(
            "at most one of basic_auth {name}, {name}_file & {name}_ref must be configured"
        );
        let read = source(&section, name, dir, &text)?;
        Ok(read.unwrap_or_else(|| Source::Inline(Secret::default())))
    };
    Ok(BasicAuth {
        username: side("username")?,
        password: side("password")?,
    })
}

fn authorization(field: Field<'_>, dir: &Path) -> Result<Authorization, Problem> {
    let section = field.section(&[&["type", "credentials", "credentials_file"]])?;
    let text = "at most one of authorization credentials & credentials_file must be configured";
    let credentials = source(&section, "credentials", dir, text)?;
    let kind = section.string("type")?.unwrap_or_default();
    let kind = match kind.trim() {
        "" => "Bearer",
        kind => kind,
    };
    if kind.eq_ignore_ascii_case("basic") {
        let text = "authorization type cannot be set to \"basic\", use \"basic_auth\" instead";
        return Err(section.problem_at("type", text));
    }
    Ok(Authorization {
        kind: kind.to_string(),
        credentials,
    })
}

fn tls_config(field: Field<'_>, dir: &Path) -> Result<TlsConfig, Problem> {
    let section = field.section(&[&[
        "ca",
        "ca_file",
        "cert",
        "cert_file",
        "key",
        "key_file",
        "server_name",
        "insecure_skip_verify",
        "min_version",
        "max_version",
    ]])?;
    let part = |name: &str| {
        let text = format!("at most one of {name}, {name}_file & {name}_ref must be configured");
        source(&section, name, dir, &text)
    };
    let unknown = |text: &str| format!("unknown TLS version: {text}");
    let config = TlsConfig {
        ca: part("ca")?,
        cert: part("cert")?,
        key: part("key")?,
        server_name: section.string("server_name")?.filter(|n| !n.is_empty()),
        insecure_skip_verify: section.boolean("insecure_skip_verify")?.unwrap_or(false),
        min_version: TlsVersion::read(&section, "min_version", unknown)?,
        max_version: TlsVersion::read(&section, "max_version", unknown)?,
    };
    if let Some(max) = config.max_version {
        if config.min_version.is_some_and(|min| min > max) {
            let text = "tls_config.max_version must be greater than or equal to \
                        tls_config.min_version if both are specified";
            return Err(section.problem_at("max_version", text));
        }
        if max < TlsVersion::Tls12 {
            let text = "not supported: the lowest version spoken is TLS12";
            return Err(section.problem_at("max_version", text));
        }
    }
    match (&config.cert, &config.key) {
        (Some(_), None) => Err(section.problem(
            "exactly one of key or key_file must be configured when a client certificate is \
             configured",
        )),
        (None, Some(_)) => Err(section.problem(
            "exactly one of cert or cert_file must be configured when a client key is configured",
        )),
        _ => Ok(config),
    }
}

/// Reads `name` or `name_file`; `both` is said when there are two.
pub(crate) fn source(
    section: &Section<'_>,
    name: &str,
    dir: &Path,
    both: &str,
) -> Result<Option<Source>, Problem> {
    let text = section.string(name)?.filter(|t| !t.is_empty());
    let path = file(section, &format!("{name}_file"), dir)?;
    match (text, path) {
        (Some(_), Some(_)) => Err(section.problem_at(&format!("{name}_file"), both)),
        (Some(text), None) => Ok(Some(Source::Inline(Secret::new(text)))),
        (None, path) => Ok(path.map(Source::File)),
    }
}

/// A file name, seen from `dir`.
pub(crate) fn file(
    section: &Section<'_>,
    name: &str,
    dir: &Path,
) -> Result<Option<PathBuf>, Problem> {
    let name = section.string(name)?.filter(|n| !n.is_empty());
    Ok(name.map(|name| dir.join(name)))
}

fn proxy_url(section: &Section<'_>) -> Result<Option<Secret>, Problem> {
    let Some(field) = section.get("proxy_url") else {
        return Ok(None);
    };
    let url = field.string()?;
    if url.is_empty() {
        return Ok(None);
    }
    let host = url.strip_prefix("http://").unwrap_or_default();
    if host.is_empty() || host.starts_with('/') {
        return Err(field.problem("not supported: the proxy must be given as http://host:port"));
    }
    Ok(Some(Secret::new(url)))
}

fn http_headers(field: &Field<'_>, dir: &Path) -> Result<BTreeMap<String, HeaderValues>, Problem> {
    let mut headers = BTreeMap::new();
    for (name, (at, values)) in field.entries()? {
        let invalid = |reason: String| Problem::new(at, &field.path, reason);
        if RESERVED.contains(&name.to_ascii_lowercase().as_str()) {
            let name = canonical(name);
            return Err(invalid(format!("setting header {name:?} is not allowed")));
        }
        if !is_header_name(name) {
            return Err(invalid(format!("{name:?} is not a header name")));
        }
        let section = values.section(&[&["values", "secrets", "files"]])?;
        let list = |key| section.get(key).map_or(Ok(Vec::new()), |f| f.strings());
        let read = HeaderValues {
            values: list("values")?,
            secrets: list("secrets")?.into_iter().map(Secret::new).collect(),
            files: list("files")?.iter().map(|name| dir.join(name)).collect(),
        };
        headers.insert(name.to_string(), read);
    }
    Ok(headers)
}

/// `content-type` as `Content-Type`.
fn canonical(name: &str) -> String {
    let part = |part: &str| {
        let (first, rest) = part.split_at(part.len().min(1));
        first.to_ascii_uppercase() + &rest.to_ascii_lowercase()
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

/// A token, as RFC 9110 has it.
pub(crate) fn is_header_name(name: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !name.is_empty() && name.bytes().all(token)
}

/// A proxy URL without its password.
pub(crate) fn redacted(url: &str) -> String {
    let Some((before, rest)) = url.split_once("://") else {
        return url.to_string();
    };
    let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
    match authority.rsplit_once('@') {
        Some((user, host)) => match user.split_once(':') {
            Some((name, _)) => {
                let tail = &rest[authority.len()..];
                format!("{before}://{name}:xxxxx@{host}{tail}")
            }
            None => url.to_string(),
        },
        None => url.to_string(),
    }
}
