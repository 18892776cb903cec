//! `kill -9` of the real process: what a query had shown is there after the restart.

use std::collections::BTreeMap;
use std::time::Duration;

use tempfile::TempDir;

use crate::support::{Pages, Server, pause, stdout, wait_for, write_config};

/// Samples a query showed: series, then time to value, all as printed.
type Shown = BTreeMap<String, BTreeMap<String, String>>;

fn show(server: &Server) -> Shown {
    let mut shown = Shown::new();
    for series in server.query("{job=\"page\"}[1h]") {
        let points = series["values"].as_array().unwrap();
        let samples = points
            .iter()
            .map(|p| (p[0].to_string(), p[1].to_string()))
            .collect();
        shown.insert(series["metric"].to_string(), samples);
    }
    shown
}

fn assert_contains(now: &Shown, before: &Shown, round: usize) {
    for (series, samples) in before {
        let found = now
            .get(series)
            .unwrap_or_else(|| panic!("round {round}: {series} is gone"));
        for (t, v) in samples {
            assert_eq!(found.get(t), Some(v), "round {round}: {series} at {t}");
        }
    }
}

#[test]
fn nothing_shown_is_lost_when_the_process_is_killed() {
    let pages = Pages::start();
    let mut page = String::from("# TYPE requests_total counter\n");
    for i in 0..50 {
        page += &format!("requests_total{{code=\"{i}\"}} {{COUNTER}}.{i}\n");
    }
    pages.set("/metrics", &page);
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let config = write_config(dir.path(), "50ms", &[("page", &pages.address, "/metrics")]);
    let config = format!("--config.file={}", config.display());
    let mut before = Shown::new();
    for round in 0..20 {
        let server = Server::start(&data, &[&config]);
        let now = show(&server);
        assert_contains(&now, &before, round);
        let samples = now.values().map(BTreeMap::len).sum::<usize>();
        wait_for("more samples", || {
            before = show(&server);
            (before.values().map(BTreeMap::len).sum::<usize>() > samples).then_some(())
        });
        // Any moment of the 50 ms between two scrapes, differently each round.
        pause(Duration::from_millis(round as u64 * 13 % 50));
        before = show(&server);
        server.kill();
    }
    assert!(before.len() >= 50, "{} series", before.len());

    // The same straight from the directory that the last kill left behind.
    let text = stdout(&[
        "query",
        "--dir",
        data.to_str().unwrap(),
        "--format=json",
        "{job=\"page\"}[1h]",
    ]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let found = json["result"].as_array().unwrap();
    assert!(
        found.len() >= before.len(),
        "{} of {} series",
        found.len(),
        before.len()
    );
}

#[test]
fn sigterm_ends_the_server_soon_and_keeps_the_data() {
    let pages = Pages::start();
    pages.set("/metrics", "x {COUNTER}\n");
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let config = write_config(dir.path(), "50ms", &[("page", &pages.address, "/metrics")]);
    let config = format!("--config.file={}", config.display());
    let mut server = Server::start(&data, &[&config]);
    wait_for("a sample", || server.value("x"));
    let before = show(&server);
    server.signal("TERM");
    assert_eq!(server.wait_exit(), 0, "{}", server.log.lock().unwrap());
    let server = Server::start(&data, &[&config]);
    assert_contains(&show(&server), &before, 0);
}

#[test]
fn a_second_server_on_the_same_directory_is_refused() {
    let dir = TempDir::new().unwrap();
    let _first = Server::start(dir.path(), &["--no-host-metrics"]);
    let mut second = Server::spawn(dir.path(), &["--no-host-metrics"]);
    assert_eq!(second.wait_exit(), 1);
    wait_for("the reason in the log", || {
        second
            .log
            .lock()
            .unwrap()
            .contains("in use by another process")
            .then_some(())
    });
}
