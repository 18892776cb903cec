//! Variables of the environment in the values of `external_labels`.

/// Replaces `$NAME` and `${NAME}` by what `get` knows, or by nothing. `$$` is a dollar sign, and
/// so is one that no name follows.
pub(crate) fn expand(text: &str, get: &dyn Fn(&str) -> Option<String>) -> String {
    let value = |name: &str| match name {
        "$" => "$".to_string(),
        _ => get(name).unwrap_or_default(),
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once('$') {
        out += before;
        if let Some(inner) = tail.strip_prefix('{') {
            match inner.split_once('}') {
                // `${}` is dropped.
                Some((name, after)) => {
                    if !name.is_empty() {
                        out += &value(name);
                    }
                    rest = after;
                }
                // So is a brace without its partner.
                None => rest = inner,
            }
            continue;
        }
        let special = |c: char| matches!(c, '*' | '#' | '$' | '@' | '!' | '?' | '-' | '0'..='9');
        let in_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = if tail.starts_with(special) {
            1
        } else {
            tail.find(|c| !in_name(c)).unwrap_or(tail.len())
        };
        let (name, after) = tail.split_at(end);
        if name.is_empty() {
            out.push('$');
        } else {
            out += &value(name);
        }
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expands_as_a_shell_would() {
        let get = |name: &str| (name == "HOST").then(|| "box".to_string());
        for (text, want) in [
            ("plain", "plain"),
            ("$HOST", "box"),
            ("a-${HOST}-b", "a-box-b"),
            ("$HOST.$HOST", "box.box"),
            ("${NONE}x$NONE", "x"),
            ("$$HOST", "$HOST"),
            ("100$", "100$"),
            ("$ 5", "$ 5"),
            ("$-x", "x"),
            ("${}a", "a"),
            ("${HOST", "HOST"),
            ("é$é", "é$é"),
            ("$1a", "a"),
        ] {
            assert_eq!(expand(text, &get), want, "{text}");
        }
    }
}
