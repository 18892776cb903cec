//! `tsdb serve`: puts store, engine, scraper and HTTP API together and takes them apart again.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc as blocking;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::{error, info, warn};

use tsdb::{Db, Engine, EngineOptions, Options, WalSync};
use tsdb_config::{Config, Loader};
use tsdb_host::HostCollector;
use tsdb_http::{Api, ApiOptions, ApiState, BuildInfo};
use tsdb_model::format_duration_ms;
use tsdb_net::WebAccess;
use tsdb_net::server::{Server, ServerOptions};
use tsdb_scrape::{ScrapeManager, ScrapeOptions};

use crate::flags::{ServeArgs, WalSyncArg};
use crate::host_config::{SelfTarget, default_config};
use crate::logging;

/// Exit code for a configuration that cannot be used, as Prometheus has it.
const EXIT_CONFIG: u8 = 2;

/// Runs the server until a signal ends it.
pub(crate) fn run(args: ServeArgs) -> ExitCode {
    logging::start(args.log_level, args.log_format);
    // A wrong file is the caller's mistake to see before anything is touched.
    for (flag, value) in &args.ignored {
        warn!(flag, value, "this flag of Prometheus has no effect here");
    }
    if args.enable_admin_api {
        warn!("--web.enable-admin-api: there is no such API yet");
    }
    let loader = loader(&args);
    if let Some(Err(e)) = args.config_file.as_deref().map(|file| loader.load(file)) {
        error!("{e}");
        return ExitCode::from(EXIT_CONFIG);
    }
    raise_file_limit();
    let served = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")
        .and_then(|runtime| run_to_end(runtime, serve(args)));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            error!("{e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Each connection and each target takes a file descriptor, and systems begin with few.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit of open files stays as it is");
    }
}

/// Time that threads have which are still at work when everything else is done.
const LEFTOVERS_TIMEOUT: Duration = Duration::from_secs(1);

/// Time for storing the pages that have already come when the server stops.
const LAST_PAGES_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs `work`. Threads that are at work for nobody any more (a client gone, a log being read when
/// the signal came) do not keep the program from ending.
fn run_to_end<F: Future>(runtime: Runtime, work: F) -> F::Output {
    let output = runtime.block_on(work);
    runtime.shutdown_timeout(LEFTOVERS_TIMEOUT);
    output
}

/// A request to read the configuration anew, with the place for the answer.
type Reload = blocking::Sender<Result<(), String>>;

async fn serve(args: ServeArgs) -> anyhow::Result<()> {
    let host = HostCollector::supported() && !args.no_host_metrics;
    if !host && !args.no_host_metrics {
        warn!("no metrics of this machine: the system has no /proc");
    }
    let web = args.web_config_file.as_ref().map(WebAccess::load);
    let web = web.transpose().context("--web.config.file")?;
    let route_prefix = route_prefix(&args);
    let options = ServerOptions {
        max_connections: args.max_connections as usize,
        idle_timeout: Duration::from_millis(args.read_timeout.unsigned_abs()),
        web: web.clone(),
        route_prefix: route_prefix.clone(),
        ..ServerOptions::default()
    };
    let server = Server::bind(&args.listen, options).await?;
    let listen = server.local_addrs()[0];
    let own = SelfTarget {
        listen,
        https: web.as_ref().is_some_and(|web| web.uses_tls()),
        token: own_token(web.as_deref()),
        route_prefix,
    };
    if args.config_file.is_none() && web.as_ref().is_some_and(|web| web.asks_for_certificate()) {
        warn!("the built-in configuration has no client certificate to scrape this server with");
    }
    let config = Arc::new(load_config(&args, &own, host)?);
    let (mut engine_options, unknown) = engine_options(&args.enable_feature);
    for feature in unknown {
        warn!(feature, "unknown feature ignored");
    }
    args.query_memory.apply(&mut engine_options);
    let engine = Engine::new(EngineOptions {
        lookback_delta_ms: args.lookback_delta,
        max_samples: args.max_samples,
        timeout_ms: args.query_timeout.unsigned_abs(),
        ..engine_options
    });

    let (reload_tx, mut reload_rx) = mpsc::unbounded_channel::<Reload>();
    let (quit_tx, mut quit_rx) = mpsc::unbounded_channel::<()>();
    let state = ApiState::new(ApiOptions {
        engine: Arc::new(engine),
        config: Arc::clone(&config),
        flags: flag_values(&args),
        build: BuildInfo::new("tsdb", env!("CARGO_PKG_VERSION")),
        host: host.then(|| HostCollector::new(Path::new("/"))),
        cors_origin: args.cors_origin.clone(),
        enable_lifecycle: args.enable_lifecycle,
        max_concurrency: args.max_concurrency as usize,
        data_dir: args.storage_path.clone(),
        reload: Some(Box::new(move || {
            let (answer, answered) = blocking::channel();
            let gone = |_| "the server is stopping".to_string();
            reload_tx
                .send(answer)
                .map_err(|_| gone(blocking::RecvError))?;
            answered.recv().map_err(gone)?
        })),
        quit: Some(Box::new(move || {
            let _ = quit_tx.send(());
        })),
        ..ApiOptions::default()
    })
    .context("--web.cors.origin")?;
    state.use_query_log(&config).map_err(anyhow::Error::msg)?;

    // Serving begins before the log is replayed: until then the API answers 503.
    let (stop_serving, stopped) = oneshot::channel::<()>();
    let handler = Arc::new(Api::new(Arc::clone(&state)));
    let serving = tokio::spawn(server.serve(handler, async {
        let _ = stopped.await;
    }));
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP")?;

    let opened = tokio::select! {
        db = open_store(&args, &config) => Some(db?),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        Some(()) = quit_rx.recv() => None,
    };
    let Some(db) = opened else {
        // The log was only read so far, so there is nothing to make safe.
        info!("stopped before the data was open");
        return Ok(());
    };
    let scrape = ScrapeManager::new(
        Arc::clone(&db) as Arc<dyn tsdb_model::Appendable>,
        ScrapeOptions {
            listen_port: listen.port(),
            hostname: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            external_url: external_url(&args),
            ..ScrapeOptions::default()
        },
    );
    scrape.apply(&config);
    state.start(Arc::clone(&db), Some(Arc::clone(&scrape)));
    announce(&args, &config, &own);

    let reload = || -> Result<(), String> {
        // Everything is read and looked at before anything changes.
        let fresh = load_config(&args, &own, host).and_then(|fresh| {
            web.as_ref().map_or(Ok(()), |web| web.reload())?;
            state.use_query_log(&fresh).map_err(anyhow::Error::msg)?;
            Ok(fresh)
        });
        match fresh {
            Ok(fresh) => {
                let fresh = Arc::new(fresh);
                scrape.apply(&fresh);
                state.config_applied(fresh);
                info!("configuration reloaded");
                Ok(())
            }
            Err(e) => {
                state.config_failed();
                error!("configuration not reloaded, the old one stays: {e:#}");
                Err(format!("{e:#}"))
            }
        }
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(()) = quit_rx.recv() => break,
            _ = hangup.recv() => drop(reload()),
            Some(answer) = reload_rx.recv() => drop(answer.send(reload())),
        }
    }

    info!("stopping");
    state.stop();
    if timeout(LAST_PAGES_TIMEOUT, scrape.stop()).await.is_err() {
        warn!("pages given up: they could not be stored in time");
    }
    let _ = stop_serving.send(());
    serving.await.context("the listener")?;
    tokio::task::spawn_blocking(move || db.close())
        .await
        .context("closing the store")??;
    info!("stopped, all data is on disk");
    Ok(())
}

/// Reads configurations as the flags say.
fn loader(args: &ServeArgs) -> Loader<'static> {
    Loader {
        expand_env: args.expand_env,
        check: Some(&tsdb_net::client::check),
    }
}

fn load_config(args: &ServeArgs, own: &SelfTarget, host: bool) -> anyhow::Result<Config> {
    Ok(match args.config_file.as_deref() {
        Some(file) => loader(args).load(file)?,
        None => Config::parse(&default_config(own, host), "built-in default")?,
    })
}

/// The path everything is served below.
fn route_prefix(args: &ServeArgs) -> String {
    let external = || args.external_url.as_ref().map(|url| url.path.clone());
    let prefix = args.route_prefix.clone().or_else(external);
    prefix.unwrap_or_default()
}

fn external_url(args: &ServeArgs) -> String {
    let url = args.external_url.as_ref().map(|url| url.url.clone());
    url.unwrap_or_default()
}

/// What lets this program into itself, where a password is asked for.
fn own_token(web: Option<&WebAccess>) -> Option<String> {
    let web = web.filter(|web| web.asks_for_password())?;
    Some(web.own_token().expose().to_string())
}

async fn open_store(args: &ServeArgs, config: &Config) -> anyhow::Result<Arc<Db>> {
    let path = args.storage_path.clone();
    let mut options = Options {
        retention_ms: args.retention,
        wal_sync: match args.wal_sync {
            WalSyncArg::Always => WalSync::Always,
            WalSyncArg::Group => WalSync::Group,
            WalSyncArg::Interval => WalSync::default(),
            WalSyncArg::Never => WalSync::Never,
        },
        ..Options::default()
    };
    args.storage.apply(&mut options);
    if let Some(window) = config.storage.out_of_order_time_window_ms {
        options.ooo_window_ms = window;
    }
    let open = move || Db::open(&path, options).map(Arc::new);
    tokio::task::spawn_blocking(open)
        .await?
        .with_context(|| format!("opening storage in {} failed", args.storage_path.display()))
}

/// Engine settings for the names given to `--enable-feature`, and the names nobody knows.
pub(crate) fn engine_options(features: &[String]) -> (EngineOptions, Vec<&String>) {
    let mut options = EngineOptions::default();
    let mut unknown = Vec::new();
    for feature in features {
        match feature.trim() {
            "promql-experimental-functions" => options.experimental_functions = true,
            "promql-extended-range-selectors" => options.extended_range_selectors = true,
            "promql-binop-fill-modifiers" => options.fill_modifiers = true,
            "promql-duration-expr" => options.duration_expressions = true,
            "promql-delayed-name-removal" => options.delayed_name_removal = true,
            "type-and-unit-labels" => options.type_and_unit_labels = true,
            "use-start-timestamps" => options.start_timestamps = true,
            _ => unknown.push(feature),
        }
    }
    (options, unknown)
}

/// Flags as `/api/v1/status/flags` shows them.
fn flag_values(args: &ServeArgs) -> Vec<(String, String)> {
    let name = |file: &Option<PathBuf>| {
        let file = file.as_ref();
        file.map(|f| f.display().to_string()).unwrap_or_default()
    };
    let config_file = name(&args.config_file);
    let web_config_file = name(&args.web_config_file);
    let rows = [
        ("config.file", config_file),
        ("config.expand-env", args.expand_env.to_string()),
        ("enable-feature", args.enable_feature.join(",")),
        (
            "log.format",
            format!("{:?}", args.log_format).to_lowercase(),
        ),
        ("log.level", format!("{:?}", args.log_level).to_lowercase()),
        ("no-host-metrics", args.no_host_metrics.to_string()),
        (
            "query.lookback-delta",
            format_duration_ms(args.lookback_delta),
        ),
        ("query.max-concurrency", args.max_concurrency.to_string()),
        ("query.max-samples", args.max_samples.to_string()),
        ("query.timeout", format_duration_ms(args.query_timeout)),
        ("storage.tsdb.path", args.storage_path.display().to_string()),
        (
            "storage.tsdb.retention.time",
            format_duration_ms(args.retention),
        ),
        (
            "storage.tsdb.wal-sync",
            format!("{:?}", args.wal_sync).to_lowercase(),
        ),
        ("web.config.file", web_config_file),
        ("web.cors.origin", args.cors_origin.clone()),
        ("web.enable-admin-api", args.enable_admin_api.to_string()),
        ("web.enable-lifecycle", args.enable_lifecycle.to_string()),
        ("web.external-url", external_url(args)),
        ("web.listen-address", args.listen.join(",")),
        ("web.max-connections", args.max_connections.to_string()),
        ("web.read-timeout", format_duration_ms(args.read_timeout)),
        (
            "web.route-prefix",
            format!("/{}", route_prefix(args).trim_start_matches('/')),
        ),
    ];
    let rows = rows
        .into_iter()
        .chain(args.storage.values())
        .chain(args.query_memory.values())
        .map(|(name, value)| (name.to_string(), value));
    let mut rows: Vec<_> = rows.chain(args.ignored.iter().cloned()).collect();
    rows.sort();
    rows
}

/// Says in plain words what is going on and what to do next.
fn announce(args: &ServeArgs, config: &Config, own: &SelfTarget) {
    let url = own.url();
    for job in &config.scrape_configs {
        let targets: Vec<_> = job
            .static_configs
            .iter()
            .flat_map(|s| s.targets.iter().map(String::as_str))
            .collect();
        info!(
            job = job.job_name,
            targets = targets.join(","),
            path = job.metrics_path,
            every = format_duration_ms(job.scrape_interval_ms),
            "scraping"
        );
    }
    if config.scrape_configs.is_empty() {
        warn!("nothing is scraped: the configuration has no scrape_configs");
    }
    let path = &args.storage_path;
    let place = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    info!(
        directory = %place.display(),
        kept_for = format_duration_ms(args.retention),
        "the data is here"
    );
    let option = if url == "http://localhost:9090" {
        String::new()
    } else {
        format!(" --url {url}")
    };
    info!("to query, run: tsdb query{option} 'up'");
    info!("in Grafana, add a data source of type Prometheus with the URL {url}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_nobody_waits_for_does_not_hold_the_end_up() {
        let (_held, never) = blocking::channel::<()>();
        let runtime = Runtime::new().unwrap();
        let begun = std::time::Instant::now();
        let output = run_to_end(runtime, async {
            tokio::task::spawn_blocking(move || never.recv_timeout(Duration::from_mins(1)));
            7
        });
        assert_eq!(output, 7);
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}
