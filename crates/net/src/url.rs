//! URLs as far as the client needs them: split, joined for redirects, and query strings.

use std::fmt::Write as _;

use http::Uri;
use http::uri::PathAndQuery;

/// An absolute `http` or `https` URL.
pub(crate) fn parse(url: &str) -> Result<Uri, String> {
    let url = url.split('#').next().unwrap_or_default();
    let uri: Uri = url.parse().map_err(|e| format!("invalid URL: {e}"))?;
    match uri.scheme_str() {
        Some("http" | "https") => {}
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
        let scheme = base.scheme_str().unwrap_or("http");
        return Ok(format!("{scheme}://{rest}"));
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
    parts.path_and_query = Some(path);
    let joined = Uri::from_parts(parts).map_err(|_| invalid())?;
    Ok(joined.to_string())
}

pub(crate) fn is_https(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https")
}

pub(crate) fn port(uri: &Uri) -> u16 {
    let default = if is_https(uri) { 443 } else { 80 };
    uri.port_u16().unwrap_or(default)
}

/// `scheme://host:port`, what connections are kept by.
pub(crate) fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("http");
    format!(
        "{scheme}://{}:{}",
        uri.host().unwrap_or_default(),
        port(uri)
    )
}

/// Whether credentials for `first` may go along to `next`: to the same host, and not from TLS to
/// plain text.
pub(crate) fn may_follow(first: &Uri, next: &Uri) -> bool {
    let host = |uri: &Uri| uri.host().unwrap_or_default().to_ascii_lowercase();
    host(first) == host(next) && (is_https(next) || !is_https(first))
}

/// User and password in a URL.
pub(crate) fn user_info(uri: &Uri) -> Option<(String, String)> {
    let (user, _) = uri.authority()?.as_str().rsplit_once('@')?;
    let (user, password) = user.split_once(':').unwrap_or((user, ""));
    Some((unescape(user), unescape(password)))
}

/// A URL for messages.
pub(crate) fn without_password(url: &str) -> String {
    let Ok(uri) = url.parse::<Uri>() else {
        return url.to_string();
    };
    let user = uri.authority().and_then(|a| a.as_str().rsplit_once('@'));
    match user.and_then(|(user, _)| user.split_once(':')) {
        Some((name, password)) => {
            let whole = format!("{name}:{password}@");
            url.replacen(&whole, &format!("{name}:***@"), 1)
        }
        None => url.to_string(),
    }
}

/// Undoes `%XX`.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match byte {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
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
    fn users_and_their_secrets() {
        let uri = parse("https://me:p%40ss@h/x").unwrap();
        assert_eq!(user_info(&uri), Some(("me".into(), "p@ss".into())));
        assert_eq!(
            without_password("http://me:pw@h/?a=pw"),
            "http://me:***@h/?a=pw"
        );
        assert_eq!(host_header(&uri), "h");
        assert_eq!(origin(&uri), "https://h:443");
        let next = |url| may_follow(&uri, &parse(url).unwrap());
        assert!(next("https://H:8443/") && !next("http://h/") && !next("https://other/"));
    }

    #[test]
    fn queries_are_escaped() {
        let query = encode_query([("q", "up{a=\"b\"} + 1"), ("é", "")]);
        assert_eq!(query, "q=up%7Ba%3D%22b%22%7D+%2B+1&%C3%A9=");
        assert_eq!(encode_query([]), "");
    }
}
