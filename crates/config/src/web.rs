//! The file of `--web.config.file`: TLS, users and headers of the server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::Problem;
use crate::http_client::{Source, TlsVersion, file, is_header_name, source};
use crate::node::{Field, Node, Section};
use crate::secret::Secret;
use crate::token::{self, TokenConfig, TokenSource};

/// A whole web configuration.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WebConfig {
    /// `tls_server_config`; plain HTTP when absent.
    pub tls: Option<TlsServerConfig>,
    /// `basic_auth_users`: names and bcrypt hashes. Everyone may come in when it is empty.
    pub users: BTreeMap<String, Secret>,
    /// `bearer_tokens`; not in Prometheus.
    pub tokens: Vec<TokenConfig>,
    /// `http_server_config.headers`
    pub headers: BTreeMap<String, String>,
}

/// `tls_server_config`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsServerConfig {
    /// `cert` or `cert_file`
    pub cert: Source,
    /// `key` or `key_file`
    pub key: Source,
    /// `client_ca` or `client_ca_file`
    pub client_ca: Option<Source>,
    /// `client_auth_type`
    pub client_auth: ClientAuth,
    /// `client_allowed_sans`; any name when empty.
    pub client_allowed_sans: Vec<String>,
    /// `min_version`
    pub min_version: TlsVersion,
    /// `max_version`
    pub max_version: TlsVersion,
    /// `cipher_suites`, by their IANA names; all when empty.
    pub cipher_suites: Vec<String>,
}

/// `client_auth_type`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// `NoClientCert`
    #[default]
    None,
    /// `RequestClientCert`: asked for, not checked.
    Request,
    /// `RequireAnyClientCert`: must be there, not checked.
    RequireAny,
    /// `VerifyClientCertIfGiven`
    VerifyIfGiven,
    /// `RequireAndVerifyClientCert`
    RequireAndVerify,
}

/// Headers that a web configuration may set, and the values allowed where only some make sense.
const HEADERS: [(&str, &[&str]); 7] = [
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
    ("Content-Security-Policy", &[]),
    ("Cross-Origin-Opener-Policy", &[]),
    ("Cross-Origin-Resource-Policy", &[]),
];

impl WebConfig {
    /// Every file that is named here; the server reads them again when they change.
    pub fn files(&self) -> Vec<PathBuf> {
        let tokens = self.tokens.iter().filter_map(|token| match &token.token {
            TokenSource::Plain(source) => Some(source),
            TokenSource::Sha256(_) => None,
        });
        let tls = self.tls.iter();
        let tls = tls.flat_map(|tls| [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()]);
        let file = |source: &Source| match source {
            Source::File(path) => Some(path.clone()),
            Source::Inline(_) => None,
        };
        tls.flatten().chain(tokens).filter_map(file).collect()
    }
}

/// Makes a web configuration of a file's content; relative names are taken from `dir`.
pub(crate) fn read(root: &Node, dir: &Path) -> Result<WebConfig, Problem> {
    let known: &[&[&str]] = &[&[
        "tls_server_config",
        "http_server_config",
        "basic_auth_users",
        "bearer_tokens",
        "rate_limit",
    ]];
    let top = Section::open(root, String::new(), known)?;
    top.refuse(&["rate_limit"])?;
    let mut users = BTreeMap::new();
    if let Some(field) = top.get("basic_auth_users") {
        for (name, (_, hash)) in field.entries()? {
            let text = hash.string()?;
            if !is_bcrypt(text) {
                return Err(hash.problem("not a bcrypt hash"));
            }
            users.insert(name.to_string(), Secret::new(text));
        }
    }
    Ok(WebConfig {
        tls: match top.get("tls_server_config") {
            Some(field) => tls(field, dir)?,
            None => None,
        },
        headers: match top.get("http_server_config") {
            Some(field) => {
                let section = field.section(&[&["http2", "headers"]])?;
                section.boolean("http2")?;
                match section.get("headers") {
                    Some(field) => headers(&field)?,
                    None => BTreeMap::new(),
                }
            }
            None => BTreeMap::new(),
        },
        users,
        tokens: match top.get("bearer_tokens") {
            Some(field) => token::read(&field, dir)?,
            None => Vec::new(),
        },
    })
}

/// `$2b$10$`, 22 characters of salt and 31 of hash.
fn is_bcrypt(text: &str) -> bool {
    let mut parts = text.split('$');
    let (before, version, cost, rest, after) = (
        parts.next(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
        parts.next(),
    );
    let base64 = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    before == Some("")
        && matches!(version, "2a" | "2b" | "2x" | "2y")
        && cost.len() == 2
        && cost.parse().is_ok_and(|cost: u8| (4..=31).contains(&cost))
        && rest.len() == 53
        && rest.bytes().all(base64)
        && after.is_none()
}

fn tls(field: Field<'_>, dir: &Path) -> Result<Option<TlsServerConfig>, Problem> {
    let section = field.section(&[&[
        "cert",
        "cert_file",
        "key",
        "key_file",
        "client_ca",
        "client_ca_file",
        "client_auth_type",
        "client_allowed_sans",
        "min_version",
        "max_version",
        "cipher_suites",
        "curve_preferences",
        "prefer_server_cipher_suites",
    ]])?;
    // Groups are chosen by the library, its own order is the strongest first.
    section.boolean("prefer_server_cipher_suites")?;
    if let Some(curves) = section.get("curve_preferences") {
        for item in curves.items()? {
            let name = item.string()?;
            if !["CurveP256", "CurveP384", "CurveP521", "X25519"].contains(&name) {
                return Err(item.problem(format!("unknown curve: {name}")));
            }
        }
    }
    let first_of = |name: &str| {
        // Where both are given, Prometheus takes the file.
        match file(&section, &format!("{name}_file"), dir)? {
            Some(path) => Ok(Some(Source::File(path))),
            None => source(&section, name, dir, ""),
        }
    };
    let (cert, key, client_ca) = (first_of("cert")?, first_of("key")?, first_of("client_ca")?);
    let client_auth_type = section.string("client_auth_type")?.unwrap_or_default();
    if cert.is_none() && key.is_none() && client_ca.is_none() && client_auth_type.is_empty() {
        return Ok(None);
    }
    let Some(cert) = cert else {
        return Err(section.problem("missing one of cert or cert_file"));
    };
    let Some(key) = key else {
        return Err(section.problem("missing one of key or key_file"));
    };
    let client_auth = match client_auth_type.as_str() {
        "" | "NoClientCert" => ClientAuth::None,
        "RequestClientCert" => ClientAuth::Request,
        "RequireAnyClientCert" | "RequireClientCert" => ClientAuth::RequireAny,
        "VerifyClientCertIfGiven" => ClientAuth::VerifyIfGiven,
        "RequireAndVerifyClientCert" => ClientAuth::RequireAndVerify,
        other => {
            let text = format!("invalid ClientAuth: {other}");
            return Err(section.problem_at("client_auth_type", text));
        }
    };
    if client_ca.is_some() && client_auth == ClientAuth::None {
        let text = "client CA's have been configured without a Client Auth Policy";
        return Err(section.problem(text));
    }
    let verifies = matches!(
        client_auth,
        ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify
    );
    if verifies && client_ca.is_none() {
        // Prometheus would take every authority the system trusts, which is never meant.
        let text = "client_ca_file is needed to verify client certificates";
        return Err(section.problem_at("client_auth_type", text));
    }
    let strings = |name| section.get(name).map_or(Ok(Vec::new()), |f| f.strings());
    let client_allowed_sans = strings("client_allowed_sans")?;
    let requires = matches!(
        client_auth,
        ClientAuth::RequireAny | ClientAuth::RequireAndVerify
    );
    if !client_allowed_sans.is_empty() && !requires {
        let text = "client_allowed_sans requires client_auth_type to be one of \
                    RequireAnyClientCert or RequireAndVerifyClientCert";
        return Err(section.problem_at("client_allowed_sans", text));
    }
    let unknown = |text: &str| format!("unknown TLS version: {text}");
    let version = |name| TlsVersion::read(&section, name, unknown);
    let min_version = version("min_version")?.unwrap_or(TlsVersion::Tls12);
    let max_version = version("max_version")?.unwrap_or(TlsVersion::Tls13);
    if max_version < TlsVersion::Tls12 {
        let text = "not supported: the lowest version spoken is TLS12";
        return Err(section.problem_at("max_version", text));
    }
    if min_version > max_version {
        let text = "max_version must not be below min_version";
        return Err(section.problem_at("max_version", text));
    }
    Ok(Some(TlsServerConfig {
        cert,
        key,
        client_ca,
        client_auth,
        client_allowed_sans,
        min_version,
        max_version,
        cipher_suites: strings("cipher_suites")?,
    }))
}

fn headers(field: &Field<'_>) -> Result<BTreeMap<String, String>, Problem> {
    let mut headers = BTreeMap::new();
    for (name, (at, value)) in field.entries()? {
        let known = HEADERS
            .iter()
            .find(|(known, _)| is_header_name(name) && known.eq_ignore_ascii_case(name));
        let Some((name, allowed)) = known else {
            let reason = format!("HTTP header {name:?} can not be configured");
            return Err(Problem::new(at, &field.path, reason));
        };
        let text = value.string()?;
        let fits = allowed.is_empty() || allowed.iter().any(|v| text.eq_ignore_ascii_case(v));
        if !text.is_empty() && !fits {
            let reason = format!("invalid value for {name}: {text:?}, expected one of {allowed:?}");
            return Err(value.problem(reason));
        }
        if !text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\t')) {
            return Err(value.problem("not a header value"));
        }
        if !text.is_empty() {
            headers.insert((*name).to_string(), text.to_string());
        }
    }
    Ok(headers)
}
