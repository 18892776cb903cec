//! The shape of the workspace: who may depend on whom, and what the library must not pull in.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Crate, and the crates of this workspace it may depend on. The same table stands, with the
/// reasons, in docs/ARCHITECTURE.md.
const ALLOWED: &[(&str, &[&str])] = &[
    ("tsdb-model", &[]),
    ("tsdb-codec", &["tsdb-model"]),
    ("tsdb-storage", &["tsdb-model", "tsdb-codec"]),
    ("tsdb-promql", &["tsdb-model"]),
    ("tsdb-wire", &["tsdb-model"]),
    ("tsdb-config", &["tsdb-model"]),
    ("tsdb", &["tsdb-model", "tsdb-storage", "tsdb-promql"]),
    ("tsdb-net", &["tsdb-model", "tsdb-config"]),
    (
        "tsdb-scrape",
        &["tsdb-model", "tsdb-wire", "tsdb-config", "tsdb-net"],
    ),
    ("tsdb-host", &["tsdb-wire", "tsdb-model"]),
    (
        "tsdb-http",
        &[
            "tsdb",
            "tsdb-codec",
            "tsdb-model",
            "tsdb-promql",
            "tsdb-wire",
            "tsdb-config",
            "tsdb-net",
            "tsdb-scrape",
            "tsdb-host",
        ],
    ),
    (
        "tsdb-bench-peers",
        &["tsdb", "tsdb-http", "tsdb-model", "tsdb-wire"],
    ),
    (
        "tsdb-cli",
        &[
            "tsdb",
            "tsdb-model",
            "tsdb-promql",
            "tsdb-wire",
            "tsdb-config",
            "tsdb-net",
            "tsdb-scrape",
            "tsdb-host",
            "tsdb-http",
        ],
    ),
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON")
}

#[test]
fn crates_depend_only_on_those_below_them() {
    let metadata = metadata();
    let allowed: BTreeMap<&str, BTreeSet<&str>> = ALLOWED
        .iter()
        .map(|(c, deps)| (*c, deps.iter().copied().collect()))
        .collect();
    let mut seen = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        if !package["source"].is_null() {
            continue;
        }
        seen.insert(name.to_string());
        let may = allowed
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in the table"));
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            let for_tests = dependency["kind"] == "dev";
            if allowed.contains_key(to) && !for_tests {
                assert!(may.contains(to), "{name} may not depend on {to}");
            }
        }
    }
    for (name, _) in ALLOWED {
        assert!(
            seen.contains(*name),
            "{name} is in the table, but not in the workspace"
        );
    }
}

/// All packages that `root` pulls in when it is built as a dependency (no dev-dependencies).
fn closure(metadata: &Value, root: &str) -> BTreeSet<String> {
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| (node["id"].as_str().unwrap(), node))
        .collect();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| (p["id"].as_str().unwrap(), p["name"].as_str().unwrap()))
        .collect();
    let start = names
        .iter()
        .find(|(id, name)| **name == root && nodes.contains_key(*id))
        .map(|(id, _)| *id)
        .unwrap();
    let mut open = vec![start];
    let mut seen = BTreeSet::new();
    while let Some(id) = open.pop() {
        if !seen.insert(id) {
            continue;
        }
        for dep in nodes[id]["deps"].as_array().unwrap() {
            let kinds = dep["dep_kinds"].as_array().unwrap();
            if kinds.iter().any(|k| k["kind"].is_null()) {
                open.push(dep["pkg"].as_str().unwrap());
            }
        }
    }
    seen.into_iter().map(|id| names[id].to_string()).collect()
}

#[test]
fn the_library_has_no_async_runtime() {
    let crates = closure(&metadata(), "tsdb");
    assert!(
        crates.contains("tsdb-storage") && crates.contains("tsdb-promql"),
        "{crates:?}"
    );
    for banned in [
        "tokio",
        "hyper",
        "http",
        "async-std",
        "smol",
        "mio",
        "futures",
    ] {
        assert!(!crates.contains(banned), "the library pulls in {banned}");
    }
}
