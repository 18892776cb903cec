//! Pages of real exporters, scraped by the real server, compared value by value.

use std::collections::BTreeMap;
use std::path::Path;

use tempfile::TempDir;

use crate::support::{Pages, Server, wait_for, write, write_config};

/// `name{labels}` of a text page, with its value; a parser of its own, simple and slow.
fn expected(page: &str) -> Vec<(BTreeMap<String, String>, f64)> {
    let mut out = Vec::new();
    let mut types = BTreeMap::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            types.insert(name.to_string(), kind.to_string());
        }
        if line.starts_with('#') || line.trim().is_empty() {
            continue;
        }
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let mut labels = BTreeMap::from([("__name__".to_string(), name.to_string())]);
        let rest = match rest.strip_prefix('{') {
            Some(mut rest) => {
                while !rest.starts_with('}') {
                    let (label, after) = rest.split_once("=\"").unwrap();
                    let mut value = String::new();
                    let mut chars = after.char_indices();
                    let end = loop {
                        match chars.next().unwrap() {
                            (i, '"') => break i,
                            (_, '\\') => match chars.next().unwrap().1 {
                                'n' => value.push('\n'),
                                c => value.push(c),
                            },
                            (_, c) => value.push(c),
                        }
                    };
                    if !value.is_empty() {
                        labels.insert(label.trim().to_string(), value);
                    }
                    rest = after[end + 1..].trim_start_matches(',');
                }
                &rest[1..]
            }
            None => rest,
        };
        let value = rest.split_whitespace().next().unwrap();
        let value = match value {
            "+Inf" => f64::INFINITY,
            "-Inf" => f64::NEG_INFINITY,
            v => v.parse().unwrap(),
        };
        let family = |suffix| name.strip_suffix(suffix).and_then(|f| types.get(f));
        let histogram = family("_bucket").is_some_and(|t| t == "histogram");
        let summary = types.get(name).is_some_and(|t| t == "summary");
        for (label, applies) in [("le", histogram), ("quantile", summary)] {
            if let Some(v) = labels.get_mut(label).filter(|_| applies) {
                let number: f64 = v.replace("+Inf", "inf").parse().unwrap();
                *v = if number.is_infinite() {
                    "+Inf".into()
                } else if number.abs() >= 1e21 || (number != 0.0 && number.abs() < 1e-4) {
                    continue_exponent(number)
                } else if number.fract() == 0.0 {
                    format!("{number}.0")
                } else {
                    format!("{number}")
                };
            }
        }
        out.push((labels, value));
    }
    out
}

/// Go's exponent form, at least two digits.
fn continue_exponent(v: f64) -> String {
    let text = format!("{v:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap();
    let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
    format!("{mantissa}e{sign}{digits:0>2}")
}

#[test]
fn pages_of_real_exporters_arrive_value_by_value() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/exposition");
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.ends_with(".txt"))
        .collect();
    names.sort();
    assert!(names.len() >= 3, "{names:?}");
    let pages = Pages::start();
    let mut targets = Vec::new();
    for name in &names {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        let content_type = if text.ends_with("# EOF\n") {
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        } else {
            "text/plain; version=0.0.4; charset=utf-8"
        };
        pages.set_full(&format!("/{name}"), 200, content_type, &text);
        targets.push((name.trim_end_matches(".txt").to_string(), format!("/{name}")));
    }
    let listed: Vec<_> =
        targets.iter().map(|(job, path)| (job.as_str(), pages.address.as_str(), path.as_str())).collect();
    let dir = TempDir::new().unwrap();
    let config = write_config(dir.path(), "1s", &listed);
    let server =
        Server::start(&dir.path().join("data"), &[&format!("--config.file={}", config.display())]);
    for (job, path) in &targets {
        wait_for(&format!("{job} to be up"), || {
            server.value(&format!("up{{job=\"{job}\"}}")).filter(|v| *v == 1.0)
        });
        let text = std::fs::read_to_string(folder.join(&path[1..])).unwrap();
        let result = server.query(&format!("{{job=\"{job}\"}}"));
        let mut stored = BTreeMap::new();
        for sample in &result {
            let mut labels: BTreeMap<String, String> =
                serde_json::from_value(sample["metric"].clone()).unwrap();
            labels.remove("job");
            labels.remove("instance");
            let value: f64 = match sample["value"][1].as_str().unwrap() {
                "+Inf" => f64::INFINITY,
                "-Inf" => f64::NEG_INFINITY,
                v => v.parse().unwrap(),
            };
            stored.insert(labels, value);
        }
        let expected = expected(&text);
        assert!(expected.len() > 10, "{job}: {}", expected.len());
        for (mut labels, value) in expected {
            for own in ["job", "instance"] {
                if let Some(v) = labels.remove(own) {
                    labels.insert(format!("exported_{own}"), v);
                }
            }
            let found = stored.get(&labels);
            let same = found.is_some_and(|f| f.to_bits() == value.to_bits() || f.is_nan() && value.is_nan());
            assert!(same, "{job}: {labels:?} is {found:?}, the page says {value}");
        }
    }
}

#[test]
fn series_and_targets_that_go_are_marked_stale() {
    let pages = Pages::start();
    pages.set("/metrics", "a 1\nb 2\n");
    let dir = TempDir::new().unwrap();
    let config = write_config(dir.path(), "100ms", &[("page", &pages.address, "/metrics")]);
    let server =
        Server::start(&dir.path().join("data"), &[&format!("--config.file={}", config.display())]);
    wait_for("both series", || (server.value("a").is_some() && server.value("b").is_some()).then_some(()));

    pages.set("/metrics", "a 1\n");
    wait_for("b to go", || server.value("b").is_none().then_some(()));
    assert_eq!(server.value("a"), Some(1.0));

    pages.set_full("/metrics", 500, "text/plain", "broken\n");
    wait_for("a to go", || server.value("a").is_none().then_some(()));
    assert_eq!(server.value("up{job=\"page\"}"), Some(0.0));

    pages.set("/metrics", "a 3\n");
    wait_for("a to come back", || server.value("a").filter(|v| *v == 3.0));

    // The job leaves the configuration.
    write(&dir.path().join("prometheus.yml"), "scrape_configs: []\n");
    server.signal("HUP");
    wait_for("everything to go", || server.query("{job=\"page\"}").is_empty().then_some(()));
}

#[test]
fn a_broken_target_does_not_delay_another() {
    let pages = Pages::start();
    pages.set("/good", "good {COUNTER}\n");
    // Accepts connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_address = silent.local_addr().unwrap().to_string();
    let dir = TempDir::new().unwrap();
    let config = write_config(
        dir.path(),
        "200ms",
        &[
            ("good", &pages.address, "/good"),
            ("silent", &silent_address, "/metrics"),
            ("absent", "127.0.0.1:1", "/metrics"),
            ("missing", &pages.address, "/none"),
        ],
    );
    let server =
        Server::start(&dir.path().join("data"), &[&format!("--config.file={}", config.display())]);
    wait_for("ten good scrapes", || server.value("good").filter(|v| *v >= 10.0));
    for job in ["silent", "absent", "missing"] {
        assert_eq!(server.value(&format!("up{{job=\"{job}\"}}")), Some(0.0), "{job}");
    }
    let targets = server.data("/api/v1/targets?state=active");
    for target in targets["activeTargets"].as_array().unwrap() {
        let (job, error) = (&target["labels"]["job"], target["lastError"].as_str().unwrap());
        match job.as_str().unwrap() {
            "good" => assert_eq!(error, ""),
            "silent" => assert!(error.contains("context deadline exceeded"), "{error}"),
            "absent" => assert!(error.contains("connection refused"), "{error}"),
            "missing" => assert_eq!(error, "server returned HTTP status 404 Not Found"),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn relabelling_and_honor_labels() {
    let pages = Pages::start();
    pages.set("/metrics", "x{job=\"mine\",drop_me=\"1\"} 1\ny 2\n");
    let dir = TempDir::new().unwrap();
    let yaml = format!(
        "scrape_configs:
  - job_name: page
    scrape_interval: 1s
    params: {{module: [a, b]}}
    static_configs:
      - targets: ['{0}', 'ignored:1']
        labels: {{team: blue}}
    relabel_configs:
      - source_labels: [__address__]
        regex: ignored:.*
        action: drop
      - target_label: instance
        replacement: here
    metric_relabel_configs:
      - action: labeldrop
        regex: drop_.*
      - source_labels: [__name__]
        regex: y
        action: drop
",
        pages.address
    );
    let config = write(&dir.path().join("prometheus.yml"), &yaml);
    let server =
        Server::start(&dir.path().join("data"), &[&format!("--config.file={}", config.display())]);
    let sample = wait_for("x", || server.query("x").first().cloned());
    assert_eq!(
        sample["metric"],
        serde_json::json!({
            "__name__": "x", "exported_job": "mine", "job": "page", "team": "blue",
            "instance": "here",
        })
    );
    assert!(server.query("y").is_empty());
    let request = pages.requests.lock().unwrap()[0].clone();
    assert!(request.starts_with("GET /metrics?module=a&module=b HTTP/1.1"), "{request}");
    let lower = request.to_ascii_lowercase();
    assert!(lower.contains("accept: ") && lower.contains("x-prometheus-scrape-timeout-seconds: 1"));
    let targets = server.data("/api/v1/targets");
    assert_eq!(targets["droppedTargetCounts"]["page"], 1);
}
