//! What pages say is what is stored.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tempfile::TempDir;

use super::exposed::{Exposed, exposed};
use super::pages::pages;
use super::{LabelMap, last_error, serve};
use crate::support::{Pages, Server, escape, wait_for, write_config};

/// What every scrape stores beside the page.
const SYNTHETIC: [&str; 5] = [
    "scrape_duration_seconds",
    "scrape_samples_post_metric_relabeling",
    "scrape_samples_scraped",
    "scrape_series_added",
    "up",
];

/// Label sets and value texts of an instant query.
fn vector(server: &Server, expr: &str) -> Vec<(LabelMap, String)> {
    let samples = server.query(expr);
    samples
        .iter()
        .map(|sample| {
            let labels = serde_json::from_value(sample["metric"].clone()).unwrap();
            (labels, sample["value"][1].as_str().unwrap().to_string())
        })
        .collect()
}

#[test]
fn pages_of_real_exporters_arrive_value_by_value() {
    let files = pages();
    let pages = Pages::start();
    let mut paths = Vec::new();
    for (name, text) in &files {
        let content_type = if text.ends_with("# EOF\n") {
            "application/openmetrics-text; version=1.0.0; charset=utf-8"
        } else {
            "text/plain; version=0.0.4; charset=utf-8"
        };
        paths.push(format!("/{name}"));
        pages.set_full(&format!("/{name}"), 200, content_type, text);
    }
    let listed: Vec<_> = files
        .iter()
        .zip(&paths)
        .map(|((name, _), path)| (name.as_str(), pages.address.as_str(), path.as_str()))
        .collect();
    let dir = TempDir::new().unwrap();
    write_config(dir.path(), "1s", &listed);
    let server = serve(&dir);
    for (name, text) in &files {
        compare_page(&server, name, &pages.address, text);
    }
}

/// Everything on the page is stored as it stands there, and nothing else is.
fn compare_page(server: &Server, job: &str, address: &str, page: &str) {
    let error = wait_for(&format!("a scrape of {job}"), || last_error(server, job));
    assert_eq!(error, "", "{job}");
    let selector = format!("{{job={job:?}}}");
    let mut stored = BTreeMap::new();
    for (mut labels, value) in vector(server, &selector) {
        assert_eq!(labels.remove("job").as_deref(), Some(job));
        assert_eq!(labels.remove("instance").as_deref(), Some(address));
        assert!(
            stored.insert(labels, value).is_none(),
            "{job}: a series twice"
        );
    }
    let (samples, types) = exposed(page);
    assert!(samples.len() > 50, "{job}: {}", samples.len());

    let count = samples.len().to_string();
    for name in SYNTHETIC {
        let labels = LabelMap::from([("__name__".to_string(), name.to_string())]);
        let value = stored
            .remove(&labels)
            .unwrap_or_else(|| panic!("{job} has no {name}"));
        match name {
            "up" => assert_eq!(value, "1"),
            "scrape_duration_seconds" => assert!(value.parse::<f64>().unwrap() > 0.0),
            "scrape_series_added" => {}
            _ => assert_eq!(value, count, "{job}: {name}"),
        }
    }
    let added = format!("max_over_time(scrape_series_added{selector}[5m])");
    // Series with old timestamps of their own may be refused by the store.
    let timed = samples.iter().filter(|s| s.timed).count() as f64;
    let added = server.value(&added).unwrap();
    assert!(
        (samples.len() as f64 - timed..=samples.len() as f64).contains(&added),
        "{added}"
    );

    for Exposed {
        mut labels,
        value,
        timed,
    } in samples
    {
        if timed {
            continue;
        }
        for own in ["instance", "job"] {
            if let Some(v) = labels.remove(own) {
                labels.insert(format!("exported_{own}"), v);
            }
        }
        let text = stored.remove(&labels);
        let text = text.unwrap_or_else(|| panic!("{job}: {labels:?} is not stored"));
        let found: f64 = text.parse().unwrap();
        let same = found.to_bits() == value.to_bits() || found.is_nan() && value.is_nan();
        assert!(same, "{job}: {labels:?} is {text}, the page says {value}");
        if value == 0.0 || (1e-4..1e15).contains(&value.abs()) {
            assert_eq!(
                text,
                value.to_string(),
                "{job}: {labels:?}: not the shortest text"
            );
        }
    }
    assert!(stored.is_empty(), "{job}: not on the page: {stored:?}");

    let path = format!(
        "/api/v1/targets/metadata?match_target={}",
        escape(&selector)
    );
    let listed: BTreeMap<String, String> = server
        .data(&path)
        .as_array()
        .unwrap()
        .iter()
        .map(|m| {
            let text = |key: &str| m[key].as_str().unwrap().to_string();
            (text("metric"), text("type"))
        })
        .collect();
    for (family, kind) in types {
        let kind = if kind == "untyped" { "unknown" } else { &kind };
        assert_eq!(
            listed.get(&family).map(String::as_str),
            Some(kind),
            "{job}: {family}"
        );
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the server under test has the real clock, too"
)]
fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64
}

#[test]
fn exposed_timestamps_are_kept() {
    let pages = Pages::start();
    let now = now_ms();
    let (past, future) = (now - 20_000, now + 3_600_000);
    pages.set(
        "/metrics",
        &format!("past 1 {past}\nfuture 2 {future}\nplain 3\n"),
    );
    let dir = TempDir::new().unwrap();
    write_config(dir.path(), "500ms", &[("page", &pages.address, "/metrics")]);
    let server = serve(&dir);
    wait_for("the page", || server.value("plain"));
    assert_eq!(server.value("timestamp(past)"), Some(past as f64 / 1000.0));
    // More than ten minutes ahead: that sample is left out, the scrape is fine.
    let ahead = format!("/api/v1/query?query=future&time={}", future / 1000 + 1);
    assert_eq!(server.data(&ahead)["result"], json!([]));
    assert_eq!(server.value("up"), Some(1.0));
    assert_eq!(server.value("scrape_samples_scraped"), Some(3.0));
    // What the page times itself is not marked when it goes.
    pages.set("/metrics", "");
    wait_for("plain to go", || {
        server.value("plain").is_none().then_some(())
    });
    assert_eq!(server.value("past"), Some(1.0));
}

#[test]
fn exemplars_arrive() {
    let pages = Pages::start();
    let page = "# TYPE a counter\na_total 17 # {trace_id=\"KOO5S4vxi0o\"} 0.67\n# EOF\n";
    pages.set_full(
        "/metrics",
        200,
        "application/openmetrics-text; version=1.0.0",
        page,
    );
    let dir = TempDir::new().unwrap();
    write_config(dir.path(), "500ms", &[("page", &pages.address, "/metrics")]);
    let server = serve(&dir);
    wait_for("the page", || server.value("a_total"));
    let found = server.data("/api/v1/query_exemplars?query=a_total");
    assert_eq!(found[0]["seriesLabels"]["__name__"], "a_total", "{found}");
    let exemplar = &found[0]["exemplars"][0];
    assert_eq!(exemplar["labels"], json!({"trace_id": "KOO5S4vxi0o"}));
    assert_eq!(exemplar["value"], "0.67");
}
