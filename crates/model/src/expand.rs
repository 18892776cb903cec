//! Replacement templates of `label_replace` and relabelling: Go's `Regexp.Expand`.

use regex::Captures;

use crate::matcher::AnchoredRegex;

/// Appends `template` to `out` with `$1`, `${1}`, `$name` and `${name}` replaced by what the groups
/// of `captures` matched, and `$$` by `$`.
///
/// `$name` takes the longest run of letters, digits and underscores, so `$1x` is the group `1x`.
/// Groups that do not exist or took no part in the match are empty; a `$` that begins no reference
/// stands for itself.
pub fn expand(template: &str, captures: &Captures<'_>, out: &mut String) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = reference(after) {
            let group = match group_number(name) {
                Some(number) => captures.get(number),
                None => captures.name(name),
            };
            out.push_str(group.map_or("", |m| m.as_str()));
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
}

/// Expands `template` with the groups of a match of `regex` on the whole of `text`; `None` when it
/// does not match.
pub fn replace(regex: &AnchoredRegex, text: &str, template: &str) -> Option<String> {
    if !regex.is_match(text) {
        return None;
    }
    let captures = regex.regex().captures(text)?;
    let mut out = String::new();
    expand(template, &captures, &mut out);
    Some(out)
}

/// Splits the name of a group from the text behind a `$`.
fn reference(text: &str) -> Option<(&str, &str)> {
    let braced = text.strip_prefix('{');
    let text = braced.unwrap_or(text);
    let end = text
        .find(|c: char| !(c.is_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if name.is_empty() {
        return None;
    }
    match braced {
        Some(_) => Some((name, rest.strip_prefix('}')?)),
        None => Some((name, rest)),
    }
}

/// The number of a group, when its name is one: decimal, without leading zeros.
fn group_number(name: &str) -> Option<usize> {
    let plain = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    // A number too large to be a group must still not be looked up as a name.
    plain.then(|| name.parse().unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pattern: &str, text: &str, template: &str) -> Option<String> {
        replace(&AnchoredRegex::new(pattern).unwrap(), text, template)
    }

    #[test]
    fn references() {
        let all = |template| run("(?P<first>.*)-(.*)", "a-b", template).unwrap();
        assert_eq!(all("$1/$2"), "a/b");
        assert_eq!(all("${1}x$2y"), "ax");
        assert_eq!(all("$first.${first}"), "a.a");
        assert_eq!(all("$0"), "a-b");
        assert_eq!(all("$3$nope$01$99999999999999999999"), "");
        assert_eq!(all("plain"), "plain");
        assert_eq!(all(""), "");
    }

    #[test]
    fn dollars() {
        let all = |template| run("(.*)", "v", template).unwrap();
        assert_eq!(all("$$"), "$");
        assert_eq!(all("$$1"), "$1");
        assert_eq!(all("$"), "$");
        assert_eq!(all("$ 1$-"), "$ 1$-");
        assert_eq!(all("${1"), "${1");
        assert_eq!(all("${}"), "${}");
        assert_eq!(all("${1-}$1"), "${1-}v");
    }

    #[test]
    fn anchored_and_optional_groups() {
        assert_eq!(run("b", "abc", "x"), None);
        assert_eq!(run("(a)|(b)", "b", "[$1$2]").unwrap(), "[b]");
        assert_eq!(run(".*", "x\ny", "$0").unwrap(), "x\ny");
    }
}
