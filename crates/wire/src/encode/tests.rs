use super::*;
use crate::test_page::print;
use crate::text::TextParser;

fn read(page: &str) -> Vec<String> {
    let mut parser = TextParser::new(page.as_bytes());
    let mut all = Vec::new();
    while let Some(entry) = parser.next().unwrap_or_else(|e| panic!("{e}\n{page}")) {
        all.push(print(&entry).unwrap());
    }
    all
}

#[test]
fn a_page_as_client_libraries_write_it() {
    let mut page = TextWriter::new();
    page.family("http_requests_total", MetricType::Counter, "Requests.");
    page.sample("", &[("code", "200"), ("handler", "/a\"b\\c\nd")], 1e6);
    page.sample("", &[("code", "500"), ("handler", "")], 999_999.0);
    page.family(
        "lat",
        MetricType::Histogram,
        "Two\nlines, a \\ and \"quotes\".",
    );
    page.sample("_bucket", &[("le", "0.5")], 3.0);
    page.sample("_sum", &[], 0.25);
    page.sample("_count", &[], 3.0);
    page.family("s", MetricType::Summary, "");
    page.sample("", &[("quantile", "0.5")], f64::NAN);
    page.family("odd", MetricType::Unknown, "");
    for v in [f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e-5, 1.5e300, -7.0] {
        page.sample("", &[], v);
    }
    let expected = r#"# HELP http_requests_total Requests.
# TYPE http_requests_total counter
http_requests_total{code="200",handler="/a\"b\\c\nd"} 1e+06
http_requests_total{code="500",handler=""} 999999
# HELP lat Two\nlines, a \\ and "quotes".
# TYPE lat histogram
lat_bucket{le="0.5"} 3
lat_sum 0.25
lat_count 3
# TYPE s summary
s{quantile="0.5"} NaN
# TYPE odd untyped
odd +Inf
odd -Inf
odd -0
odd 1e-05
odd 1.5e+300
odd -7
"#;
    assert_eq!(page.finish(), expected);
}

#[test]
fn names_beyond_ascii_are_quoted() {
    let mut page = TextWriter::new();
    page.family("a.b", MetricType::Gauge, "x");
    page.sample("", &[], 1.0);
    page.sample("_c", &[("d", "e"), ("f\"g", "h")], 2.0);
    let page = page.finish();
    let expected = "# HELP \"a.b\" x\n# TYPE \"a.b\" gauge\n{\"a.b\"} 1\n\
                    {\"a.b_c\",d=\"e\",\"f\\\"g\"=\"h\"} 2\n";
    assert_eq!(page, expected);
    assert_eq!(
        read(&page),
        [
            "help a.b: x",
            "type a.b: gauge",
            "{a.b} 1",
            "{a.b_c d=\"e\" f\"g=\"h\"} 2"
        ]
    );
}

#[test]
fn types_that_the_format_lacks() {
    for (metric_type, word) in [
        (MetricType::Info, "gauge"),
        (MetricType::StateSet, "gauge"),
        (MetricType::GaugeHistogram, "untyped"),
        (MetricType::Unknown, "untyped"),
    ] {
        let mut page = TextWriter::new();
        page.family("a", metric_type, "");
        assert_eq!(page.finish(), format!("# TYPE a {word}\n"));
    }
}
