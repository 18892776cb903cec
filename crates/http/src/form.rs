//! Form bodies: percent-encoding and `multipart/form-data`. Bytes from the network, so every
//! input gives pairs or an error.

/// Most parts of a multipart body that are read; more are an error.
const MAX_PARTS: usize = 1000;

/// Undoes percent-encoding; `plus` also turns `+` into a space. The error is Go's text for a
/// malformed escape.
pub(crate) fn unescape(text: &[u8], plus: bool) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'%' => {
                let digit = |i: usize| tail.get(i).and_then(|d| (*d as char).to_digit(16));
                let (Some(high), Some(low)) = (digit(0), digit(1)) else {
                    let shown = String::from_utf8_lossy(&tail[..tail.len().min(2)]).into_owned();
                    return Err(format!("invalid URL escape \"%{shown}\""));
                };
                out.push((high * 16 + low) as u8);
                rest = &tail[2..];
            }
            b'+' if plus => out.push(b' '),
            b => out.push(*b),
        }
    }
    Ok(out)
}

/// Name and value of each part that is not a file.
pub(crate) fn multipart(content_type: &str, body: &[u8]) -> Result<Vec<(String, String)>, String> {
    let boundary = parameter(content_type, "boundary")
        .filter(|b| !b.is_empty() && b.len() <= 70)
        .ok_or("no multipart boundary param in Content-Type")?;
    let delimiter = format!("--{boundary}").into_bytes();
    let mut rest = match body.strip_prefix(delimiter.as_slice()) {
        Some(rest) => rest,
        None => {
            let mut first = b"\r\n".to_vec();
            first.extend_from_slice(&delimiter);
            split_at(body, &first).ok_or("multipart: NextPart: EOF")?.1
        }
    };
    let mut separator = b"\r\n".to_vec();
    separator.extend_from_slice(&delimiter);
    let mut pairs = Vec::new();
    while !rest.starts_with(b"--") {
        if pairs.len() == MAX_PARTS {
            return Err("multipart: message too large".into());
        }
        let (_, after_line) = split_at(rest, b"\r\n").ok_or("multipart: NextPart: EOF")?;
        let (part, tail) = split_at(after_line, &separator).ok_or("unexpected EOF")?;
        rest = tail;
        // A part without headers begins with the empty line.
        let (headers, value) = match part.strip_prefix(b"\r\n") {
            Some(value) => (&[][..], value),
            None => split_at(part, b"\r\n\r\n").ok_or("malformed MIME header")?,
        };
        let headers = String::from_utf8_lossy(headers);
        let disposition = headers.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim()
                .eq_ignore_ascii_case("content-disposition")
                .then_some(value)
        });
        let Some(disposition) = disposition else {
            continue;
        };
        let name = parameter(disposition, "name");
        if let (Some(name), None) = (name, parameter(disposition, "filename")) {
            pairs.push((name, String::from_utf8_lossy(value).into_owned()));
        }
    }
    Ok(pairs)
}

fn split_at<'a>(text: &'a [u8], separator: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(separator.len()).position(|w| w == separator)?;
    Some((&text[..at], &text[at + separator.len()..]))
}

/// A parameter of a header value: `form-data; name="x"`.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (name, after) = rest.split_once('=')?;
        let (value, tail) = match after.trim_start().strip_prefix('"') {
            Some(text) => quoted_value(text)?,
            None => {
                let (value, tail) = after.split_once(';').unwrap_or((after, ""));
                (value.trim().to_string(), tail)
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = tail.trim_start().strip_prefix(';').unwrap_or(tail);
    }
}

/// Text up to the closing quote, with `\x` undone, and what follows.
fn quoted_value(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes() {
        assert_eq!(unescape(b"a%20b+c%2B", true), Ok(b"a b c+".to_vec()));
        assert_eq!(unescape(b"a+b", false), Ok(b"a+b".to_vec()));
        for (text, shown) in [("%zz", "%zz"), ("a%", "%"), ("%4", "%4"), ("%4x%20", "%4x")] {
            let expected = format!("invalid URL escape \"{shown}\"");
            assert_eq!(unescape(text.as_bytes(), true), Err(expected));
        }
    }

    #[test]
    fn multipart_fields_without_files() {
        let body = "preamble\r\n--B\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\n\
            up{a=\"b\"}\r\n--B \r\ncontent-disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\n\
            file\r\n--B\r\nContent-Disposition: form-data; name=time\r\nX: y\r\n\r\n4\r\n--B--\r\n";
        let pairs = multipart("multipart/form-data; boundary=\"B\"", body.as_bytes()).unwrap();
        let expected = [("query", "up{a=\"b\"}"), ("time", "4")];
        assert_eq!(pairs, expected.map(|(n, v)| (n.to_string(), v.to_string())));
        assert!(multipart("multipart/form-data", body.as_bytes()).is_err());
        assert!(multipart("multipart/form-data; boundary=C", body.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_give_an_answer(head in "[ -~]{0,40}", body in "(--B|\r\n|[a-z:;=\"-]){0,40}") {
            let _ = multipart(&head, body.as_bytes());
            let _ = multipart("multipart/form-data; boundary=B", body.as_bytes());
            let _ = unescape(body.as_bytes(), true);
        }
    }
}
