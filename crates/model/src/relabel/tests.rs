use super::*;
use crate::labels::Labels;

fn rule(action: &str) -> RelabelConfig {
    RelabelConfig {
        action: RelabelAction::parse(action).unwrap(),
        ..RelabelConfig::default()
    }
}

fn sources(mut rule: RelabelConfig, names: &[&str]) -> RelabelConfig {
    rule.source_labels = names.iter().map(|n| (*n).to_string()).collect();
    rule
}

fn regex(mut rule: RelabelConfig, pattern: &str) -> RelabelConfig {
    rule.set_regex(pattern).unwrap();
    rule
}

fn target(mut rule: RelabelConfig, target: &str, replacement: &str) -> RelabelConfig {
    rule.target_label = target.to_string();
    rule.replacement = replacement.to_string();
    rule
}

/// The set after one rule as `name=value` pairs, or `dropped`.
fn run(rule: &RelabelConfig, labels: &[(&str, &str)]) -> String {
    let mut builder = Labels::from_pairs(labels.iter().copied()).to_builder();
    if !apply(std::slice::from_ref(rule), &mut builder) {
        return "dropped".to_string();
    }
    let pairs: Vec<String> = builder
        .iter()
        .map(|l| format!("{}={}", l.name, l.value))
        .collect();
    pairs.join(" ")
}

#[test]
fn replace() {
    let labels = [("a", "foo"), ("b", "bar")];
    let both = |pattern: &str| regex(sources(rule("replace"), &["a", "b"]), pattern);
    for (pattern, to, replacement, want) in [
        ("(.*)", "c", "$1", "a=foo b=bar c=foo;bar"),
        ("f(.*);(.*)r", "c", "${2}-$1", "a=foo b=bar c=ba-oo"),
        ("f(.*);(.*)r", "c", "$1x", "a=foo b=bar"),
        ("f(?P<rest>.*);.*", "c", "$rest", "a=foo b=bar c=oo"),
        ("foo", "c", "$1", "a=foo b=bar"),
        ("(.*);(.*)", "${2}", "x", "a=foo b=bar bar=x"),
        ("(.*);(.*)", "$9", "x", "a=foo b=bar"),
        ("nope.*", "a", "", "a=foo b=bar"),
        (".*", "a", "", "b=bar"),
        (".*", "a", "$7", "b=bar"),
        (".*", "x y", "z", "a=foo b=bar x y=z"),
    ] {
        let rule = target(both(pattern), to, replacement);
        assert_eq!(run(&rule, &labels), want, "{pattern} {to} {replacement}");
    }
    let mut dashes = target(both("foo--bar"), "a", "x");
    dashes.separator = "--".to_string();
    assert_eq!(run(&dashes, &labels), "a=x b=bar");
    let newline = target(regex(sources(rule("replace"), &["n"]), "a.b"), "m", "1");
    assert_eq!(run(&newline, &[("n", "a\nb")]), "m=1 n=a\nb");
}

#[test]
fn keep_and_drop() {
    let labels = [("a", "foo")];
    let on_a = |action: &str, pattern: &str| regex(sources(rule(action), &["a"]), pattern);
    assert_eq!(run(&on_a("keep", "fo+"), &labels), "a=foo");
    assert_eq!(run(&on_a("keep", "fo"), &labels), "dropped");
    assert_eq!(run(&on_a("drop", "fo+"), &labels), "dropped");
    assert_eq!(run(&on_a("drop", "fo"), &labels), "a=foo");
    let missing = regex(sources(rule("keep"), &["none"]), "");
    assert_eq!(run(&missing, &labels), "a=foo");
}

#[test]
fn equality() {
    let on = |action: &str| target(sources(rule(action), &["a"]), "b", "$1");
    let (same, other) = ([("a", "1"), ("b", "1")], [("a", "1"), ("b", "2")]);
    assert_eq!(run(&on("keepequal"), &same), "a=1 b=1");
    assert_eq!(run(&on("keepequal"), &other), "dropped");
    assert_eq!(run(&on("dropequal"), &same), "dropped");
    assert_eq!(run(&on("dropequal"), &other), "a=1 b=2");
    assert_eq!(run(&on("keepequal"), &[]), "");
}

#[test]
fn hashmod_is_prometheus_md5() {
    let mut rule = target(sources(rule("hashmod"), &["c"]), "d", "$1");
    rule.modulus = 1000;
    // Prometheus, model/relabel/relabel_test.go.
    assert_eq!(
        run(&rule, &[("a", "foo"), ("b", "bar"), ("c", "baz")]),
        "a=foo b=bar c=baz d=976"
    );
    assert_eq!(
        run(&rule, &[("a", "foo\nbar"), ("b", "bar"), ("c", "baz")]),
        "a=foo\nbar b=bar c=baz d=976"
    );
    rule.modulus = 0;
    assert_eq!(run(&rule, &[("c", "baz")]), "c=baz d=0");
}

#[test]
fn names() {
    let labels = [("__meta_a", "1"), ("__meta_b", "2"), ("c", "3")];
    let map = target(regex(rule("labelmap"), "__meta_(.*)"), "", "$1");
    assert_eq!(run(&map, &labels), "__meta_a=1 __meta_b=2 a=1 b=2 c=3");
    let chain = target(regex(rule("labelmap"), "(c+)"), "", "${1}c");
    assert_eq!(run(&chain, &[("c", "3")]), "c=3 cc=3");
    assert_eq!(run(&regex(rule("labeldrop"), "__.*"), &labels), "c=3");
    assert_eq!(
        run(&regex(rule("labelkeep"), "__meta_."), &labels),
        "__meta_a=1 __meta_b=2"
    );
}

#[test]
fn cases() {
    let lower = target(sources(rule("lowercase"), &["a"]), "l", "$1");
    let upper = target(sources(rule("uppercase"), &["a"]), "u", "$1");
    assert_eq!(run(&lower, &[("a", "FoÖ")]), "a=FoÖ l=foö");
    assert_eq!(run(&upper, &[("a", "foö")]), "a=foö u=FOÖ");
}

#[test]
fn rules_run_in_order_until_a_drop() {
    let first = target(rule("replace"), "a", "1");
    let second = regex(sources(rule("keep"), &["a"]), "1");
    let mut labels = LabelsBuilder::new();
    assert!(apply(&[first.clone(), second.clone()], &mut labels));
    assert!(!apply(&[second, first], &mut LabelsBuilder::new()));
    assert_eq!(labels.get("a"), "1");
}

#[test]
fn validation_texts() {
    let error = |rule: RelabelConfig, legacy| match rule.validate(legacy) {
        Ok(()) => "ok".to_string(),
        Err(e) => e.to_string(),
    };
    let with_separator = |mut rule: RelabelConfig| {
        rule.separator = "x".to_string();
        rule
    };
    let with_modulus = |mut rule: RelabelConfig| {
        rule.modulus = 3;
        rule
    };
    for (rule, want) in [
        (
            rule("replace"),
            "relabel configuration for replace action requires 'target_label' value",
        ),
        (
            rule("keepequal"),
            "relabel configuration for keepequal action requires 'target_label' value",
        ),
        (
            target(rule("hashmod"), "a", "$1"),
            "relabel configuration for hashmod requires non-zero modulus",
        ),
        (with_modulus(target(rule("HashMod"), "a-b", "$1")), "ok"),
        (
            with_separator(rule("labeldrop")),
            "labeldrop action requires only 'regex', and no other fields",
        ),
        (
            sources(rule("labelkeep"), &["a"]),
            "labelkeep action requires only 'regex', and no other fields",
        ),
        (rule("labeldrop"), "ok"),
        (
            target(rule("lowercase"), "a", "b"),
            "'replacement' can not be set for lowercase action",
        ),
        (
            target(rule("keepequal"), "a", "b"),
            "'replacement' can not be set for keepequal action",
        ),
        (
            regex(target(rule("keepequal"), "a", "$1"), "b"),
            "keepequal action requires only 'source_labels' and `target_label`, and no other fields",
        ),
        (
            target(rule("labelmap"), "", ""),
            "\"\" is invalid 'replacement' for labelmap action",
        ),
        (target(rule("replace"), "x-y", "z"), "ok"),
        (rule("keep"), "ok"),
        (with_modulus(rule("drop")), "ok"),
    ] {
        assert_eq!(error(rule, false), want);
    }
    let invalid = "\"x-y\" is invalid 'target_label' for replace action";
    assert_eq!(error(target(rule("replace"), "x-y", "z"), true), invalid);
    assert_eq!(error(target(rule("replace"), "x_${1}", "z"), true), "ok");
    assert_eq!(
        error(target(rule("lowercase"), "${1}", "$1"), true),
        "\"${1}\" is invalid 'target_label' for lowercase action"
    );
    assert_eq!(
        RelabelAction::parse("foo").unwrap_err().to_string(),
        "unknown relabel action \"foo\""
    );
    assert!(RelabelConfig::default().set_regex("(").is_err());
}
