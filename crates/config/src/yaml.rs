//! A configuration as YAML, in the order and style of Prometheus.

use std::fmt::Write as _;

use tsdb_model::format_duration_ms;
use tsdb_model::relabel::{DEFAULT_REGEX, RelabelConfig};

use std::path::Path;

use crate::config::{Config, GlobalConfig, ScrapeConfig, StaticConfig, StorageConfig};
use crate::http_client::{HttpClientConfig, Source, TlsConfig, redacted};
use crate::node::parse_bool;
use crate::secret::SECRET;
use crate::size::format_size;

impl Config {
    /// The whole configuration with everything filled in, as YAML that reads back as itself.
    ///
    /// Limits that are not set are left out, as Prometheus does. A dollar sign in an external
    /// label is doubled, since a single one would name a variable.
    pub fn to_yaml(&self) -> String {
        let mut out = Lines::default();
        out.global(&self.global);
        if !self.rule_files.is_empty() {
            let names = self.rule_files.iter();
            let names: Vec<_> = names.map(|f| f.display().to_string()).collect();
            out.strings(0, "rule_files", &names);
        }
        if !self.scrape_configs.is_empty() {
            out.line(0, "scrape_configs:");
            for job in &self.scrape_configs {
                out.job(job);
            }
        }
        if self.storage != StorageConfig::default() {
            out.line(0, "storage:");
        }
        if let Some(window) = self.storage.out_of_order_time_window_ms {
            out.line(1, "tsdb:");
            out.pair(2, "out_of_order_time_window", &format_duration_ms(window));
        }
        if let Some(most) = self.storage.max_exemplars {
            out.line(1, "exemplars:");
            out.line(2, &format!("max_exemplars: {most}"));
        }
        out.text
    }
}

#[derive(Default)]
struct Lines {
    text: String,
    /// The next line starts an item of a list.
    item: bool,
}

impl Lines {
    fn line(&mut self, depth: usize, line: &str) {
        self.text += &"  ".repeat(depth);
        if std::mem::take(&mut self.item) {
            self.text.truncate(self.text.len() - 2);
            self.text += "- ";
        }
        self.text += line;
        self.text.push('\n');
    }

    fn pair(&mut self, depth: usize, key: &str, value: &str) {
        let line = format!("{}: {}", quote(key, false), quote(value, false));
        self.line(depth, &line);
    }

    fn boolean(&mut self, depth: usize, key: &str, value: bool) {
        self.line(depth, &format!("{key}: {value}"));
    }

    fn limit(&mut self, depth: usize, key: &str, limit: u64) {
        if limit > 0 {
            self.line(depth, &format!("{key}: {limit}"));
        }
    }

    fn size(&mut self, depth: usize, key: &str, size: u64) {
        if size > 0 {
            self.line(depth, &format!("{key}: {}", format_size(size)));
        }
    }

    fn duration(&mut self, depth: usize, key: &str, ms: i64) {
        self.line(depth, &format!("{key}: {}", format_duration_ms(ms)));
    }

    fn strings(&mut self, depth: usize, key: &str, values: &[String]) {
        let key = quote(key, false);
        if values.is_empty() {
            self.line(depth, &format!("{key}: []"));
            return;
        }
        self.line(depth, &format!("{key}:"));
        for value in values {
            self.line(depth, &format!("- {}", quote(value, false)));
        }
    }

    fn global(&mut self, global: &GlobalConfig) {
        self.line(0, "global:");
        self.duration(1, "scrape_interval", global.scrape_interval_ms);
        self.duration(1, "scrape_timeout", global.scrape_timeout_ms);
        self.strings(1, "scrape_protocols", &global.scrape_protocols);
        self.duration(1, "evaluation_interval", global.evaluation_interval_ms);
        if !global.external_labels.is_empty() {
            self.line(1, "external_labels:");
            for (name, value) in &global.external_labels {
                self.pair(2, name, &value.replace('$', "$$"));
            }
        }
        if let Some(path) = &global.query_log_file {
            self.pair(1, "query_log_file", &path.display().to_string());
        }
        self.size(1, "body_size_limit", global.body_size_limit);
        self.limit(1, "sample_limit", global.sample_limit);
        self.limit(1, "target_limit", global.target_limit);
        self.limit(1, "label_limit", global.label_limit);
        self.limit(1, "label_name_length_limit", global.label_name_length_limit);
        self.limit(
            1,
            "label_value_length_limit",
            global.label_value_length_limit,
        );
        self.limit(1, "keep_dropped_targets", global.keep_dropped_targets);
        let validation = &global.metric_name_validation_scheme;
        self.pair(1, "metric_name_validation_scheme", validation);
        self.pair(
            1,
            "metric_name_escaping_scheme",
            &global.metric_name_escaping_scheme,
        );
    }

    fn job(&mut self, job: &ScrapeConfig) {
        self.item = true;
        self.pair(1, "job_name", &job.job_name);
        if job.honor_labels {
            self.boolean(1, "honor_labels", true);
        }
        self.boolean(1, "honor_timestamps", job.honor_timestamps);
        self.boolean(
            1,
            "track_timestamps_staleness",
            job.track_timestamps_staleness,
        );
        if !job.params.is_empty() {
            self.line(1, "params:");
            for (name, values) in &job.params {
                self.strings(2, name, values);
            }
        }
        self.duration(1, "scrape_interval", job.scrape_interval_ms);
        self.duration(1, "scrape_timeout", job.scrape_timeout_ms);
        self.strings(1, "scrape_protocols", &job.scrape_protocols);
        if let Some(protocol) = &job.fallback_scrape_protocol {
            self.pair(1, "fallback_scrape_protocol", protocol);
        }
        self.pair(1, "metrics_path", &job.metrics_path);
        self.pair(1, "scheme", &job.scheme);
        self.boolean(1, "enable_compression", job.enable_compression);
        self.size(1, "body_size_limit", job.body_size_limit);
        self.limit(1, "sample_limit", job.sample_limit);
        self.limit(1, "target_limit", job.target_limit);
        self.limit(1, "label_limit", job.label_limit);
        self.limit(1, "label_name_length_limit", job.label_name_length_limit);
        self.limit(1, "label_value_length_limit", job.label_value_length_limit);
        self.limit(1, "keep_dropped_targets", job.keep_dropped_targets);
        let validation = &job.metric_name_validation_scheme;
        self.pair(1, "metric_name_validation_scheme", validation);
        self.pair(
            1,
            "metric_name_escaping_scheme",
            &job.metric_name_escaping_scheme,
        );
        self.http_client(&job.http_client);
        self.rules("relabel_configs", &job.relabel_configs);
        self.rules("metric_relabel_configs", &job.metric_relabel_configs);
        if !job.file_sd_configs.is_empty() {
            self.line(1, "file_sd_configs:");
        }
        for config in &job.file_sd_configs {
            self.item = true;
            let files = config.files.iter().map(|f| f.display().to_string());
            self.strings(2, "files", &files.collect::<Vec<_>>());
            self.duration(2, "refresh_interval", config.refresh_interval_ms);
        }
        if !job.static_configs.is_empty() {
            self.line(1, "static_configs:");
            for group in &job.static_configs {
                self.group(group);
            }
        }
    }

    fn http_client(&mut self, http: &HttpClientConfig) {
        if let Some(auth) = &http.basic_auth {
            self.line(1, "basic_auth:");
            match &auth.username {
                // A user's name is no secret.
                Source::Inline(name) => self.pair(2, "username", name.expose()),
                Source::File(path) => self.path(2, "username_file", path),
            }
            match &auth.password {
                Source::Inline(password) if password.is_empty() => {}
                password => self.source(2, "password", password, SECRET),
            }
        }
        if let Some(auth) = &http.authorization {
            self.line(1, "authorization:");
            self.pair(2, "type", &auth.kind);
            if let Some(credentials) = &auth.credentials {
                self.source(2, "credentials", credentials, SECRET);
            }
        }
        self.tls(&http.tls_config);
        self.boolean(1, "follow_redirects", http.follow_redirects);
        self.boolean(1, "enable_http2", http.enable_http2);
        if let Some(url) = &http.proxy_url {
            self.pair(1, "proxy_url", &redacted(url.expose()));
        }
        if !http.http_headers.is_empty() {
            self.line(1, "http_headers:");
        }
        for (name, header) in &http.http_headers {
            let name = quote(name, false);
            if *header == crate::HeaderValues::default() {
                self.line(2, &format!("{name}: {{}}"));
                continue;
            }
            self.line(2, &format!("{name}:"));
            let secrets: Vec<_> = header.secrets.iter().map(|_| SECRET.to_string()).collect();
            let files = header.files.iter().map(|f| f.display().to_string());
            for (key, values) in [
                ("values", &header.values),
                ("secrets", &secrets),
                ("files", &files.collect()),
            ] {
                if !values.is_empty() {
                    self.strings(3, key, values);
                }
            }
        }
    }

    fn tls(&mut self, tls: &TlsConfig) {
        if *tls == TlsConfig::default() {
            return;
        }
        self.line(1, "tls_config:");
        for (key, source) in [("ca", &tls.ca), ("cert", &tls.cert), ("key", &tls.key)] {
            match source {
                Some(Source::Inline(text)) if key != "key" => self.pair(2, key, text.expose()),
                Some(source) => self.source(2, key, source, SECRET),
                None => {}
            }
        }
        if let Some(name) = &tls.server_name {
            self.pair(2, "server_name", name);
        }
        self.boolean(2, "insecure_skip_verify", tls.insecure_skip_verify);
        for (key, version) in [
            ("min_version", tls.min_version),
            ("max_version", tls.max_version),
        ] {
            if let Some(version) = version {
                self.pair(2, key, version.as_str());
            }
        }
    }

    /// A source, with `shown` for a text that stands in the configuration itself.
    fn source(&mut self, depth: usize, key: &str, source: &Source, shown: &str) {
        match source {
            Source::Inline(_) => self.pair(depth, key, shown),
            Source::File(path) => self.path(depth, &format!("{key}_file"), path),
        }
    }

    fn path(&mut self, depth: usize, key: &str, path: &Path) {
        self.pair(depth, key, &path.display().to_string());
    }

    fn group(&mut self, group: &StaticConfig) {
        self.item = true;
        self.strings(2, "targets", &group.targets);
        if !group.labels.is_empty() {
            self.line(2, "labels:");
            for (name, value) in &group.labels {
                self.pair(3, name, value);
            }
        }
    }

    fn rules(&mut self, key: &str, rules: &[RelabelConfig]) {
        if rules.is_empty() {
            return;
        }
        self.line(1, &format!("{key}:"));
        for rule in rules {
            self.item = true;
            if !rule.source_labels.is_empty() {
                let names: Vec<_> = rule.source_labels.iter().map(|n| quote(n, true)).collect();
                self.line(2, &format!("source_labels: [{}]", names.join(", ")));
            }
            self.pair(2, "separator", &rule.separator);
            if rule.regex_text != DEFAULT_REGEX {
                self.pair(2, "regex", &rule.regex_text);
            }
            self.limit(2, "modulus", rule.modulus);
            if !rule.target_label.is_empty() {
                self.pair(2, "target_label", &rule.target_label);
            }
            self.pair(2, "replacement", &rule.replacement);
            self.pair(2, "action", rule.action.as_str());
        }
    }
}

/// Writes a string plainly where YAML lets it, else in quotes. `in_flow` is for lists in brackets.
fn quote(text: &str, in_flow: bool) -> String {
    let printable = |c: char| matches!(c, ' '..='~' | '\u{a1}'..='\u{ff}');
    if !text.chars().all(printable) {
        return double_quoted(text);
    }
    if reads_as_other_than_string(text) {
        return format!("\"{text}\"");
    }
    let starts_plain = |c: char| c.is_ascii_alphanumeric() || "_/.($^+;\\<=~".contains(c);
    let ends_early = text.starts_with("...")
        || text.ends_with([' ', ':'])
        || text.contains(": ")
        || text.contains(" #")
        || (in_flow && text.contains(|c| ",[]{}:\"'#".contains(c)));
    let plain = text.starts_with(starts_plain) && !ends_early;
    if plain {
        text.to_string()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn double_quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out += "\\\"",
            '\\' => out += "\\\\",
            '\n' => out += "\\n",
            '\t' => out += "\\t",
            '\r' => out += "\\r",
            ' '..='~' => out.push(c),
            _ if c.is_alphanumeric() => out.push(c),
            _ => {
                let _ = match u32::from(c) {
                    code @ ..=0xff => write!(out, "\\x{code:02X}"),
                    code @ ..=0xffff => write!(out, "\\u{code:04X}"),
                    code => write!(out, "\\U{code:08X}"),
                };
            }
        }
    }
    out.push('"');
    out
}

/// Nulls, booleans, numbers, and what YAML 1.1 takes for times and merge keys.
fn reads_as_other_than_string(text: &str) -> bool {
    let number = text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
        && text
            .chars()
            .all(|c| c.is_ascii_hexdigit() || "+-._:xob".contains(c))
        && !text.contains("..");
    let looks_numeric = number && text.split(':').all(|part| !part.is_empty()) && {
        let address = text.matches('.').count() > 1;
        !address
    };
    let special = [
        "", "~", "null", "Null", "NULL", "<<", "=", ".inf", ".Inf", ".INF", "+.inf", "+.Inf",
        "+.INF", ".nan", ".NaN", ".NAN",
    ];
    special.contains(&text) || parse_bool(text).is_some() || looks_numeric
}
