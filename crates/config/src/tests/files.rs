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
