//! What is asked of both.

use crate::support::escape;

/// How two answers are compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum By {
    /// Status, headers and the whole body.
    Whole,
    /// As before, but lists may be in another order.
    Set,
    /// Status, headers, and which members there are.
    Shape,
    /// Status and headers.
    Head,
}

/// One request.
pub(super) struct Ask {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) form: Option<String>,
    pub(super) by: By,
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

/// All requests; samples stand from `start` on.
pub(super) fn asks(start: i64) -> Vec<Ask> {
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
