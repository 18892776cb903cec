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
use tokio::time::{interval, timeout};
use tracing::{error, info, warn};

use tsdb::{Db, Engine, EngineOptions, Options, WalSync};
use tsdb_config::{Config, Loader};
use tsdb_host::HostCollector;
use tsdb_http::{Api, ApiOptions, ApiState, BuildInfo, QueryLogFile};
use tsdb_model::{MemoryBudget, format_duration_ms};
use tsdb_net::WebAccess;
use tsdb_net::server::{Server, ServerOptions};
use tsdb_promql::ParseOptions;
use tsdb_scrape::{ScrapeManager, ScrapeOptions};

use crate::flags::{ServeArgs, WalSyncArg};
use crate::host_config::{SelfTarget, default_config};
use crate::logging;
use crate::notify::Notify;

/// Exit code for a configuration that cannot be used, as Prometheus has it.
const EXIT_CONFIG: u8 = 2;

/// Runs the server until a signal ends it.
pub(crate) fn run(args: ServeArgs) -> ExitCode {
    logging::start(args.log_level, args.log_format);
    // A wrong file is the caller's mistake to see before anything is touched.
    for (flag, value) in &args.ignored {
        warn!(flag, value, "this flag of Prometheus has no effect here");
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
const LEFTOVERS_TIMEOUT: Duration = Duration::from_millis(500);

/// Time for storing the pages that have already come when the server stops.
const LAST_PAGES_TIMEOUT: Duration = Duration::from_secs(2);

/// Time that answers under way have when the server stops.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(2);

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
    let budget = Arc::new(MemoryBudget::new(args.storage.memory_limit.bytes()));
    let watch = tokio::spawn(crate::memory::watch(Arc::clone(&budget)));
    let options = ServerOptions {
        memory: Arc::clone(&budget),
        max_connections: args.max_connections as usize,
        idle_timeout: Duration::from_millis(args.read_timeout.unsigned_abs()),
        stop_timeout: LAST_ANSWERS_TIMEOUT,
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
    let log = query_log(&config)?;
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
        enable_admin_api: args.enable_admin_api,
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

    state.set_query_log(log);

    // Who sees the server can send it signals: they are awaited from before that.
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
    // Serving begins before the log is replayed: until then the API answers 503.
    let (stop_serving, stopped) = oneshot::channel::<()>();
    let handler = Arc::new(Api::new(Arc::clone(&state)));
    let serving = tokio::spawn(server.serve(handler, async {
        let _ = stopped.await;
    }));

    let opened = tokio::select! {
        db = open_store(&args, &config, budget) => Some(db?),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        Some(()) = quit_rx.recv() => None,
    };
    let Some(db) = opened else {
        // The log was only read so far, so there is nothing to make safe.
        info!("stopped before the data was open");
        return Ok(());
    };
    let hostname = rustix::system::uname();
    let hostname = hostname.nodename().to_string_lossy().into_owned();
    let scrape = ScrapeManager::new(
        Arc::clone(&db) as Arc<dyn tsdb_model::Appendable>,
        ScrapeOptions {
            listen_port: listen.port(),
            external_url: match external_url(&args) {
                url if url.is_empty() => format!("http://{hostname}:{}", listen.port()),
                url => url,
            },
            hostname,
            ..ScrapeOptions::default()
        },
    );
    scrape.apply(&config);
    state.start(Arc::clone(&db), Some(Arc::clone(&scrape)));
    announce(&args, &config, &own);
    let notify = Notify::from_env();
    notify.ready();
    let mut alive = interval(notify.alive_every().unwrap_or(Duration::from_hours(1)));

    let read_again = || -> Result<(), String> {
        // Everything is read and looked at before anything changes.
        let fresh = load_config(&args, &own, host).and_then(|fresh| {
            let log = query_log(&fresh)?;
            web.as_ref().map_or(Ok(()), |web| web.reload())?;
            Ok((fresh, log))
        });
        match fresh {
            Ok((fresh, log)) => {
                let fresh = Arc::new(fresh);
                state.set_query_log(log);
                db.set_ooo_window(ooo_window_ms(&fresh));
                db.set_max_exemplars(max_exemplars(&fresh));
                scrape.apply(&fresh);
                announce_rules(&fresh);
                state.config_applied(fresh);
                info!("configuration reloaded");
                Ok(())
            }
            Err(e) => {
                state.config_failed();
                error!("configuration not reloaded, the old one stays: {e:#}");
                let file = name(args.config_file.as_ref());
                Err(format!(
                    "couldn't load configuration (--config.file={file:?}): {e:#}"
                ))
            }
        }
    };
    let reload = || -> Result<(), String> {
        notify.reloading();
        let done = read_again();
        notify.ready();
        done
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            Some(()) = quit_rx.recv() => break,
            _ = hangup.recv() => drop(reload()),
            Some(answer) = reload_rx.recv() => drop(answer.send(reload())),
            _ = alive.tick() => notify.alive(),
        }
    }

    info!("stopping");
    notify.stopping();
    state.stop();
    // Answers and pages end side by side.
    let _ = stop_serving.send(());
    if timeout(LAST_PAGES_TIMEOUT, scrape.stop()).await.is_err() {
        warn!("pages given up: they could not be stored in time");
    }
    watch.abort();
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
        exprs: Some(&check_expr),
        without_rules: false,
    }
}

/// Looks whether an expression of a rule is one.
pub(crate) fn check_expr(expr: &str) -> Result<(), String> {
    let parsed = tsdb_promql::parse(expr, &ParseOptions::all());
    parsed.map(drop).map_err(|e| e.to_string())
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

/// Opens the query log; with each reload anew, so that it can be moved away.
fn query_log(config: &Config) -> anyhow::Result<Option<QueryLogFile>> {
    let path = config.global.query_log_file.as_ref();
    let open = |path: &PathBuf| {
        QueryLogFile::open(path).with_context(|| format!("query_log_file {}", path.display()))
    };
    path.map(open).transpose()
}

/// How late samples may be, as the configuration says.
fn ooo_window_ms(config: &Config) -> i64 {
    let default = Options::default().ooo_window_ms;
    config
        .storage
        .out_of_order_time_window_ms
        .unwrap_or(default)
}

/// How many exemplars are kept.
fn max_exemplars(config: &Config) -> usize {
    let most = config.storage.max_exemplars;
    most.map_or(Options::default().max_exemplars, |most| {
        usize::try_from(most).unwrap_or(usize::MAX)
    })
}

async fn open_store(
    args: &ServeArgs,
    config: &Config,
    budget: Arc<MemoryBudget>,
) -> anyhow::Result<Arc<Db>> {
    let path = args.storage_path.clone();
    let mut options = Options {
        retention_ms: args.retention,
        wal_sync: match args.wal_sync {
            WalSyncArg::Always => WalSync::Always,
            WalSyncArg::Group => WalSync::Group,
            WalSyncArg::Interval => WalSync::default(),
            WalSyncArg::Never => WalSync::Never,
        },
        ooo_window_ms: ooo_window_ms(config),
        max_exemplars: max_exemplars(config),
        budget,
        ..Options::default()
    };
    args.storage.apply(&mut options);
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

/// A file as it was named.
fn name(file: Option<&PathBuf>) -> String {
    file.map(|f| f.display().to_string()).unwrap_or_default()
}

/// Flags as `/api/v1/status/flags` shows them.
fn flag_values(args: &ServeArgs) -> Vec<(String, String)> {
    let config_file = name(args.config_file.as_ref());
    let web_config_file = name(args.web_config_file.as_ref());
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
    announce_rules(config);
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

/// Says what becomes of the rules: nothing yet.
fn announce_rules(config: &Config) {
    let rules: usize = config.rules_found.iter().map(|file| file.rules).sum();
    if rules > 0 {
        let files = config.rules_found.len();
        warn!(files, rules, "rules are checked, but do not run yet");
    }
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
