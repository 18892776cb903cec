//! `tsdb query` and the rest of the command line.

use tempfile::TempDir;

use crate::support::{Pages, Server, http_get, run, stdout, tsdb, wait_for, write, write_config};

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

/// Everything that a server answers is answered by its directory, too.
#[test]
fn series_and_samples_go_in_and_out() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(
        &dir.path().join("d"),
        &["--no-host-metrics", "--web.enable-admin-api"],
    );
    let other = dir.path().join("other");
    let other = other.to_str().unwrap();
    let page = write(
        &dir.path().join("page"),
        "# TYPE x gauge\nx{a=\"b\"} 1.5\nx{a=\"c\"} +Inf\n",
    );
    let page = page.to_str().unwrap();
    for to in [["--url", server.url.as_str()], ["--dir", other]] {
        assert_eq!(
            stdout(&["push", page, "--label", "job=j", to[0], to[1]]),
            ""
        );
        let series = stdout(&["series", "x", to[0], to[1]]);
        assert_eq!(series, "x{a=\"b\", job=\"j\"}\nx{a=\"c\", job=\"j\"}\n");
        let json = stdout(&["series", "x{a=\"b\"}", "--format=json", to[0], to[1]]);
        assert_eq!(json, "[{\"__name__\":\"x\",\"a\":\"b\",\"job\":\"j\"}]\n");
        assert_eq!(stdout(&["labels", "a", to[0], to[1]]), "b\nc\n");
        let names = stdout(&["labels", "--match", "x", to[0], to[1]]);
        assert_eq!(names, "__name__\na\njob\n");
    }
    let refused = run(&["series", "x{", "--dir", other]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("parse error"));

    // Out in each form, into a new directory, and out again: the same.
    for (i, format) in ["json", "csv", "openmetrics"].iter().enumerate() {
        let out = stdout(&["export", format, "--dir", other]);
        let file = write(&dir.path().join(format), &out);
        let copy = dir.path().join(format!("copy{i}"));
        let copy = copy.to_str().unwrap();
        let file = file.to_str().unwrap();
        assert_eq!(stdout(&["import", format, file, "--dir", copy]), "");
        assert_eq!(stdout(&["export", format, "--dir", copy]), out, "{format}");
        assert!(out.contains("Inf"), "{out}");
    }
    let bad = write(&dir.path().join("bad"), "{\"metric\":{}}\n");
    let bad = run(&[
        "import",
        "json",
        bad.to_str().unwrap(),
        "--url",
        &server.url,
    ]);
    assert_eq!(bad.status.code(), Some(1));

    let snapshot = dir.path().join("snapshot");
    let snapshot = snapshot.to_str().unwrap();
    let made = stdout(&["snapshot", "--dir", other, "--out", snapshot]);
    assert_eq!(made, format!("{snapshot}\n"));
    assert_eq!(
        stdout(&["delete", "x{a=\"b\"}", "--clean", "--dir", other]),
        ""
    );
    assert_eq!(stdout(&["labels", "a", "--dir", other]), "c\n");
    assert_eq!(stdout(&["labels", "a", "--dir", snapshot]), "b\nc\n");
}

/// `| head -1` ends a command, it is no failure.
#[test]
fn a_reader_may_leave() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("d");
    let lines: String = (0..20_000).map(|i| format!("x{{i=\"{i}\"}} 1\n")).collect();
    let page = write(&dir.path().join("page"), &lines);
    let data = data.to_str().unwrap();
    stdout(&["push", page.to_str().unwrap(), "--dir", data]);
    for args in [
        vec!["series", "x", "--dir", data],
        vec!["labels", "i", "--dir", data],
        vec!["export", "json", "--dir", data],
        vec!["completions", "bash"],
    ] {
        let mut child = tsdb()
            .args(&args)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && error.is_empty(),
            "{args:?}: {error}"
        );
    }
    assert!(stdout(&["man"]).starts_with(".ie"));
    assert!(stdout(&["man", "export", "json"]).contains("FILE"));
}

/// Neither a target that does not answer nor a client that does not go on holds up the end.
#[test]
fn a_stop_takes_a_few_seconds_at_most() {
    use std::io::Write as _;
    let dir = TempDir::new().unwrap();
    // Accepts connections by its backlog and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let config = write_config(dir.path(), "1m", &[("silent", &address, "/metrics")]);
    let config = format!("--config.file={}", config.display());
    let mut server = Server::start(&dir.path().join("d"), &[&config]);
    let host = server.url.strip_prefix("http://").unwrap();
    let mut half = std::net::TcpStream::connect(host).unwrap();
    half.write_all(b"POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nquery=")
        .unwrap();
    // An answer to a later request says that the half one has been taken up.
    assert_eq!(server.get("/-/ready").status, 200);
    let begun = std::time::Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait_exit(), 0);
    let took = begun.elapsed();
    assert!(took < std::time::Duration::from_secs(6), "{took:?}");
}
