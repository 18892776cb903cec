//! Log lines on stderr, as logfmt or JSON.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::flags::{LogFormat, LogLevel};
use tsdb_model::{Clock as _, SystemClock};

/// Sends what libraries and this program log to stderr from now on.
pub(crate) fn start(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Debug => tracing::Level::DEBUG,
        LogLevel::Info => tracing::Level::INFO,
        LogLevel::Warn => tracing::Level::WARN,
        LogLevel::Error => tracing::Level::ERROR,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Logfmt => builder.event_format(Logfmt).init(),
    }
}

/// `ts=.. level=info target=.. msg="..." key=value`
struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        write!(
            writer,
            "ts={} level={} component={}",
            tsdb_http::json::rfc3339_ms(SystemClock.now_ms()),
            meta.level().as_str().to_ascii_lowercase(),
            meta.target().split("::").next().unwrap_or_default()
        )?;
        writeln!(writer, "{}{}", fields.message, fields.rest)
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
}

impl Fields {
    fn push(&mut self, name: &str, value: &str) {
        let out = if name == "message" {
            &mut self.message
        } else {
            &mut self.rest
        };
        let name = if name == "message" { "msg" } else { name };
        let _ = write!(out, " {name}=");
        let plain = !value.is_empty()
            && value
                .chars()
                .all(|c| c.is_alphanumeric() || "-_./:@+%{}[](),".contains(c));
        if plain {
            out.push_str(value);
        } else {
            // Quoting escapes control characters: a log line stays one line.
            let _ = tsdb_model::labels::write_quoted(out, value);
        }
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field.name(), &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_when_they_must_be() {
        let mut fields = Fields::default();
        fields.push("message", "two words");
        fields.push("path", "data/wal");
        fields.push("bad", "a\nb");
        fields.push("empty", "");
        assert_eq!(fields.message, " msg=\"two words\"");
        assert_eq!(fields.rest, " path=data/wal bad=\"a\\nb\" empty=\"\"");
    }
}
