//! `os`: the distribution, from os-release.

use std::collections::BTreeMap;

use tsdb_model::MetricType;

use crate::collector::Context;
use crate::error::CollectError;
use crate::page::Page;

const FILES: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];

/// Label, key in the file.
const LABELS: &[(&str, &str)] = &[
    ("build_id", "BUILD_ID"),
    ("id", "ID"),
    ("id_like", "ID_LIKE"),
    ("image_id", "IMAGE_ID"),
    ("image_version", "IMAGE_VERSION"),
    ("name", "NAME"),
    ("pretty_name", "PRETTY_NAME"),
    ("variant", "VARIANT"),
    ("variant_id", "VARIANT_ID"),
    ("version", "VERSION"),
    ("version_codename", "VERSION_CODENAME"),
    ("version_id", "VERSION_ID"),
];

pub(crate) fn collect(context: &Context<'_>, page: &mut Page) -> Result<(), CollectError> {
    let [first, second] = FILES;
    let text = match context.tree.read(first) {
        Err(e) if e.is_no_data() => context.tree.read(second)?,
        other => other?,
    };
    let keys = parse(&text);
    let get = |key: &str| keys.get(key).map(String::as_str).unwrap_or_default();

    page.family(
        "node_os_info",
        MetricType::Gauge,
        "Constant 1, labelled by the fields of os-release.",
    );
    let labels: Vec<(&str, &str)> = LABELS
        .iter()
        .map(|(label, key)| (*label, get(key)))
        .collect();
    page.sample(&labels, 1.0);
    if let Some(version) = version_number(get("VERSION_ID")) {
        page.family(
            "node_os_version",
            MetricType::Gauge,
            "Major and minor version of the system.",
        );
        page.sample(
            &[
                ("id", get("ID")),
                ("id_like", get("ID_LIKE")),
                ("name", get("NAME")),
            ],
            version,
        );
    }
    Ok(())
}

/// `KEY=value` lines, where a value may be quoted as in a shell.
fn parse(text: &str) -> BTreeMap<&str, String> {
    let assignments = text.lines().filter(|line| !line.starts_with('#'));
    let assignments = assignments.filter_map(|line| line.split_once('='));
    assignments
        .map(|(key, value)| (key.trim(), unquote(value.trim())))
        .collect()
}

fn unquote(value: &str) -> String {
    if let Some(inner) = value
        .strip_prefix('\'')
        .and_then(|rest| rest.strip_suffix('\''))
    {
        return inner.to_string();
    }
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(value);
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    out
}

/// `22.04.3` as 22.04; `None` unless it starts with a digit.
fn version_number(version: &str) -> Option<f64> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let major = digits(version);
    let minor = version[major..].strip_prefix('.').map_or(0, digits);
    let end = if minor == 0 { major } else { major + 1 + minor };
    version[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_versions() {
        let keys = parse("# x\nA=\"b \\\"c\\\"\"\nD='e f'\nG=h\nodd\nI=\"\n");
        assert_eq!(keys["A"], "b \"c\"");
        assert_eq!(keys["D"], "e f");
        assert_eq!(keys["G"], "h");
        assert_eq!(keys["I"], "\"");
        for (text, v) in [
            ("12", Some(12.0)),
            ("22.04.3", Some(22.04)),
            ("7.", Some(7.0)),
            ("", None),
            ("rolling", None),
        ] {
            assert_eq!(version_number(text), v, "{text}");
        }
    }
}
