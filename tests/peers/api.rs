//! Every endpoint, asked the same of a real Prometheus and of ours, with good and bad parameters.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Prometheus;
use crate::support::{Pages, Response, Server, escape, http, wait_for, write};

/// How two answers are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    /// Status, headers and the whole body.
    Whole,
    /// As before, but lists may be in another order.
    Set,
    /// Status, headers, and which members there are.
    Shape,
    /// Status and headers.
    Head,
}

struct Ask {
    method: &'static str,
    path: String,
    form: Option<String>,
    by: By,
}

fn get(path: &str, by: By) -> Ask {
    Ask {
        method: "GET",
        path: path.to_string(),
        form: None,
        by,
    }
}

fn with(method: &'static str, path: &str, form: Option<&str>, by: By) -> Ask {
    Ask {
        method,
        path: path.to_string(),
        form: form.map(str::to_string),
        by,
    }
}

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

fn asks(start: i64) -> Vec<Ask> {
    let t = start / 1000;
    let (s, e) = (t, t + 300);
    let mut all = Vec::new();
    queries(&mut all, t, s, e);
    // Prometheus lists all that is in memory, whatever the range: here that is the same.
    listings(&mut all, s, s + 86_400);
    statuses(&mut all);
    methods(&mut all);
    all
}

fn queries(all: &mut Vec<Ask>, t: i64, s: i64, e: i64) {
    let exprs = [
        "c_total",
        "sum(c_total)",
        "c_total[5m]",
        "rate(c_total[2m])",
        "odd",
        "1",
        "\"a<b\"",
        "-0",
        "NaN",
        "1e21",
        "1e-7",
        "vector(1)",
        "",
        "up{",
        "(",
        "foo",
        "{a=\"\"}",
        "c_total + on() c_total",
        "label_replace(c_total, \"1\", \"x\", \"\", \"\")",
        "histogram_quantile(0.9, h_bucket)",
        "topk(1, c_total)",
        "c_total offset 1m",
        "sum by (a) (c_total)",
        "abs(1)",
        "nope(1)",
        "rate(odd[5m])",
        "histogram_quantile(2, h_bucket)",
        "c_total[5m:1m]",
        "c_total{a=~\"(\"}",
        "round(c_total, 0)",
        "label_join(c_total, \"j\", \",\", \"a\", \"b\")",
        "sort_desc(c_total)",
        "count_values(\"v\", c_total)",
        "absent(nothing{x=\"y\"})",
        "time()",
        "c_total @ 1",
        "c_total @ end()",
        "1 +",
        "sum(",
        "\u{e9}",
        "c_total{\"a\"=\"x\"}",
        "{\"c_total\"}",
        "0x1f",
        "1h",
        "vector(1) > bool 0",
    ];
    for expr in exprs {
        let q = escape(expr);
        all.push(get(
            &format!("/api/v1/query?query={q}&time={}", t + 280),
            By::Set,
        ));
        all.push(get(
            &format!("/api/v1/query_range?query={q}&start={s}&end={e}&step=60"),
            By::Set,
        ));
        all.push(get(&format!("/api/v1/format_query?query={q}"), By::Whole));
        all.push(get(&format!("/api/v1/parse_query?query={q}"), By::Whole));
        all.push(get(
            &format!("/api/v1/query_exemplars?query={q}&start={s}&end={e}"),
            By::Whole,
        ));
    }
    for more in [
        "",
        "time=abc",
        "time=NaN",
        "time=1e3",
        "time=0x10p1",
        "time=2023-11-14T22:13:20Z",
        "time=2023-11-14",
        "time=2023-11-14T22:13:20.123456789%2B01:00",
        "time=-1",
        "time=9223372036854775807",
        "time=1_000",
        "time=-292273086-05-16T16:47:06Z",
        "time=1.0005",
        "time=1.9999999",
        "time=%zz",
        "time=1&time=2",
        "timeout=1s",
        "timeout=0",
        "timeout=-1",
        "timeout=x",
        "timeout=1e20",
        "timeout=1.5s",
        "timeout=1d1d",
        "limit=0",
        "limit=1",
        "limit=-1",
        "limit=x",
        "limit=1.5",
        "limit=99999999999999999999",
        "limit=%2B1",
        "lookback_delta=1m",
        "lookback_delta=x",
        "lookback_delta=0",
        "lookback_delta=-1",
        "unknown=1",
    ] {
        // Which one is left is up to the server, and so is what time it is now.
        let by = if matches!(more, "limit=1" | "time=%zz") {
            By::Shape
        } else {
            By::Set
        };
        let time = if more.contains("time=") && !more.contains("timeout") {
            String::new()
        } else {
            format!("&time={}", t + 280)
        };
        all.push(get(
            &format!("/api/v1/query?query=c_total{time}&{more}"),
            by,
        ));
        all.push(with(
            "POST",
            "/api/v1/query",
            Some(&format!("query=c_total{time}&{more}")),
            by,
        ));
        all.push(with(
            "POST",
            &format!("/api/v1/query?query=c_total{time}&{more}"),
            Some("query=1"),
            by,
        ));
    }
    for more in ["stats=all", "stats=x"] {
        all.push(get(
            &format!("/api/v1/query?query=c_total&time={t}&{more}"),
            By::Shape,
        ));
    }
    for range in [
        "",
        "start=1",
        "start=1&end=2",
        "start=1&end=2&step=",
        "start=x&end=2&step=1",
        "start=1&end=x&step=1",
        "start=1&end=2&step=x",
        "start=2&end=1&step=1",
        "start=1&end=2&step=0",
        "start=1&end=2&step=-1",
        "start=0&end=11000&step=1",
        "start=0&end=11001&step=1",
        "start=0&end=11000.5&step=1",
        "start=1&end=2&step=1m",
        "start=1&end=2&step=0.5",
        "start=1&end=2&step=1e20",
        "start=1&end=2&step=1ms",
        "start=1&end=2&step=1&limit=-1",
        "start=1&end=2&step=1&timeout=x",
        "start=1&end=2&step=1&lookback_delta=x",
        "start=NaN&end=2&step=1",
        "start=1970-01-01T00:00:01Z&end=1970-01-01T00:00:09Z&step=3s",
        "start=1&end=2&step=0.0001",
        "start=1&end=1&step=1",
    ] {
        all.push(get(
            &format!("/api/v1/query_range?query=1&{range}"),
            By::Whole,
        ));
        all.push(with(
            "POST",
            "/api/v1/query_range",
            Some(&format!("query=1&{range}")),
            By::Whole,
        ));
    }
    for more in [
        "",
        "start=x",
        "end=x",
        "start=2&end=1",
        "query=%22a%22",
        "query=1",
    ] {
        all.push(get(&format!("/api/v1/query_exemplars?{more}"), By::Whole));
        all.push(get(
            &format!("/api/v1/query_exemplars?query=c_total&{more}"),
            By::Whole,
        ));
    }
}

fn listings(all: &mut Vec<Ask>, s: i64, e: i64) {
    let range = format!("start={s}&end={e}");
    for more in [
        "",
        "match[]=c_total",
        "match[]=c_total&match[]=odd",
        "match[]={",
        "match[]=%7B",
        "match[]=%7B%7D",
        "match[]=%7Ba%3D~%22.*%22%7D",
        "match[]=",
        "match[]=c_total%5B5m%5D",
        "match[]=nothing",
        "start=x",
        "end=x",
        "start=2&end=1",
        "limit=-1",
        "limit=x",
        "limit=0",
        "limit=100",
        "start=1&end=2",
        "match[]=%zz",
        "match[]=%7B__name__%3D~%22c.*%22%7D",
        "match[]=%7Ba!%3D%22x%22%7D",
        "match[]=sum(c_total)",
    ] {
        for path in [
            "labels",
            "label/a/values",
            "label/__name__/values",
            "label/nope/values",
            "label/U__a/values",
            "series",
        ] {
            let q = if more.contains("start") || more.contains("end") {
                more.to_string()
            } else {
                format!("{range}&{more}")
            };
            all.push(get(&format!("/api/v1/{path}?{q}"), By::Set));
        }
        all.push(with(
            "POST",
            "/api/v1/labels",
            Some(&format!("{range}&{more}")),
            By::Set,
        ));
        all.push(with(
            "POST",
            "/api/v1/series",
            Some(&format!("{range}&{more}")),
            By::Set,
        ));
        all.push(get(&format!("/federate?{more}"), By::Head));
    }
    for path in [
        "label/%ff/values",
        "label/%22/values",
        "label/a b/values",
        "label/%C3%A9/values",
        "label/U__a_2e_b/values",
        "label/U__/values",
        "label//values",
        "label/a%2Fb/values",
        "label/1a/values",
    ] {
        all.push(get(
            &format!("/api/v1/{}", path.replace(' ', "%20")),
            By::Whole,
        ));
    }
    for more in [
        "",
        "metric=c_total",
        "metric=h",
        "metric=nope",
        "limit=x",
        "limit=-1",
        "limit=0",
        "limit_per_metric=x",
        "limit_per_metric=1&metric=h",
    ] {
        all.push(get(&format!("/api/v1/metadata?{more}"), By::Whole));
    }
    for more in [
        "",
        "metric=c_total",
        "metric=nope",
        "match_target=%7Bjob%3D%22api%22%7D",
        "match_target=%7B",
        "match_target=%7Bjob%3D%22x%22%7D",
        "limit=x",
        "limit=1",
    ] {
        all.push(get(&format!("/api/v1/targets/metadata?{more}"), By::Set));
    }
    for more in [
        "",
        "state=active",
        "state=dropped",
        "state=any",
        "state=x",
        "state=ACTIVE",
        "scrapePool=api",
        "scrapePool=x",
        "state=dropped&scrapePool=dropped",
    ] {
        all.push(get(&format!("/api/v1/targets?{more}"), By::Shape));
    }
    for more in [
        "",
        "type=alert",
        "type=record",
        "type=x",
        "type=ALERT",
        "exclude_alerts=x",
        "exclude_alerts=true",
        "match[]=%7B",
        "match[]=up",
        "rule_name[]=a",
        "rule_group[]=a",
        "file[]=a",
        "group_limit=1",
        "group_limit=0",
        "group_limit=-1",
        "group_limit=x",
        "group_next_token=abc",
        "group_limit=1&group_next_token=abc",
        "group_limit=99999999999",
        "type=%zz",
        "match[]=%7B%7D",
    ] {
        all.push(get(&format!("/api/v1/rules?{more}"), By::Whole));
    }
}

fn statuses(all: &mut Vec<Ask>) {
    for selector in [
        "live",
        "{__name__=~\"live.*\"}",
        "{__name__=~\"live.*\",a!=\"<&>\"}",
        "live_seconds",
        "{}",
        "nothing",
    ] {
        let selector = escape(selector);
        all.push(get(&format!("/federate?match[]={selector}"), By::Set));
    }
    let two = "/federate?match[]=live&match[]=live_total&match[]=live";
    all.push(get(two, By::Set));
    for path in [
        "alerts",
        "alertmanagers",
        "scrape_pools",
        "notifications",
        "status/walreplay",
    ] {
        all.push(get(&format!("/api/v1/{path}"), By::Whole));
        all.push(get(&format!("/api/v1/{path}?x=%zz"), By::Whole));
    }
    for path in [
        "buildinfo",
        "runtimeinfo",
        "config",
        "tsdb",
        "tsdb?limit=1",
        "tsdb?limit=10000",
    ] {
        all.push(get(&format!("/api/v1/status/{path}"), By::Shape));
    }
    all.push(get("/api/v1/status/flags", By::Head));
    for limit in ["0", "-1", "x"] {
        all.push(get(
            &format!("/api/v1/status/tsdb?limit={limit}"),
            By::Whole,
        ));
    }
    for path in [
        "/-/healthy",
        "/-/ready",
        "/nope",
        "/api/v1/nope",
        "/api",
        "/api/v1",
        "/api/v1/",
        "/api/v2/x",
        "/-/nope",
    ] {
        all.push(get(path, By::Whole));
    }
    for path in [
        "/",
        "/graph",
        "/version",
        "/metrics",
        "/api/v1/query/",
        "//api/v1/labels",
    ] {
        all.push(get(path, By::Head));
    }
    let admin = "/api/v1/admin/tsdb";
    for more in [
        "",
        "?match[]=%7B",
        "?match[]=nothing",
        "?match[]=nothing&start=x",
        "?match[]=nothing&end=x",
        "?match[]=%zz",
        "?match[]=nothing&start=2&end=1",
        "?match[]=%7B%7D",
    ] {
        for method in ["POST", "PUT"] {
            all.push(with(
                method,
                &format!("{admin}/delete_series{more}"),
                None,
                By::Whole,
            ));
        }
    }
    all.push(with(
        "POST",
        &format!("{admin}/delete_series"),
        Some("match[]=nothing"),
        By::Whole,
    ));
    all.push(with(
        "PUT",
        &format!("{admin}/delete_series"),
        Some("match[]=nothing"),
        By::Whole,
    ));
    all.push(with(
        "POST",
        &format!("{admin}/clean_tombstones"),
        None,
        By::Whole,
    ));
    all.push(with(
        "POST",
        &format!("{admin}/snapshot?skip_head=x"),
        None,
        By::Whole,
    ));
    all.push(with(
        "POST",
        &format!("{admin}/snapshot?skip_head=true"),
        None,
        By::Shape,
    ));
    all.push(with("PUT", &format!("{admin}/snapshot"), None, By::Shape));
    all.push(with("POST", "/-/reload", None, By::Whole));
}

fn methods(all: &mut Vec<Ask>) {
    for path in [
        "/api/v1/query",
        "/api/v1/query_range",
        "/api/v1/query_exemplars",
        "/api/v1/format_query",
        "/api/v1/parse_query",
        "/api/v1/labels",
        "/api/v1/label/a/values",
        "/api/v1/series",
        "/api/v1/metadata",
        "/api/v1/targets",
        "/api/v1/targets/metadata",
        "/api/v1/scrape_pools",
        "/api/v1/rules",
        "/api/v1/alerts",
        "/api/v1/alertmanagers",
        "/api/v1/status/buildinfo",
        "/api/v1/status/tsdb",
        "/api/v1/status/walreplay",
        "/api/v1/notifications",
        "/api/v1/write",
        "/api/v1/read",
        "/api/v1/admin/tsdb/delete_series",
        "/api/v1/admin/tsdb/snapshot",
        "/federate",
        "/metrics",
        "/-/healthy",
        "/-/ready",
        "/-/reload",
        "/-/quit",
        "/nope",
        "/api/v1/nope",
        "/version",
    ] {
        for method in ["HEAD", "OPTIONS", "DELETE", "PATCH"] {
            all.push(with(method, path, None, By::Head));
        }
        if path.starts_with("/-/") {
            all.push(get(path, By::Whole));
        } else if !path.contains("/admin/") {
            all.push(with("PUT", path, None, By::Head));
        }
    }
    all.push(with("POST", "/api/v1/read", Some("x"), By::Whole));
    all.push(with("POST", "/api/v1/write", Some("x"), By::Whole));
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
