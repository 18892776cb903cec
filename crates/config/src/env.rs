//! Variables of the environment: always in the values of `external_labels`, and on demand in all
//! others.

use crate::error::Problem;
use crate::global::Env;
use crate::node::{Node, Value};

/// Replaces `${NAME}` in every value but those of `external_labels`, which have rules of their own
/// (see [`expand`]). `$NAME` and `${1}` stay as they are: relabelling uses them for groups.
pub(crate) fn expand_nodes(root: &mut Node, get: Env<'_>) -> Result<(), Problem> {
    expand_node(root, &mut Vec::new(), get)
}

fn expand_node(node: &mut Node, path: &mut Vec<String>, get: Env<'_>) -> Result<(), Problem> {
    match &mut node.value {
        Value::Null => {}
        Value::Scalar { text, .. } => {
            let field = path.join(".");
            *text = expand_braces(text, get).map_err(|e| Problem::new(node.at, &field, e))?;
        }
        Value::List(items) => {
            for item in items {
                expand_node(item, path, get)?;
            }
        }
        Value::Map(entries) => {
            for (key, value) in entries {
                if key.name == "external_labels" && path.len() == 1 && path[0] == "global" {
                    continue;
                }
                path.push(key.name.clone());
                expand_node(value, path, get)?;
                path.pop();
            }
        }
    }
    Ok(())
}

fn expand_braces(text: &str, get: Env<'_>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out += before;
            out += "${";
            rest = tail;
            continue;
        }
        out += before;
        let name = &tail[..tail.find('}').unwrap_or(0)];
        let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
        let is_name = name.starts_with(starts)
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name {
            out += "${";
            rest = tail;
            continue;
        }
        let value = get(name).ok_or_else(|| {
            format!("the environment has no variable {name:?}; write $${{ for a plain ${{")
        })?;
        out += &value;
        rest = &tail[name.len() + 1..];
    }
    Ok(out + rest)
}

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
