//! Every endpoint, asked the same of a real Prometheus and of ours, with good and bad parameters.

mod asks;

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Prometheus;
use crate::support::{Pages, Response, Server, http, wait_for, write};
use asks::{Ask, By, asks};

/// Where we mean to differ, by a part of `METHOD PATH`; each is said in docs/http-api.md.
const WANTED: [(&str, &str); 21] = [
    ("GET / ", "a page instead of a redirect to one"),
    ("/api/v1/query/", "trailing slashes are answered"),
    ("//api/v1/labels", "doubled slashes are answered"),
    ("DELETE /api/v1/series", "not implemented there, 405 here"),
    ("step=0.0001", "400 instead of a failure inside"),
    (
        "/query_range?query=up&start=0&end=1&step=1e-9",
        "400 instead of a failure inside",
    ),
    (
        "&time=9223372036854775807",
        "cut instead of wrapping around",
    ),
    ("limit=1&sorted", "the first names instead of any"),
    ("time=NaN", "the earliest time instead of another one"),
    (
        "time=-292273086",
        "the earliest time instead of wrapping around",
    ),
    ("timeout=0", "how it is said varies there"),
    ("timeout=-1", "how it is said varies there"),
    (
        "sort_desc",
        "in a range it is warned of, as in Prometheus 3.14",
    ),
    ("/api/v1/label/a%2Fb/values", "a name like any other"),
    ("/api/v1/label//values", "404 instead of a redirect to 404"),
    ("GET /api/v1 ", "404 instead of a redirect to 404"),
    ("GET /version", "application/json"),
    ("POST /api/v1/write", "on without a flag"),
    ("/graph", "a page instead of a redirect to one"),
    ("/targets/metadata?limit", "keeps to its limit"),
    (
        "/api/v1/metadata?limit",
        "any metrics there, the first ones here",
    ),
];

#[test]
fn the_api_answers_as_prometheus_does() {
    let Some(peers) = std::env::var_os("PEERS") else {
        println!("skipped: PEERS does not name a folder with the prometheus binary");
        return;
    };
    let binary = Path::new(&peers).join("prometheus");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
    let start = now / 60_000 * 60_000 - 600_000;
    let pages = Pages::start();
    pages.set_full("/metrics", 200, "text/plain; version=0.0.4", &page(start));
    let dir = TempDir::new().unwrap();
    let yaml = format!(
        "global: {{scrape_interval: 1h, scrape_timeout: 30s, external_labels: {{cluster: x}}}}\n\
         scrape_configs:\n- job_name: api\n  honor_labels: true\n  static_configs:\n  \
         - targets: ['{}']\n    labels: {{odd: '<&>'}}\n\
         - job_name: dropped\n  static_configs: [{{targets: ['127.0.0.1:1']}}]\n  \
         relabel_configs: [{{action: drop, source_labels: [job]}}]\n",
        pages.address
    );
    // Prometheus scrapes at an offset within the interval: both start with a short one.
    let fast = yaml.replace("1h", "2s").replace("30s", "2s");
    let config = write(&dir.path().join("p.yml"), &fast);
    let theirs = Prometheus::start(&binary, &dir.path().join("theirs"), &config);
    let flags = [
        format!("--config.file={}", config.display()),
        "--web.enable-admin-api".into(),
        "--web.enable-lifecycle".into(),
        "--enable-feature=promql-experimental-functions".into(),
    ];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let ours = Server::start(&dir.path().join("ours"), &flags);
    for url in [&ours.url, &theirs.url] {
        wait_for("the samples", || {
            let path = format!("{url}/api/v1/series?match[]=c_total");
            http("GET", &path, &[], "")
                .ok()?
                .body
                .contains("c_total")
                .then_some(())
        });
    }

    let mut differences: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut count = 0;
    for ask in asks(start) {
        let shown = format!(
            "{} {} {}",
            ask.method,
            ask.path,
            ask.form.as_deref().unwrap_or("")
        );
        let (a, b) = (answer(&ours.url, &ask), answer(&theirs.url, &ask));
        count += 1;
        let Err(why) = compare(&a, &b, ask.by) else {
            continue;
        };
        if WANTED.iter().any(|(part, _)| shown.contains(part)) {
            continue;
        }
        let short = |r: &Response| {
            let body: String = r.body.chars().take(500).collect();
            format!("{} {body:?}", r.status)
        };
        differences.entry(why).or_default().push(format!(
            "{shown}\n    ours:   {}\n    theirs: {}",
            short(&a),
            short(&b)
        ));
    }
    for (why, cases) in &differences {
        println!("-- {why}: {}", cases.len());
        for case in cases.iter().take(12) {
            println!("  {case}");
        }
    }
    let failed: usize = differences.values().map(Vec::len).sum();
    println!("{count} requests, {failed} answered differently");
    assert!(count > 300);
    assert_eq!(failed, 0);
}

/// Samples at explicit times: half a minute apart, from `start` on.
fn page(start: i64) -> String {
    let mut page =
        String::from("# HELP c_total Things <counted> & \"more\".\n# TYPE c_total counter\n");
    for (labels, factor) in [("a=\"<&>\"", 1), ("a=\"x\",b=\"\u{e9}\\\"\\\\\\n\"", 2)] {
        for i in 0..10 {
            page += &format!(
                "c_total{{{labels}}} {} {}\n",
                i * factor,
                start + i * 30_000
            );
        }
    }
    page += "# TYPE odd gauge\n";
    for (i, value) in ["NaN", "+Inf", "-0", "1e300", "1e-9", "123456789012", "0.1"]
        .iter()
        .enumerate()
    {
        page += &format!("odd{{n=\"{i}\"}} {value} {}\n", start + 1234);
    }
    page += &format!(
        "# TYPE h histogram\nh_bucket{{le=\"1\"}} 1 {start}\nh_bucket{{le=\"+Inf\"}} 2 {start}\n\
         h_sum 3 {start}\nh_count 2 {start}\n"
    );
    // Without times, so that they are new: for federation.
    page += "# TYPE live gauge\nlive{a=\"<&>\"} 1e300\nlive{a=\"x\\\\y\\\"z\\n\"} 0.25\nlive{instance=\"i\"} NaN\n\
             # TYPE live_seconds summary\nlive_seconds{quantile=\"0.5\"} 123456789012\n\
             live_seconds_sum 0.1\nlive_seconds_count 3\n# TYPE live_total counter\nlive_total 7\n";
    page
}

fn answer(url: &str, ask: &Ask) -> Response {
    let mut headers = vec![("Origin", "http://elsewhere")];
    if ask.form.is_some() {
        headers.push(("Content-Type", "application/x-www-form-urlencoded"));
    }
    let body = ask.form.as_deref().unwrap_or("");
    http(ask.method, &format!("{url}{}", ask.path), &headers, body).expect(&ask.path)
}

fn compare(a: &Response, b: &Response, by: By) -> Result<(), String> {
    if a.status != b.status {
        return Err(format!("status {} instead of {}", a.status, b.status));
    }
    for name in [
        "content-type",
        "allow",
        "vary",
        "x-content-type-options",
        "access-control-allow-origin",
        "access-control-allow-headers",
        "access-control-allow-methods",
        "access-control-expose-headers",
    ] {
        let (x, mut y) = (a.headers.get(name).cloned(), b.headers.get(name).cloned());
        // There it can only say that it is not implemented.
        y = y.map(|y| y.replace("DELETE, GET", "GET"));
        // More of it does no harm, nor does the type of nothing.
        let needed = match name {
            "content-type" => !a.body.is_empty(),
            _ => false,
        };
        if x != y && (y.is_some() || needed) {
            return Err(format!("{name}: {x:?} instead of {y:?}"));
        }
    }
    let (x, y) = match (by, read(a), read(b)) {
        (By::Head, ..) => return Ok(()),
        (By::Whole, x, y) => (x, y),
        (By::Set, x, y) => (sorted(&x), sorted(&y)),
        (By::Shape, x, y) => (shape(&x), shape(&y)),
    };
    if x == y {
        Ok(())
    } else if a.status == 200 {
        Err(format!("another answer ({by:?})"))
    } else {
        Err("another error".into())
    }
}

fn read(r: &Response) -> Value {
    // Which of several duplicates is named first depends on the order of series.
    let duplicates = "the operation: [";
    let body = match r.body.find(duplicates) {
        Some(at) => r.body[..at].to_string(),
        None => r.body.clone(),
    };
    match serde_json::from_str(&body) {
        Ok(value) => without_newer(value),
        Err(_) if body.starts_with("# TYPE live") => json!(federated(&body)),
        Err(_) => json!(body),
    }
}

/// Lines of a federated page, without the times: each server has scraped at its own.
fn federated(page: &str) -> Vec<String> {
    let untimed = |line: &str| match line.rsplit_once(' ') {
        Some((sample, time)) if !line.starts_with('#') => {
            assert!(
                time.parse::<i64>().is_ok_and(|t| t > 1_600_000_000_000),
                "{line}"
            );
            sample.to_string()
        }
        _ => line.to_string(),
    };
    page.lines().map(untimed).collect()
}

/// Without what syntax trees have since Prometheus 3.7.
fn without_newer(mut v: Value) -> Value {
    match &mut v {
        Value::Array(list) => list.iter_mut().for_each(|v| *v = without_newer(v.take())),
        Value::Object(all) => {
            all.retain(|name, _| !matches!(name.as_str(), "anchored" | "smoothed" | "fillValues"));
            all.values_mut().for_each(|v| *v = without_newer(v.take()));
        }
        _ => {}
    }
    v
}

/// With all lists in one order.
fn sorted(v: &Value) -> Value {
    match v {
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(sorted).collect();
            list.sort_by_key(Value::to_string);
            list.into()
        }
        Value::Object(all) => all.iter().map(|(k, v)| (k.clone(), sorted(v))).collect(),
        v => v.clone(),
    }
}

/// Members and kinds of values, without the values.
fn shape(v: &Value) -> Value {
    match v {
        Value::Array(list) => list.iter().take(1).map(shape).collect(),
        Value::Object(all) => all.iter().map(|(k, v)| (k.clone(), shape(v))).collect(),
        Value::String(_) => json!("text"),
        Value::Number(_) => json!(0),
        v => v.clone(),
    }
}
