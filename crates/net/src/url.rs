//! URLs as far as the client needs them: split, joined for redirects, and query strings.

use std::fmt::Write as _;

use http::Uri;
use http::uri::{PathAndQuery, Scheme};

/// An absolute `http` URL.
pub(crate) fn parse(url: &str) -> Result<Uri, String> {
    let url = url.split('#').next().unwrap_or_default();
    let uri: Uri = url.parse().map_err(|e| format!("invalid URL: {e}"))?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => {
            return Err("https is not supported: this server has no TLS client".to_string());
        }
        other => {
            let scheme = other.unwrap_or_default();
            return Err(format!("unsupported protocol scheme {scheme:?}"));
        }
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err("http: no Host in request URL".to_string());
    }
    Ok(uri)
}

/// The absolute URL that `location` means on a page at `base`.
pub(crate) fn join(base: &Uri, location: &str) -> Result<String, String> {
    let location = location.split('#').next().unwrap_or_default();
    if location.contains("://") {
        return Ok(location.to_string());
    }
    let invalid = || format!("failed to parse Location header {location:?}");
    if let Some(rest) = location.strip_prefix("//") {
        return Ok(format!("http://{rest}"));
    }
    let path = if location.starts_with('/') {
        location.to_string()
    } else if location.starts_with('?') {
        format!("{}{location}", base.path())
    } else {
        let folder = base
            .path()
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder);
        format!("{folder}/{location}")
    };
    let path: PathAndQuery = path.parse().map_err(|_| invalid())?;
    let mut parts = base.clone().into_parts();
    parts.scheme = Some(Scheme::HTTP);
    parts.path_and_query = Some(path);
    let joined = Uri::from_parts(parts).map_err(|_| invalid())?;
    Ok(joined.to_string())
}

/// `host:port`, what connections are kept by.
pub(crate) fn host_port(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    format!("{host}:{}", uri.port_u16().unwrap_or(80))
}

/// The `Host` header: the port only when the URL says it.
pub(crate) fn host_header(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    match uri.port_u16() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    }
}

/// `a=b&c=d`, everything but unreserved characters escaped, a space as `+`.
pub fn encode_query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        push_escaped(&mut out, name);
        out.push('=');
        push_escaped(&mut out, value);
    }
    out
}

fn push_escaped(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(byte as char);
            }
            b' ' => out.push('+'),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        assert!(parse("http://localhost:9090/metrics?a=b#x").is_ok());
        assert!(parse("http://[::1]:9090/metrics").is_ok());
        let errors = [
            ("ftp://x/", "unsupported protocol scheme \"ftp\""),
            ("/metrics", "unsupported protocol scheme \"\""),
            (
                "https://x/",
                "https is not supported: this server has no TLS client",
            ),
        ];
        for (url, error) in errors {
            assert_eq!(parse(url).unwrap_err(), error);
        }
        assert!(parse("http:///x").is_err());
        assert!(parse("http://a b/").is_err());
    }

    #[test]
    fn locations_are_joined() {
        let base = parse("http://h:1/a/b?c=d").unwrap();
        for (location, url) in [
            ("/x", "http://h:1/x"),
            ("x?y=1", "http://h:1/a/x?y=1"),
            ("?y=1", "http://h:1/a/b?y=1"),
            ("//other/x", "http://other/x"),
            ("http://other:2/x#frag", "http://other:2/x"),
        ] {
            assert_eq!(join(&base, location).unwrap(), url, "{location}");
        }
    }

    #[test]
    fn queries_are_escaped() {
        let query = encode_query([("q", "up{a=\"b\"} + 1"), ("é", "")]);
        assert_eq!(query, "q=up%7Ba%3D%22b%22%7D+%2B+1&%C3%A9=");
        assert_eq!(encode_query([]), "");
    }
}
