//! The command line as it is typed. Flags that Prometheus has are spelled as Prometheus spells them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use tsdb_model::parse_duration_ms;

/// An exact, durable metrics database: Prometheus's API and PromQL in one small program.
#[derive(Debug, Parser)]
#[command(name = "tsdb", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Scrape, store and answer queries over the Prometheus HTTP API.
    ///
    /// Without --config.file it scrapes itself and the machine it runs on.
    Serve(Box<ServeArgs>),
    /// Evaluate a PromQL expression against a server, or straight from a data directory.
    Query(QueryArgs),
    /// Write data in the formats of others.
    Export(crate::export::ExportArgs),
    /// Read data of others.
    Import(crate::import::ImportArgs),
    /// Look into a data directory, and check it.
    Inspect(crate::inspect::InspectArgs),
    /// List series that selectors select.
    Series(crate::select::SeriesArgs),
    /// List label names, or the values of a label.
    Labels(crate::select::LabelsArgs),
    /// Send metrics in a text format to a server by remote write, or into a data directory.
    Push(crate::push::PushArgs),
    /// Make a copy of all data, without stopping anything.
    ///
    /// A server needs --web.enable-admin-api.
    Snapshot(crate::admin::SnapshotArgs),
    /// Delete samples.
    ///
    /// A server needs --web.enable-admin-api.
    Delete(crate::admin::DeleteArgs),
    /// Print a script that completes commands and flags in a shell.
    Completions(crate::complete::CompletionsArgs),
    /// Print a manual page.
    Man(crate::complete::ManArgs),
    /// Check files before they are used.
    Check(CheckArgs),
    /// Run tests.
    Test(TestArgs),
}

/// Settings of `tsdb serve`.
#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Prometheus configuration file (YAML). Reloaded on SIGHUP.
    #[arg(
        long = "config.file",
        value_name = "FILE",
        help_heading = "Configuration"
    )]
    pub(crate) config_file: Option<PathBuf>,

    /// Replace ${NAME} in values of the configuration by variables of the environment.
    ///
    /// One that is not set is an error. Write $${NAME} for a plain ${NAME}.
    #[arg(long = "config.expand-env", help_heading = "Configuration")]
    pub(crate) expand_env: bool,

    /// Do not collect metrics of this machine.
    #[arg(long, help_heading = "Configuration")]
    pub(crate) no_host_metrics: bool,

    /// Features to switch on, separated by commas; unknown ones are reported and ignored.
    #[arg(
        long = "enable-feature",
        value_name = "NAME,..",
        value_delimiter = ',',
        help_heading = "Configuration"
    )]
    pub(crate) enable_feature: Vec<String>,

    /// Directory of the data.
    #[arg(
        long = "storage.tsdb.path",
        value_name = "DIR",
        default_value = "data",
        help_heading = "Storage"
    )]
    pub(crate) storage_path: PathBuf,

    /// How long samples are kept.
    #[arg(
        long = "storage.tsdb.retention.time",
        value_name = "DURATION",
        default_value = "15d",
        value_parser = duration,
        help_heading = "Storage"
    )]
    pub(crate) retention: i64,

    /// What a power cut may cost. A killed process loses nothing in any mode.
    #[arg(
        long = "storage.tsdb.wal-sync",
        value_name = "MODE",
        default_value = "interval",
        help_heading = "Storage"
    )]
    pub(crate) wal_sync: WalSyncArg,

    #[command(flatten)]
    pub(crate) storage: crate::storage_flags::StorageArgs,

    /// Address to listen on; may be repeated.
    #[arg(
        long = "web.listen-address",
        value_name = "HOST:PORT",
        default_value = "127.0.0.1:9090",
        value_parser = listen_address,
        help_heading = "Web"
    )]
    pub(crate) listen: Vec<String>,

    /// File with TLS, users and headers of this server (YAML); read again when it changes.
    #[arg(long = "web.config.file", value_name = "FILE", help_heading = "Web")]
    pub(crate) web_config_file: Option<PathBuf>,

    /// URL under which others reach this server; its path is the default of --web.route-prefix.
    #[arg(
        long = "web.external-url",
        value_name = "URL",
        value_parser = external_url,
        help_heading = "Web"
    )]
    pub(crate) external_url: Option<ExternalUrl>,

    /// Path that everything is served below.
    #[arg(
        long = "web.route-prefix",
        value_name = "PATH",
        value_parser = route_prefix,
        help_heading = "Web"
    )]
    pub(crate) route_prefix: Option<String>,

    /// Connections open at a time; idle ones make room for new ones.
    #[arg(
        long = "web.max-connections",
        value_name = "N",
        default_value_t = 512,
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Web"
    )]
    pub(crate) max_connections: u32,

    /// How long a connection may wait for its next request.
    #[arg(
        long = "web.read-timeout",
        value_name = "DURATION",
        default_value = "5m",
        value_parser = duration,
        help_heading = "Web"
    )]
    pub(crate) read_timeout: i64,

    /// Allow deleting and snapshots over HTTP (/api/v1/admin/tsdb/*).
    #[arg(long = "web.enable-admin-api", help_heading = "Web")]
    pub(crate) enable_admin_api: bool,

    /// Allow shutdown and reload over HTTP (/-/quit, /-/reload).
    #[arg(long = "web.enable-lifecycle", help_heading = "Web")]
    pub(crate) enable_lifecycle: bool,

    /// Regular expression of origins that browsers may query from; fully anchored.
    #[arg(
        long = "web.cors.origin",
        value_name = "REGEX",
        default_value = ".*",
        help_heading = "Web"
    )]
    pub(crate) cors_origin: String,

    /// How far an instant query looks back for the newest sample.
    #[arg(
        long = "query.lookback-delta",
        value_name = "DURATION",
        default_value = "5m",
        value_parser = duration,
        help_heading = "Queries"
    )]
    pub(crate) lookback_delta: i64,

    /// Longest time a query may take.
    #[arg(
        long = "query.timeout",
        value_name = "DURATION",
        default_value = "2m",
        value_parser = duration,
        help_heading = "Queries"
    )]
    pub(crate) query_timeout: i64,

    /// Queries that may run at the same time; more wait.
    #[arg(
        long = "query.max-concurrency",
        value_name = "N",
        default_value_t = 20,
        value_parser = clap::value_parser!(u32).range(1..),
        help_heading = "Queries"
    )]
    pub(crate) max_concurrency: u32,

    /// Most samples one query may hold in memory.
    #[arg(
        long = "query.max-samples",
        value_name = "N",
        default_value_t = 50_000_000,
        help_heading = "Queries"
    )]
    pub(crate) max_samples: usize,

    #[command(flatten)]
    pub(crate) query_memory: crate::query_flags::QueryArgs,

    /// Least severity that is logged.
    #[arg(
        long = "log.level",
        value_name = "LEVEL",
        default_value = "info",
        help_heading = "Logging"
    )]
    pub(crate) log_level: LogLevel,

    /// Format of log lines.
    #[arg(
        long = "log.format",
        value_name = "FORMAT",
        default_value = "logfmt",
        help_heading = "Logging"
    )]
    pub(crate) log_format: LogFormat,

    /// Flags of Prometheus that were given and have no effect.
    #[arg(skip)]
    pub(crate) ignored: Vec<(String, String)>,
}

/// Where others reach this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ExternalUrl {
    /// The whole URL, or nothing when only a path was given.
    pub(crate) url: String,
    /// Its path, `/a/b` or nothing.
    pub(crate) path: String,
}

/// Settings of `tsdb check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(subcommand)]
    pub(crate) command: CheckCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CheckCommand {
    /// Check configuration files, and the files they name.
    Config(CheckConfigArgs),
    /// Check web configuration files, and the certificates they name.
    WebConfig(CheckFilesArgs),
    /// Check metrics on standard input, in the text format.
    ///
    /// Exit code 3 when they can be read, but break the rules of good metrics.
    Metrics,
}

/// Settings of `tsdb check config`.
#[derive(Debug, Args)]
pub(crate) struct CheckConfigArgs {
    /// Only look at the files themselves, not at those they name.
    #[arg(long)]
    pub(crate) syntax_only: bool,

    /// As for `serve`.
    #[arg(long = "config.expand-env")]
    pub(crate) expand_env: bool,

    /// Configuration files.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// Files to check.
#[derive(Debug, Args)]
pub(crate) struct CheckFilesArgs {
    /// Files.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

/// Settings of `tsdb query`.
#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The PromQL expression.
    pub(crate) expr: String,

    /// Server to ask.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9090")]
    pub(crate) url: String,

    /// Read this data directory instead of asking a server; works without one, after a crash, and
    /// beside a running one.
    #[arg(long, value_name = "DIR", conflicts_with = "url")]
    pub(crate) dir: Option<PathBuf>,

    /// File with a bearer token for the server.
    #[arg(long, value_name = "FILE", conflicts_with = "dir")]
    pub(crate) token_file: Option<PathBuf>,

    /// Evaluate at this time: Unix seconds, RFC 3339, `now`, or relative (`-1h`).
    #[arg(long, value_name = "TIME", conflicts_with_all = ["start", "end", "step", "since"],
        allow_hyphen_values = true)]
    pub(crate) time: Option<String>,

    /// First time of a range query.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) start: Option<String>,

    /// Last time of a range query; now when absent.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub(crate) end: Option<String>,

    /// Distance of the points of a range query; about 240 points when absent.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) step: Option<i64>,

    /// Range query over this long until now (or until --end).
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "start")]
    pub(crate) since: Option<i64>,

    /// How to print the result.
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: OutputFormat,

    /// Experimental parts of PromQL to switch on with --dir, named as for `serve`.
    #[arg(long = "enable-feature", value_name = "NAME,..", value_delimiter = ',')]
    pub(crate) enable_feature: Vec<String>,
}

/// Settings of `tsdb test`.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    #[command(subcommand)]
    pub(crate) command: TestCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TestCommand {
    /// Run PromQL test scripts (the `*.test` format of Prometheus) over a store in a temporary
    /// directory. The last line says how many evals passed and failed.
    Promql(TestPromqlArgs),
}

/// Settings of `tsdb test promql`.
#[derive(Debug, Args)]
pub(crate) struct TestPromqlArgs {
    /// Test scripts.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputFormat {
    /// Aligned for people; a range result on a terminal is drawn as a chart.
    Table,
    /// The `data` object of the HTTP API.
    Json,
    /// One line per sample.
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WalSyncArg {
    /// Each commit is synced before it is answered.
    Always,
    /// Commits of a few milliseconds are synced together before they are answered.
    Group,
    /// Synced each second.
    Interval,
    /// Left to the operating system.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    Logfmt,
    Json,
}

/// A positive Prometheus duration, or seconds as a number; in milliseconds.
pub(crate) fn duration(text: &str) -> Result<i64, String> {
    let ms = match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() => (seconds * 1000.0).round() as i64,
        _ => parse_duration_ms(text).map_err(|e| e.to_string())?,
    };
    if ms > 0 {
        Ok(ms)
    } else {
        Err("must be greater than 0".into())
    }
}

/// `HOST:PORT`; `:PORT` means all addresses.
fn listen_address(text: &str) -> Result<String, String> {
    let port = text
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse::<u16>().ok());
    match port {
        Some(_) => Ok(text.to_string()),
        None => Err("expected HOST:PORT, for example 127.0.0.1:9090 or :9090".to_string()),
    }
}

/// `http(s)://host[:port][/path]`, or a path alone.
fn external_url(text: &str) -> Result<ExternalUrl, String> {
    let path = |path: &str| route_prefix(path);
    if text.starts_with('/') {
        return Ok(ExternalUrl {
            url: String::new(),
            path: path(text)?,
        });
    }
    let rest = text
        .strip_prefix("http://")
        .or_else(|| text.strip_prefix("https://"));
    let (host, after) = match rest {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => return Err("expected a URL such as https://host/path".to_string()),
    };
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if host.is_empty() || !host.chars().all(fits) {
        return Err("expected a URL such as https://host/path".to_string());
    }
    Ok(ExternalUrl {
        url: text.trim_end_matches('/').to_string(),
        path: path(after)?,
    })
}

/// A path as it is used: `/a/b`, or nothing for the root.
fn route_prefix(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._~/".contains(c);
    if !text.chars().all(fits) || text.contains("//") {
        return Err("expected a path such as /a/b".to_string());
    }
    Ok(tsdb_net::prefix::normalize(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_urls() {
        let read = |text: &str| external_url(text).map(|u| (u.url, u.path));
        let pair = |url: &str, path: &str| Ok((url.to_string(), path.to_string()));
        assert_eq!(read("https://h:1/a/b/"), pair("https://h:1/a/b", "/a/b"));
        assert_eq!(read("http://h"), pair("http://h", ""));
        assert_eq!(read("/a"), pair("", "/a"));
        for bad in [
            "h",
            "ftp://h",
            "http:///a",
            "http://h/a?b",
            "'http://h'",
            "http://h/a//b",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert_eq!(route_prefix("a/"), Ok("/a".to_string()));
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn prometheus_spellings() {
        let cli = Cli::try_parse_from([
            "tsdb",
            "serve",
            "--config.file=p.yml",
            "--storage.tsdb.retention.time=30d",
            "--web.listen-address=:9999",
            "--query.lookback-delta=1m",
        ])
        .unwrap();
        let Command::Serve(args) = cli.command else {
            panic!("serve")
        };
        assert_eq!(args.retention, 30 * 86_400_000);
        assert_eq!(args.listen, [":9999"]);
        assert!(listen_address("9090").is_err());
        assert_eq!(args.lookback_delta, 60_000);
    }

    #[test]
    fn durations_must_be_positive() {
        assert!(duration("0").is_err());
        assert!(duration("-5").is_err());
        assert_eq!(duration("0.5"), Ok(500));
        assert_eq!(duration("1h"), Ok(3_600_000));
    }
}
