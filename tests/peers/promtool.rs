//! promtool asks our server what people ask a Prometheus.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Server, http};

#[expect(clippy::print_stdout, reason = "says that it is skipped")]
fn promtool() -> Option<PathBuf> {
    let peers = std::env::var_os("PEERS");
    let found = peers.map(|peers| Path::new(&peers).join("promtool"));
    let found = found.filter(|path| path.exists());
    if found.is_none() {
        println!("skipped: PEERS does not name a folder with promtool");
    }
    found
}

#[test]
fn promtool_asks() {
    let Some(binary) = promtool() else {
        return;
    };
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("d"), &["--no-host-metrics"]);
    let url = server.url.as_str();
    let text = [("Content-Type", "text/plain")];
    let page = "t{a=\"b\",odd=\"<&>\"} 1.5\nt{a=\"c\"} NaN\n";
    let pushed = http("POST", &format!("{url}/api/v1/import"), &text, page).unwrap();
    assert_eq!(pushed.status, 204);
    let run = |args: &[&str]| {
        let output = Command::new(&binary).args(args).output().unwrap();
        let shown = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(shown).unwrap())
    };
    let (code, shown) = run(&["query", "instant", url, "t{a=\"b\"}"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.starts_with("t{a=\"b\", odd=\"<&>\"} => 1.5 @["),
        "{shown}"
    );
    let (code, shown) = run(&["query", "instant", "-o", "json", url, "vector(1)"]);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("\"1\""), "{shown}");
    let (code, shown) = run(&["query", "range", url, "count(t)"]);
    assert_eq!(code, Some(0), "{shown}");
    let (code, shown) = run(&["query", "series", "--match=t", url]);
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(shown.lines().count(), 2, "{shown}");
    let (code, shown) = run(&["query", "labels", url, "a"]);
    assert_eq!((code, shown.as_str()), (Some(0), "b\nc\n"));
    let (code, shown) = run(&["query", "instant", url, "t{"]);
    assert_eq!(code, Some(1));
    assert!(
        shown.contains("query error: bad_data: invalid parameter \"query\": 1:3: parse error:"),
        "{shown}"
    );
    for what in ["healthy", "ready"] {
        let (code, shown) = run(&["check", what, &format!("--url={url}")]);
        assert_eq!(code, Some(0), "{shown}");
    }
    let metrics = server.get("/metrics").body;
    let file = crate::support::write(&dir.path().join("metrics"), &metrics);
    #[expect(clippy::disallowed_methods, reason = "a file of the test's own")]
    let page = std::fs::File::open(file).unwrap();
    let check = Command::new(&binary)
        .args(["check", "metrics"])
        .stdin(page)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&check.stderr).into_owned();
    assert!(check.status.success(), "{said}");
}
