//! Reading files, and files made to hurt.

use std::fmt::Write as _;

use super::bad::error;
use super::*;

#[test]
fn files() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prometheus.yml");
    let name = path.display().to_string();
    let missing = Config::load(&path).unwrap_err();
    assert!(matches!(missing, ConfigError::Read { .. }));
    assert!(missing.to_string().starts_with(&name), "{missing}");

    let write = |bytes: &[u8]| {
        use std::io::Write;
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .unwrap();
        file.write_all(bytes).unwrap();
    };
    write(FULL.as_bytes());
    assert_eq!(Config::load(&path).unwrap().scrape_configs.len(), 2);
    write(b"global:\n  scrape_interval: \xff\n");
    assert_eq!(
        Config::load(&path).unwrap_err().to_string(),
        format!("{name}:2:20: not UTF-8")
    );
    write(b"foo: 1");
    let unknown = Config::load(&path).unwrap_err().to_string();
    assert_eq!(unknown, format!("{name}:1:1: field foo not found"));
    write(&vec![b'#'; (32 << 20) + 1]);
    assert!(matches!(
        Config::load(&path).unwrap_err(),
        ConfigError::TooLarge { .. }
    ));
}

#[test]
fn hostile_yaml_is_bounded() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_string();
    for i in 1..12 {
        let aliases = vec![format!("*a{}", i - 1); 9].join(", ");
        writeln!(bomb, "a{i}: &a{i} [{aliases}]").unwrap();
    }
    let long = "x".repeat(1 << 20);
    let big_alias = format!("a: &a {long}\nb: [{}]\n", vec!["*a"; 5_000].join(", "));
    let nodes = format!("a: [{}]\n", "1,".repeat(600_000));
    for yaml in [
        &bomb,
        &big_alias,
        &nodes,
        &"[".repeat(100_000),
        &"- ".repeat(100_000),
        &"{a: ".repeat(50_000),
        "a: &a [*a]\n",
    ] {
        let got = error(yaml);
        assert!(got.len() < 300, "{}", &got[..300]);
    }
}

#[test]
fn rule_files_are_found_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        use std::io::Write;
        let mut options = std::fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true);
        let mut file = options.open(dir.path().join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        dir.path().join(name)
    };
    let config = write("p.yml", "rule_files: [one.yml, 'r/*.yml', 'o*.yml']\n");
    let good = "groups:\n- name: a\n  interval: 1m\n  rules:\n  - {record: x, expr: up}\n  - {alert: B, \
                expr: up == 0, for: 5m, annotations: {summary: down}}\n";
    let path = write("one.yml", good);
    let loaded = Config::load(&config).unwrap();
    assert_eq!(loaded.rules_found, [RuleFile { path, rules: 2 }]);
    assert_eq!(loaded.rule_files.len(), 3);
    let exprs = |expr: &str| match expr {
        "up" => Ok(()),
        other => Err(format!("no {other}")),
    };
    let loader = Loader {
        exprs: Some(&exprs),
        ..Loader::default()
    };
    for (want, group) in [
        (
            "1:10: groups[0]: Groupname must not be empty",
            "{rules: []}",
        ),
        (
            "1:26: groups[1].name: groupname: \"a\" is repeated in the same file",
            "{name: a}, {name: a}",
        ),
        (
            "1:29: groups[0].rules[0].record: group \"a\", rule 1, \"x\": only one of 'record' and \
             'alert' must be set",
            "{name: a, rules: [{record: x, alert: y, expr: up}]}",
        ),
        (
            "1:29: groups[0].rules[0]: group \"a\", rule 1, \"\": one of 'record' or 'alert' must be \
             set",
            "{name: a, rules: [{expr: up}]}",
        ),
        (
            "1:29: groups[0].rules[0]: group \"a\", rule 1, \"x\": field 'expr' must be set in rule",
            "{name: a, rules: [{alert: x}]}",
        ),
        (
            "1:45: groups[0].rules[0].for: group \"a\", rule 1, \"x\": invalid field 'for' in \
             recording rule",
            "{name: a, rules: [{record: x, for: 1m, expr: up}]}",
        ),
        (
            "1:46: groups[0].rules[0].expr: group \"a\", rule 1, \"x\": could not parse expression: \
             no down",
            "{name: a, rules: [{record: x, expr: down}]}",
        ),
        ("1:20: groups[0]: field foo not found", "{name: a, foo: 1}"),
    ] {
        let path = write("one.yml", &format!("groups: [{group}]\n"));
        let error = loader.load(&config).unwrap_err().to_string();
        let reason = |text: &str| text.split_once(": ").unwrap().1.to_string();
        let start = format!("{}:1:", path.display());
        assert!(error.starts_with(&start), "{error}");
        assert_eq!(reason(&error), reason(want), "{group}");
    }
    let without = Loader {
        without_rules: true,
        ..Loader::default()
    };
    assert!(without.load(&config).unwrap().rules_found.is_empty());
}
