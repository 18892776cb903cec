//! A reload does everything or nothing.

use tempfile::TempDir;

use super::replace;
use crate::support::{Pages, Server, http, now_ms, wait_for, write};

#[test]
fn a_reload_is_all_or_nothing() {
    let dir = TempDir::new().unwrap();
    let pages = Pages::start();
    pages.set("/metrics", "x 1\n");
    let path = dir.path().join("p.yml");
    let target = format!("static_configs: [{{targets: ['{}']}}]", pages.address);
    let good =
        format!("global: {{scrape_interval: 200ms}}\nscrape_configs:\n- job_name: a\n  {target}\n");
    write(&path, &good);
    let web = write(&dir.path().join("web.yml"), "");
    let flags = [
        format!("--config.file={}", path.display()),
        format!("--web.config.file={}", web.display()),
        "--web.enable-lifecycle".to_string(),
    ];
    let flags: Vec<_> = flags.iter().map(String::as_str).collect();
    let server = Server::start(&dir.path().join("d"), &flags);
    wait_for("the first scrape", || {
        server.value("up{job=\"a\"}").filter(|up| *up == 1.0)
    });

    let reload = || http("POST", &format!("{}/-/reload", server.url), &[], "").unwrap();
    let jobs = || server.data("/api/v1/scrape_pools")["scrapePools"].to_string();
    for (bad, want) in [
        // The first job would be fine.
        (
            format!("{good}- job_name: b\n  {target}\n  tls_config: {{ca_file: none.pem}}\n"),
            "p.yml:7:25: scrape_configs[1].tls_config.ca_file: unable to read CA cert: open ",
        ),
        (
            format!("{good}- job_name: b\n  relabel_configs: [{{action: drop, regex: '('}}]\n"),
            "p.yml:6:43: scrape_configs[1].relabel_configs[0].regex: error parsing regexp: ",
        ),
        (
            format!(
                "{good}- job_name: b\nscrape_config_files: ['{}']\n",
                dir.path().join("no.yml").display()
            ),
            "p.yml:6:23: scrape_config_files[0]: \"",
        ),
        (
            format!("{good}- job_name: b\nrule_files: ['no.yml']\n"),
            "p.yml:6:14: rule_files[0]: \"",
        ),
    ] {
        write(&path, &bad);
        let answer = reload();
        assert_eq!(answer.status, 500, "{}", answer.body);
        assert!(answer.body.contains(want), "{want}\n{}", answer.body);
        assert_eq!(jobs(), "[\"a\"]");
    }
    assert_eq!(
        server.value("prometheus_config_last_reload_successful"),
        None
    );
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("\nprometheus_config_last_reload_successful 0\n"));

    // A good configuration with a broken web configuration: nothing changes either.
    write(&path, &format!("{good}- job_name: b\n  {target}\n"));
    replace(&web, "basic_auth_users: {me: plain}\n");
    let answer = reload();
    assert_eq!(answer.status, 500);
    let want = "web.yml:1:24: basic_auth_users.me: not a bcrypt hash";
    assert!(answer.body.contains(want), "{}", answer.body);
    assert_eq!(jobs(), "[\"a\"]");

    replace(&web, "");
    let answer = reload();
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(jobs(), "[\"a\",\"b\"]");
    let metrics = server.get("/metrics").body;
    assert!(metrics.contains("\nprometheus_config_last_reload_successful 1\n"));
}

#[test]
fn the_query_log_comes_and_goes_with_the_configuration() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("p.yml");
    let log = |name: &str| {
        write(&path, &format!("global: {{query_log_file: {name}}}\n"));
    };
    log("one.log");
    let config = format!("--config.file={}", path.display());
    let server = Server::start(&dir.path().join("d"), &[&config, "--web.enable-lifecycle"]);
    let reload = || {
        http("POST", &format!("{}/-/reload", server.url), &[], "")
            .unwrap()
            .status
    };
    let lines = |name: &str| -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(dir.path().join(name)).unwrap_or_default();
        text.lines()
            .map(|l| serde_json::from_str(l).unwrap())
            .collect()
    };
    server.query("1+1");
    assert_eq!(server.get("/api/v1/query?query=up(").status, 400);
    let logged = lines("one.log");
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert_eq!(logged[0]["params"]["query"], "1+1");
    assert_eq!(logged[0]["httpRequest"]["path"], "/api/v1/query");
    assert_eq!(logged[0]["httpRequest"]["clientIP"], "127.0.0.1");
    log("none/two.log");
    assert_eq!(reload(), 500);
    server.query("2");
    assert_eq!(lines("one.log").len(), 2);
    log("two.log");
    assert_eq!(reload(), 200);
    server.query("3");
    assert_eq!((lines("one.log").len(), lines("two.log").len()), (2, 1));
    log("''");
    assert_eq!(reload(), 200);
    server.query("4");
    assert_eq!((lines("one.log").len(), lines("two.log").len()), (2, 1));
}

/// A late sample is pushed before and after the window for such samples is changed.
#[test]
fn a_reload_changes_how_late_samples_may_be() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("p.yml");
    let window = |window: &str| {
        let text = format!("storage: {{tsdb: {{out_of_order_time_window: {window}}}}}\n");
        write(&path, &text);
    };
    window("1h");
    let config = format!("--config.file={}", path.display());
    let server = Server::start(&dir.path().join("d"), &[&config, "--web.enable-lifecycle"]);
    let now = now_ms();
    let push = |t: i64| {
        let line = format!(
            "{{\"metric\":{{\"__name__\":\"late\"}},\"values\":[{t}],\"timestamps\":[{t}]}}\n"
        );
        let answer = http("POST", &format!("{}/api/v1/import", server.url), &[], &line).unwrap();
        (answer.status, answer.body)
    };
    let (status, body) = push(now);
    assert!(status < 300, "{body}");
    let (status, body) = push(now - 60_000);
    assert!(status < 300, "{body}");
    for (to, word) in [("0s", "out of order"), ("30s", "too old"), ("1h", "")] {
        window(to);
        let answer = http("POST", &format!("{}/-/reload", server.url), &[], "").unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        let (status, body) = push(now - 120_000);
        assert_eq!(status < 300, word.is_empty(), "{to}: {status} {body}");
        assert!(body.contains(word), "{to}: {body}");
    }
}
