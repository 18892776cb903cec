//! File names with wildcards: `*`, `?` and `[a-z]` within one segment of a path.

use std::path::{Component, Path, PathBuf};

/// Most names that one pattern may find.
const MAX_FOUND: usize = 10_000;

/// The files a pattern means, sorted. A pattern without wildcards means itself, whether or not
/// there is such a file; one with wildcards may find nothing.
pub fn glob(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    if pattern.to_str().is_none_or(|text| !has_wildcard(text)) {
        return Ok(vec![pattern.to_path_buf()]);
    }
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        let segment = match component {
            Component::Normal(name) => name.to_str().unwrap_or_default(),
            other => {
                for path in &mut found {
                    path.push(other);
                }
                continue;
            }
        };
        if !has_wildcard(segment) {
            found.retain_mut(|path| {
                path.push(segment);
                path.symlink_metadata().is_ok()
            });
            continue;
        }
        let segment: Vec<char> = segment.chars().collect();
        let mut next = Vec::new();
        for dir in &found {
            let here = if dir.as_os_str().is_empty() {
                Path::new(".")
            } else {
                dir
            };
            let Ok(entries) = std::fs::read_dir(here) else {
                continue;
            };
            for entry in entries.flatten() {
                let name = entry.file_name();
                let Some(text) = name.to_str() else { continue };
                let text: Vec<char> = text.chars().collect();
                if matches(&segment, &text) {
                    next.push(dir.join(name));
                }
                if next.len() > MAX_FOUND {
                    let pattern = pattern.display();
                    return Err(format!("{pattern}: more than {MAX_FOUND} files"));
                }
            }
        }
        found = next;
    }
    found.sort();
    Ok(found)
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether `text` fits. Goes back to the last star only, so the time is bounded by the product
/// of the lengths.
fn matches(pattern: &[char], text: &[char]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p + 1, t));
                p += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('[') => class(&pattern[p..], text[t]),
            Some(c) if *c == text[t] => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(width), _) => {
                p += width;
                t += 1;
            }
            (None, Some((after, from))) => {
                p = after;
                t = from + 1;
                star = Some((after, from + 1));
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Length of the class in brackets at the start of `pattern` when `c` is in it.
fn class(pattern: &[char], c: char) -> Option<usize> {
    let end = pattern.iter().skip(2).position(|c| *c == ']')? + 2;
    let inside = &pattern[1..end];
    let (negated, inside) = match inside {
        ['^', rest @ ..] => (true, rest),
        _ => (false, inside),
    };
    let mut found = false;
    let mut i = 0;
    while i < inside.len() {
        if let [low, '-', high, ..] = inside[i..] {
            found |= (low..=high).contains(&c);
            i += 3;
        } else {
            found |= inside[i] == c;
            i += 1;
        }
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match() {
        let fits = |pattern: &str, text: &str| {
            let chars = |s: &str| s.chars().collect::<Vec<_>>();
            matches(&chars(pattern), &chars(text))
        };
        assert!(fits("*.yml", "a.yml") && fits("a*b*c", "aXbYbc") && fits("?", "é"));
        assert!(fits("[a-c]x", "bx") && fits("[^a]", "b") && fits("*", ""));
        assert!(!fits("*.yml", "a.yaml") && !fits("a", "ab") && !fits("[a", "a"));
        assert!(!fits("[^a]", "a") && !fits("?", ""));
        assert!(!fits(&"*a".repeat(50), &"a".repeat(49)));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test's own files")]
    fn files_are_found() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yml", "c.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found = glob(&dir.path().join("*.yml")).unwrap();
        assert_eq!(found, [dir.path().join("a.yml"), dir.path().join("b.yml")]);
        let plain = dir.path().join("none.yml");
        assert_eq!(glob(&plain).unwrap(), [plain]);
        assert!(glob(&dir.path().join("x/*")).unwrap().is_empty());
    }
}
