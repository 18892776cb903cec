//! A parser of exposition pages of the tests' own, simple and slow, for pages without oddities.

use std::collections::BTreeMap;

use super::LabelMap;

/// A sample of a page.
pub(super) struct Exposed {
    pub(super) labels: LabelMap,
    pub(super) value: f64,
    /// It has a timestamp of its own.
    pub(super) timed: bool,
}

/// Samples, and types by family.
pub(super) fn exposed(page: &str) -> (Vec<Exposed>, BTreeMap<String, String>) {
    let mut samples = Vec::new();
    let mut types = BTreeMap::new();
    let mut kind = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (family, word) = rest.rsplit_once(' ').unwrap();
            kind = word.to_string();
            types.insert(family.trim_matches('"').to_string(), kind.clone());
        }
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let (mut labels, rest) = exposed_series(line);
        let bound = match kind.as_str() {
            "histogram" => "le",
            "summary" => "quantile",
            _ => "",
        };
        if let Some(value) = labels.get_mut(bound) {
            *value = float_form(value);
        }
        labels.retain(|_, value| !value.is_empty());
        let tokens: Vec<&str> = rest
            .split(" # ")
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        samples.push(Exposed {
            labels,
            value: tokens[0].parse().unwrap(),
            timed: tokens.len() > 1,
        });
    }
    (samples, types)
}

/// The labels at the start of a line, and the rest of it.
fn exposed_series(line: &str) -> (LabelMap, &str) {
    let (name, mut rest) = line.split_at(line.find(['{', ' ']).unwrap());
    let mut labels = LabelMap::new();
    if !name.is_empty() {
        labels.insert("__name__".to_string(), name.to_string());
    }
    let Some(inside) = rest.strip_prefix('{') else {
        return (labels, rest);
    };
    rest = inside;
    loop {
        rest = rest.trim_start_matches([',', ' ']);
        if let Some(after) = rest.strip_prefix('}') {
            return (labels, after);
        }
        let name = if rest.starts_with('"') {
            let (text, after) = quoted(rest);
            rest = after;
            if !rest.starts_with('=') {
                labels.insert("__name__".to_string(), text);
                continue;
            }
            text
        } else {
            let (text, after) = rest.split_at(rest.find('=').unwrap());
            rest = after;
            text.to_string()
        };
        let (value, after) = quoted(&rest[1..]);
        labels.insert(name, value);
        rest = after;
    }
}

fn quoted(text: &str) -> (String, &str) {
    let mut out = String::new();
    let mut chars = text.char_indices().skip(1);
    loop {
        match chars.next().unwrap() {
            (i, '"') => return (out, &text[i + 1..]),
            (_, '\\') => match chars.next().unwrap().1 {
                'n' => out.push('\n'),
                c => out.push(c),
            },
            (_, c) => out.push(c),
        }
    }
}

/// A bound or quantile as `OpenMetrics` writes it: `1.0`, `0.5`, `1e+06`, `+Inf`.
fn float_form(text: &str) -> String {
    let v: f64 = text.parse().unwrap();
    if v == f64::INFINITY {
        return "+Inf".to_string();
    }
    if v == 0.0 || (1e-4..1e6).contains(&v.abs()) {
        return format!("{v:?}");
    }
    let text = format!("{v:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap();
    let (sign, digits) = exponent
        .strip_prefix('-')
        .map_or(('+', exponent), |d| ('-', d));
    format!("{mantissa}e{sign}{digits:0>2}")
}
