//! What a client shows of itself in headers: credentials, and what `http_headers` adds.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use tsdb_config::{ClientProblem, HttpClientConfig, Source};

use crate::files::TextFiles;

/// The headers that an HTTP client's settings ask for.
#[derive(Debug)]
pub(crate) struct Credentials {
    config: HttpClientConfig,
    files: TextFiles,
}

impl Credentials {
    pub(crate) fn new(config: HttpClientConfig) -> Self {
        Self {
            config,
            files: TextFiles::default(),
        }
    }

    /// Adds the headers of now to a request.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap) -> Result<(), String> {
        self.add(headers).map_err(|problem| problem.reason)
    }

    /// Adds them; a problem names the field.
    pub(crate) fn add(&self, headers: &mut HeaderMap) -> Result<(), ClientProblem> {
        if let Some(auth) = &self.config.basic_auth {
            let read = |name: &str, source: &Source| {
                self.files.source(source).map_err(|e| {
                    let what = format!("unable to read basic auth {name}: {e}");
                    problem(&format!("basic_auth.{name}_file"), what)
                })
            };
            let user = read("username", &auth.username)?;
            let password = read("password", &auth.password)?;
            headers.insert(AUTHORIZATION, basic(&user, &password));
        }
        if let Some(auth) = &self.config.authorization
            && let Some(source) = &auth.credentials
        {
            let field = "authorization.credentials_file";
            let token = self.files.source(source).map_err(|e| {
                problem(
                    field,
                    format!("unable to read authorization credentials: {e}"),
                )
            })?;
            let value = secret(&format!("{} {token}", auth.kind));
            let value =
                value.map_err(|()| problem(field, "not fit for an HTTP header".to_string()))?;
            headers.insert(AUTHORIZATION, value);
        }
        for (name, values) in &self.config.http_headers {
            let field = format!("http_headers.{name}");
            let unfit = || problem(&field, format!("header {name:?} cannot be sent"));
            let key = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
            headers.remove(&key);
            for value in &values.values {
                let value = HeaderValue::from_str(value).map_err(|_| unfit())?;
                headers.append(&key, value);
            }
            for value in &values.secrets {
                let value = secret(value.expose()).map_err(|()| unfit())?;
                headers.append(&key, value);
            }
            for path in &values.files {
                let text = self.files.read(path).map_err(|e| {
                    let what = format!("unable to read headers file {}: {e}", path.display());
                    problem(&format!("{field}.files"), what)
                })?;
                headers.append(&key, secret(&text).map_err(|()| unfit())?);
            }
        }
        Ok(())
    }
}

fn problem(field: &str, reason: String) -> ClientProblem {
    ClientProblem {
        field: field.to_string(),
        reason,
    }
}

/// A value that is not shown in debug output.
fn secret(text: &str) -> Result<HeaderValue, ()> {
    let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| ())?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Basic dTpw`
pub(crate) fn basic(user: &str, password: &str) -> HeaderValue {
    let text = BASE64_STANDARD.encode(format!("{user}:{password}"));
    secret(&format!("Basic {text}")).expect("invariant: base64 is header text")
}

/// User and password of a basic `Authorization` value.
pub(crate) fn parse_basic(value: &HeaderValue) -> Option<(Vec<u8>, Vec<u8>)> {
    let (scheme, text) = value.as_bytes().split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let mut plain = BASE64_STANDARD.decode(text.trim_ascii()).ok()?;
    let colon = plain.iter().position(|b| *b == b':')?;
    let password = plain.split_off(colon + 1);
    plain.pop();
    Some((plain, password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_there_and_back() {
        let value = basic("me", "a:b é");
        let back = (b"me".to_vec(), "a:b é".as_bytes().to_vec());
        assert_eq!(parse_basic(&value), Some(back));
        assert!(!format!("{value:?}").contains("Basic"));
        for bad in ["Bearer x", "Basic ", "Basic !", "Basic YQ==", "Bas"] {
            assert_eq!(parse_basic(&HeaderValue::from_static(bad)), None, "{bad}");
        }
    }
}
