//! The page at `/`, `/query` and `/graph`: what this program is, what it scrapes, and a form for queries. Plain HTML
//! without anything from elsewhere.

use std::fmt::Write as _;

use http::{HeaderName, HeaderValue};
use tsdb_model::{Labels, format_duration_ms};
use tsdb_net::server::Response;
use tsdb_scrape::{ActiveTarget, Health};

use crate::answer::page;
use crate::json::rfc3339_ms;
use crate::router::Call;
use crate::state::{ApiState, Running};

/// Most targets shown; `/api/v1/targets` has all.
const MAX_TARGETS: usize = 1000;

const STYLE: &str = include_str!("pages/style.css");
const SCRIPT: &str = include_str!("pages/query.js");

/// The status page.
pub(crate) fn index(call: &Call) -> Response {
    let mut response = page("text/html; charset=utf-8", index_html(&call.state));
    // Even if a text slipped through unescaped it could load nothing and send nothing elsewhere.
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                  connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'";
    response.headers_mut().insert(
        HeaderName::from_static("content-security-policy"),
        HeaderValue::from_static(policy),
    );
    response
}

fn index_html(state: &ApiState) -> String {
    let mut out = String::from("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">");
    out.push_str("<meta name=\"viewport\" content=\"width=device-width\"><title>tsdb</title>");
    let _ = write!(
        out,
        "<style>\n{STYLE}</style></head>\n<body>\n<h1>tsdb</h1>\n"
    );
    out.push_str("<p>A metrics database with the HTTP API and the query language of Prometheus.");
    out.push_str(" In Grafana, add a data source of type Prometheus with this address.</p>\n");
    query_form(&mut out);
    match state.running() {
        Some(running) => {
            status(&mut out, state, running);
            targets(&mut out, state, running);
        }
        None if state.is_stopping() => out.push_str("<p><b>Stopping.</b></p>\n"),
        None => out.push_str("<p><b>Starting:</b> the store is being opened.</p>\n"),
    }
    // Without a slash in front, so that they hold below a route prefix, too.
    out.push_str("<p>More: ");
    for (i, link) in [
        "metrics",
        "metrics/host",
        "api/v1/targets",
        "api/v1/status/tsdb",
        "api/v1/status/config",
        "api/v1/status/flags",
        "api/v1/status/runtimeinfo",
        "openapi.yaml",
    ]
    .into_iter()
    .enumerate()
    {
        let comma = if i > 0 { ", " } else { "" };
        let _ = write!(out, "{comma}<a href=\"{link}\">/{link}</a>");
    }
    out.push_str("</p>\n</body></html>\n");
    out
}

fn query_form(out: &mut String) {
    out.push_str("<form id=\"query\" action=\"api/v1/query\"><input name=\"query\" size=\"60\" ");
    out.push_str("placeholder=\"up\" aria-label=\"PromQL query\" autofocus autocomplete=\"off\"> ");
    out.push_str("<button>Query</button></form>\n<div id=\"result\"></div>\n");
    let _ = writeln!(out, "<script>\n{SCRIPT}</script>");
}

fn status(out: &mut String, state: &ApiState, running: &Running) {
    let stats = running.db.stats();
    let now = state.now_ms();
    let time = |ms: i64| match ms {
        i64::MIN | i64::MAX => "none".to_string(),
        ms => rfc3339_ms(ms),
    };
    let (config_ok, config_loaded) = state.config_status();
    let config = if config_ok {
        "loaded"
    } else {
        "the last reload failed; in force since"
    };
    let directory = std::path::absolute(&state.options.data_dir)
        .unwrap_or_else(|_| state.options.data_dir.clone());
    let samples = stats.float_samples_appended + stats.histogram_samples_appended;
    let retention = match stats.retention_ms {
        0 => "for ever".to_string(),
        ms => format_duration_ms(ms),
    };
    let build = &state.options.build;
    out.push_str("<h2>Status</h2>\n<table>\n");
    for (name, value) in [
        (
            "Version",
            format!(
                "{}, speaks the API of Prometheus {}",
                build.revision, build.version
            ),
        ),
        ("Started", rfc3339_ms(state.started_ms)),
        ("Time now", rfc3339_ms(now)),
        (
            "Configuration",
            format!("{config} {}", rfc3339_ms(config_loaded)),
        ),
        ("Data directory", directory.display().to_string()),
        ("Samples are kept", retention),
        ("Series", stats.head_series.to_string()),
        ("Samples stored since the start", samples.to_string()),
        ("Oldest sample", time(stats.min_time_ms)),
        ("Newest sample", time(stats.max_time_ms)),
        ("Log on disk", format!("{} bytes", stats.wal_bytes)),
    ] {
        let _ = write!(out, "<tr><th>{name}</th><td>");
        escape(out, &value);
        out.push_str("</td></tr>\n");
    }
    out.push_str("</table>\n");
}

fn targets(out: &mut String, state: &ApiState, running: &Running) {
    let all = running
        .scrape
        .as_ref()
        .map(|s| s.targets())
        .unwrap_or_default()
        .active;
    let up = all.iter().filter(|t| t.health == Health::Up).count();
    let _ = writeln!(out, "<h2>Targets ({up} of {} up)</h2>", all.len());
    if all.is_empty() {
        out.push_str("<p>Nothing is scraped.</p>\n");
        return;
    }
    out.push_str("<table>\n<tr><th>Job</th><th>URL</th><th>Labels</th><th>Health</th>");
    out.push_str("<th>Last scrape</th><th>Took</th><th>Error</th></tr>\n");
    for target in all.iter().take(MAX_TARGETS) {
        target_row(out, target, state.now_ms());
    }
    out.push_str("</table>\n");
    if all.len() > MAX_TARGETS {
        let _ = writeln!(out, "<p>and {} more.</p>", all.len() - MAX_TARGETS);
    }
}

fn target_row(out: &mut String, target: &ActiveTarget, now_ms: i64) {
    let ago = target.last_scrape_ms.map_or_else(
        || "never".to_string(),
        |t| {
            format!(
                "{:.1} s ago",
                now_ms.saturating_sub(t).max(0) as f64 / 1000.0
            )
        },
    );
    out.push_str("<tr><td>");
    escape(out, &target.scrape_pool);
    out.push_str("</td><td>");
    escape(out, &target.scrape_url);
    out.push_str("</td><td>");
    escape(out, &labels_text(&target.labels));
    let health = target.health.as_str();
    let _ = write!(
        out,
        "</td><td class=\"{health}\">{health}</td><td>{ago}</td>"
    );
    let _ = write!(
        out,
        "<td>{:.3} s</td><td>",
        target.last_scrape_duration_seconds
    );
    escape(out, &target.last_error);
    out.push_str("</td></tr>\n");
}

/// `job="x", instance="y"`
fn labels_text(labels: &Labels) -> String {
    let mut out = String::new();
    for label in labels {
        let comma = if out.is_empty() { "" } else { ", " };
        let _ = write!(out, "{comma}{}=", label.name);
        let _ = tsdb_model::labels::write_quoted(&mut out, label.value);
    }
    out
}

/// Appends text for HTML, inside elements and quoted attributes.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_escaped() {
        let target = ActiveTarget {
            discovered_labels: Labels::empty(),
            labels: Labels::from_pairs([("a", "<b>\"'&"), ("job", "x")]),
            scrape_pool: "<script>".into(),
            scrape_url: "http://h/?a=1&b=2".into(),
            global_url: String::new(),
            last_error: "<img>".into(),
            last_scrape_ms: Some(1500),
            last_scrape_duration_seconds: 0.25,
            health: Health::Down,
            scrape_interval: "15s".into(),
            scrape_timeout: "10s".into(),
        };
        let mut out = String::new();
        target_row(&mut out, &target, 3000);
        assert_eq!(
            out,
            "<tr><td>&lt;script&gt;</td><td>http://h/?a=1&amp;b=2</td>\
             <td>a=&quot;&lt;b&gt;\\&quot;&#39;&amp;&quot;, job=&quot;x&quot;</td>\
             <td class=\"down\">down</td><td>1.5 s ago</td><td>0.250 s</td>\
             <td>&lt;img&gt;</td></tr>\n"
        );
    }

    #[test]
    fn the_script_makes_text_not_html() {
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "document.write",
            "eval(",
            "</script",
            "//",
        ] {
            assert!(!SCRIPT.contains(forbidden), "{forbidden}");
        }
    }
}
