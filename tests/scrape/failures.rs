//! Targets that are slow, down, over a limit, or make no sense.

use std::net::TcpListener;

use super::{Setup, last_error};
use crate::support::{Pages, wait_for};

#[test]
fn a_slow_or_broken_target_delays_no_other() {
    let pages = Pages::start();
    pages.set("/good", "good {COUNTER}\n");
    // Accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap().to_string();
    let job = |name: &str, interval: &str, target: &str, path: &str| {
        format!(
            "- {{job_name: {name}, scrape_interval: {interval}, scrape_timeout: {interval}, \
             metrics_path: {path}, static_configs: [{{targets: ['{target}']}}]}}\n"
        )
    };
    let yaml = [
        "scrape_configs:\n".to_string(),
        job("good", "100ms", &pages.address, "/good"),
        job("hangs", "5m", &address, "/metrics"),
        job("silent", "200ms", &address, "/metrics"),
        job("absent", "200ms", "127.0.0.1:1", "/metrics"),
        job("missing", "200ms", &pages.address, "/none"),
    ]
    .concat();
    let setup = Setup::new(&yaml);
    let server = &setup.server;
    wait_for("ten good scrapes", || {
        server.value("good").filter(|v| *v >= 10.0)
    });
    assert_eq!(
        server.value("up{job=\"hangs\"}"),
        None,
        "still waiting for its first answer"
    );
    for (job, text) in [
        (
            "silent",
            format!("Get \"http://{address}/metrics\": context deadline exceeded"),
        ),
        (
            "absent",
            "Get \"http://127.0.0.1:1/metrics\": dial tcp 127.0.0.1:1: connect: connection refused"
                .to_string(),
        ),
        ("missing", "server returned HTTP status 404".to_string()),
    ] {
        let error = wait_for(job, || last_error(server, job));
        assert!(error.starts_with(&text), "{job}: {error}");
        let up = format!("up{{job=\"{job}\"}}");
        wait_for(job, || server.value(&up).filter(|v| *v == 0.0));
    }
    assert_eq!(last_error(server, "good").as_deref(), Some(""));
}

#[test]
fn limits_fail_the_whole_scrape() {
    let pages = Pages::start();
    let long = "v".repeat(60);
    pages.set(
        "/metrics",
        &format!("x1{{a=\"{long}\",abcdefghijklm=\"1\"}} 1\nx2 1\nx3 1\n"),
    );
    let cut = "v".repeat(50);
    let limits = [
        ("sample_limit", "2", "sample limit exceeded".to_string()),
        (
            "label_limit",
            "3",
            "label_limit exceeded (metric: x1, number of labels: 5, limit: 3)".to_string(),
        ),
        (
            "label_name_length_limit",
            "10",
            "label_name_length_limit exceeded (metric: x1, label name: abcdefghijklm, length: 13, \
             limit: 10)"
                .to_string(),
        ),
        (
            "label_value_length_limit",
            "50",
            format!(
                "label_value_length_limit exceeded (metric: x1, label name: a, value: \"{cut}\", \
                 length: 60, limit: 50)"
            ),
        ),
        (
            "body_size_limit",
            "40B",
            "body size limit exceeded".to_string(),
        ),
        (
            "target_limit",
            "1",
            "target_limit exceeded (number of targets: 2, limit: 1)".to_string(),
        ),
    ];
    let jobs = limits.iter().map(|(limit, value, _)| {
        // Two targets where their number is at stake.
        let more = if *limit == "target_limit" {
            ", 'other:1'"
        } else {
            ""
        };
        format!(
            "- {{job_name: {limit}, scrape_interval: 200ms, {limit}: {value}, \
             static_configs: [{{targets: ['{}'{more}]}}]}}\n",
            pages.address
        )
    });
    let setup = Setup::new(&format!("scrape_configs:\n{}", jobs.collect::<String>()));
    let server = &setup.server;
    for (limit, _, error) in &limits {
        assert_eq!(wait_for(limit, || last_error(server, limit)), *error);
        wait_for(limit, || {
            server
                .query(&format!("up{{job={limit:?}}} == 0"))
                .first()
                .cloned()
        });
        let stored = format!("{{job={limit:?},__name__!~\"up|scrape_.*\"}}");
        assert!(server.query(&stored).is_empty(), "{limit}");
    }
    for name in [
        "scrape_samples_scraped",
        "scrape_samples_post_metric_relabeling",
    ] {
        let counted = format!("{name}{{job=\"sample_limit\"}}");
        assert_eq!(server.value(&counted), Some(3.0), "all lines are counted");
    }

    // Within the limits all is well at once, except for the number of targets.
    pages.set("/metrics", "x1 1\nx2 1\n");
    for (limit, ..) in limits.iter().filter(|l| l.0 != "target_limit") {
        let stored = format!("count({{job={limit:?},__name__=~\"x.\"}})");
        wait_for(limit, || server.value(&stored).filter(|n| *n == 2.0));
        assert_eq!(server.value(&format!("up{{job={limit:?}}}")), Some(1.0));
    }
    let down = "count(up{job=\"target_limit\"} == 0)";
    wait_for("both targets", || server.value(down).filter(|n| *n == 2.0));
}

#[test]
fn pages_that_cannot_be_read() {
    let pages = Pages::start();
    let html = "received unsupported Content-Type \"text/html\" and no fallback_scrape_protocol \
                specified for target";
    let blank = "non-compliant scrape target sending blank Content-Type and no \
                 fallback_scrape_protocol specified for target";
    let open = "application/openmetrics-text; version=1.0.0";
    // Name, content type, page, error, lines read before it.
    let cases = [
        ("html", "text/html", "a 1\n", html, 0.0),
        ("blank", "", "a 1\n", blank, 0.0),
        (
            "number",
            "text/plain",
            "a 1\nb 2\nc three\n",
            "\"three\"",
            2.0,
        ),
        (
            "twice",
            "text/plain",
            "a 1\nb{c=\"d\",c=\"e\"} 1\n",
            "label name \"c\" is not unique",
            2.0,
        ),
        ("eof", open, "a 1\n", "data does not end with # EOF", 1.0),
        ("fallback", "text/html", "a 1\n", "", 1.0),
    ];
    let jobs = cases.map(|(name, content_type, page, ..)| {
        pages.set_full(&format!("/{name}"), 200, content_type, page);
        let more = match name {
            "fallback" => "fallback_scrape_protocol: PrometheusText0.0.4, ",
            _ => "",
        };
        format!(
            "- {{job_name: {name}, scrape_interval: 1s, metrics_path: /{name}, {more}\
             static_configs: [{{targets: ['{}']}}]}}\n",
            pages.address
        )
    });
    let setup = Setup::new(&format!("scrape_configs:\n{}", jobs.concat()));
    let server = &setup.server;
    for (name, _, _, error, lines) in cases {
        let found = wait_for(name, || last_error(server, name));
        assert!(found.contains(error), "{name}: {found}");
        assert_eq!(found.is_empty(), error.is_empty(), "{name}: {found}");
        let scraped = format!("scrape_samples_scraped{{job={name:?}}}");
        assert_eq!(server.value(&scraped), Some(lines), "{name}");
        // All or nothing.
        let stored = server.value(&format!("a{{job={name:?}}}"));
        assert_eq!(stored, (name == "fallback").then_some(1.0), "{name}");
    }
}
