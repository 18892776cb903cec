//! `tsdb query` and the rest of the command line.

use tempfile::TempDir;

use crate::support::{Pages, Server, http_get, run, stdout, tsdb, wait_for, write_config};

#[test]
fn query_asks_a_server_or_a_directory() {
    let pages = Pages::start();
    pages.set("/metrics", "x{a=\"b\"} {COUNTER}\n");
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let config = write_config(dir.path(), "100ms", &[("page", &pages.address, "/metrics")]);
    let server = Server::start(&data, &[&format!("--config.file={}", config.display())]);
    // Long enough for the last whole second to have a sample.
    wait_for("twenty scrapes", || {
        server.value("x").filter(|v| *v >= 20.0)
    });

    let table = stdout(&["query", "--url", &server.url, "x"]);
    let lines: Vec<_> = table.lines().collect();
    assert!(
        lines[0].contains("SERIES") && lines[1].contains("x{a=\"b\""),
        "{table}"
    );
    let csv = stdout(&[
        "query",
        "--url",
        &server.url,
        "--format=csv",
        "--since=10s",
        "--step=1s",
        "x",
    ]);
    assert!(
        csv.starts_with("series,timestamp,value\n") && csv.lines().count() > 1,
        "{csv}"
    );
    let json = stdout(&["query", "--url", &server.url, "--format=json", "1+1"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["result"][1], "2");

    // Beside the running server, then after its death: the same samples.
    let shown = stdout(&["query", "--url", &server.url, "--format=csv", "x[1h]"]);
    let beside = stdout(&[
        "query",
        "--dir",
        data.to_str().unwrap(),
        "--format=csv",
        "x[1h]",
    ]);
    server.kill();
    let after = stdout(&[
        "query",
        "--dir",
        data.to_str().unwrap(),
        "--format=csv",
        "x[1h]",
    ]);
    for line in shown.lines() {
        assert!(beside.contains(line) && after.contains(line), "{line}");
    }
}

#[test]
fn query_errors_point_to_their_place() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("data"), &["--no-host-metrics"]);
    let data = dir.path().join("data");
    for source in [
        ["--url", server.url.as_str()],
        ["--dir", data.to_str().unwrap()],
    ] {
        let output = run(&["query", source[0], source[1], "sum(up"]);
        assert_eq!(output.status.code(), Some(1));
        let text = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(
            lines[0].contains("1:7: parse error: unclosed left parenthesis"),
            "{text}"
        );
        assert_eq!(lines[1], "  sum(up", "{text}");
        assert_eq!(lines[2], "        ^", "{text}");
    }
    let output = run(&["query", "--url", "http://127.0.0.1:1", "up"]);
    assert_eq!(output.status.code(), Some(1));
    let output = run(&["query", "--dir", "/nonexistent/place", "up"]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("/nonexistent/place"), "{text}");
}

#[test]
fn help_and_bad_flags() {
    let help = stdout(&["serve", "--help"]);
    for flag in [
        "--config.file",
        "--storage.tsdb.path",
        "--storage.tsdb.retention.time",
        "--web.listen-address",
        "--log.level",
        "--log.format",
    ] {
        assert!(help.contains(flag), "{flag}");
    }
    assert!(stdout(&["--version"]).starts_with("tsdb "));
    assert_eq!(run(&["serve", "--no.such.flag"]).status.code(), Some(1));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    use std::io::Read as _;
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("data"), &[]);
    let mut child = tsdb()
        .args(["query", "--url", &server.url, "vector(1)"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut errors = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut errors)
        .unwrap();
    assert!(status.success() && errors.is_empty(), "{status}: {errors}");
}

#[test]
fn a_signal_ends_a_server_that_is_still_opening_its_data() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    std::fs::create_dir(&data).unwrap();
    // Opening a pipe that nobody reads takes for ever.
    let made = std::process::Command::new("mkfifo")
        .arg(data.join("lock"))
        .status();
    assert!(made.unwrap().success());
    let mut server = Server::spawn(&data, &[]);
    wait_for("the listener", || {
        let answer = http_get(&format!("{}/-/ready", server.url)).ok()?;
        (answer.status == 503).then_some(())
    });
    server.signal("TERM");
    assert_eq!(server.wait_exit(), 0);
}
