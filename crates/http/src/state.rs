//! What the API works on: store, engine, scraper, configuration and counters, shared by all
//! requests.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use serde::Serialize;
use tokio::sync::Semaphore;
use tsdb::{Db, Engine};
use tsdb_config::Config;
use tsdb_host::HostCollector;
use tsdb_model::matcher::{AnchoredRegex, MatcherError};
use tsdb_model::{Clock, SystemClock};
use tsdb_net::Grant;
use tsdb_scrape::ScrapeManager;

use crate::api::notifications::MAX_LISTENERS;
use crate::api::write::WRITE_BUDGET_KIB;
use crate::counters::{EngineCounters, HttpCounters};
use crate::json::rfc3339_ms;
use crate::notifications::{self, Notifications};
use crate::query_log::{QueryLog, QueryLogFile};
use crate::receive::Receiver;
use crate::running::RunningQueries;

/// The Prometheus version whose API is spoken. Grafana and Thanos read `version` as a semantic
/// version to find out what the server can do, so this program's own version would mislead them.
pub const API_VERSION: &str = "3.5.0";

/// What this program is, for `buildinfo`, `/version` and `prometheus_build_info`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BuildInfo {
    /// [`API_VERSION`].
    pub version: String,
    /// The program's own name and version, `tsdb-0.1.0`, and the commit when known.
    pub revision: String,
    /// Branch it was built from, or empty.
    pub branch: String,
    /// Who built it, or empty.
    pub build_user: String,
    /// When it was built, or empty.
    pub build_date: String,
    /// Empty: Prometheus names its Go release here, and this is not a Go program.
    pub go_version: String,
}

impl BuildInfo {
    /// Of a program of this name and version.
    pub fn new(program: &str, version: &str) -> Self {
        Self {
            version: API_VERSION.into(),
            revision: format!("{program}-{version}"),
            branch: String::new(),
            build_user: String::new(),
            build_date: String::new(),
            go_version: String::new(),
        }
    }
}

/// Reads the configuration anew and applies it; the error is shown to the client. Runs on a thread
/// that may block.
pub type ReloadHook = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// Begins the end of the program.
pub type QuitHook = Box<dyn Fn() + Send + Sync>;

/// Settings of the API.
pub struct ApiOptions {
    /// Evaluates queries.
    pub engine: Arc<Engine>,
    /// The configuration at the start.
    pub config: Arc<Config>,
    /// Name and value of each command line flag, for `/api/v1/status/flags`.
    pub flags: Vec<(String, String)>,
    /// What this program is.
    pub build: BuildInfo,
    /// Serves `/metrics/host` when given.
    pub host: Option<HostCollector>,
    /// Source of the current time.
    pub clock: Arc<dyn Clock>,
    /// Origins that browsers may query from; anchored regular expression.
    pub cors_origin: String,
    /// Allows `/-/reload` and `/-/quit`.
    pub enable_lifecycle: bool,
    /// Allows `/api/v1/admin/tsdb/*`.
    pub enable_admin_api: bool,
    /// Queries evaluated at the same time; more wait.
    pub max_concurrency: usize,
    /// Directory of the data, shown on the status page; snapshots go below it.
    pub data_dir: PathBuf,
    /// What `/-/reload` calls.
    pub reload: Option<ReloadHook>,
    /// What `/-/quit` calls.
    pub quit: Option<QuitHook>,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            engine: Arc::new(Engine::new(tsdb::EngineOptions::default())),
            config: Arc::new(Config::default()),
            flags: Vec::new(),
            build: BuildInfo::new("tsdb", env!("CARGO_PKG_VERSION")),
            host: None,
            clock: Arc::new(SystemClock),
            cors_origin: ".*".into(),
            enable_lifecycle: false,
            enable_admin_api: false,
            max_concurrency: 20,
            data_dir: PathBuf::new(),
            reload: None,
            quit: None,
        }
    }
}

/// The store and what feeds it, there once the program is ready.
#[derive(Clone)]
pub(crate) struct Running {
    pub(crate) db: Arc<Db>,
    pub(crate) scrape: Option<Arc<ScrapeManager>>,
    /// What the client's token allows; everything without one.
    pub(crate) grant: Option<Arc<Grant>>,
}

/// State shared by all requests. Serving may begin before the store is open: until
/// [`ApiState::start`] the API answers 503.
pub struct ApiState {
    pub(crate) options: ApiOptions,
    pub(crate) cors: AnchoredRegex,
    running: OnceLock<Running>,
    stopping: AtomicBool,
    config: RwLock<Arc<Config>>,
    pub(crate) started_ms: i64,
    /// Time of the last successful reload, ms.
    config_loaded_ms: AtomicI64,
    config_ok: AtomicBool,
    pub(crate) notifications: Notifications,
    /// Turns of those who listen to notifications.
    pub(crate) listeners: Arc<Semaphore>,
    pub(crate) queries: Arc<Semaphore>,
    pub(crate) running_queries: Arc<RunningQueries>,
    /// Turns of the endpoints that list series and labels.
    pub(crate) lookups: Arc<Semaphore>,
    pub(crate) http: HttpCounters,
    pub(crate) query_log: QueryLog,
    pub(crate) engine_counters: EngineCounters,
    pub(crate) receiver: Receiver,
    /// Turns of write requests, in KiB of decompressed bytes.
    pub(crate) writes: Arc<Semaphore>,
    /// Bytes of write requests that wait for their turn.
    pub(crate) waiting_bytes: AtomicU64,
    pub(crate) imports: Arc<Semaphore>,
    /// Turns of remote read, export and federation.
    pub(crate) reads: Arc<Semaphore>,
    pub(crate) federation_errors: AtomicU64,
    pub(crate) federation_warnings: AtomicU64,
}

/// Remote reads, exports and federation requests answered at the same time; more wait.
pub(crate) const MAX_READS: usize = 10;

/// Requests for lists of series and labels answered at the same time; more wait.
const MAX_LOOKUPS: usize = 16;

/// Imports at the same time; more wait.
const MAX_IMPORTS: usize = 2;

impl ApiState {
    /// The state before the store is open. An error when `cors_origin` is no regular expression.
    pub fn new(options: ApiOptions) -> Result<Arc<Self>, MatcherError> {
        let now = options.clock.now_ms();
        let notifications = Notifications::new();
        notifications.set(notifications::STARTING, rfc3339_ms(now));
        Ok(Arc::new(Self {
            cors: AnchoredRegex::new(&options.cors_origin)?,
            running: OnceLock::new(),
            stopping: AtomicBool::new(false),
            config: RwLock::new(options.config.clone()),
            started_ms: now,
            config_loaded_ms: AtomicI64::new(now),
            config_ok: AtomicBool::new(true),
            notifications,
            listeners: Arc::new(Semaphore::new(MAX_LISTENERS)),
            queries: Arc::new(Semaphore::new(options.max_concurrency.max(1))),
            running_queries: Arc::default(),
            query_log: QueryLog::default(),
            lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)),
            http: HttpCounters::new(crate::router::handlers()),
            engine_counters: EngineCounters::default(),
            receiver: Receiver::new(now),
            writes: Arc::new(Semaphore::new(WRITE_BUDGET_KIB)),
            waiting_bytes: AtomicU64::new(0),
            imports: Arc::new(Semaphore::new(MAX_IMPORTS)),
            reads: Arc::new(Semaphore::new(MAX_READS)),
            federation_errors: AtomicU64::new(0),
            federation_warnings: AtomicU64::new(0),
            options,
        }))
    }

    /// The store is open: from now on requests are answered. A second call changes nothing.
    pub fn start(&self, db: Arc<Db>, scrape: Option<Arc<ScrapeManager>>) {
        let _ = self.running.set(Running {
            db,
            scrape,
            grant: None,
        });
        self.notifications.clear(notifications::STARTING);
    }

    /// Logs queries to this file from now on, or not at all.
    pub fn set_query_log(&self, file: Option<QueryLogFile>) {
        self.query_log.set(file);
    }

    /// The program ends: from now on requests are answered with 503.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        let date = rfc3339_ms(self.now_ms());
        self.notifications.set(notifications::STOPPING, date);
        // Who listens would hold up the end.
        self.notifications.end();
    }

    /// A new configuration was applied.
    pub fn config_applied(&self, config: Arc<Config>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = config;
        self.config_loaded_ms.store(self.now_ms(), Ordering::SeqCst);
        self.config_ok.store(true, Ordering::SeqCst);
        self.notifications.clear(notifications::RELOAD_FAILED);
    }

    /// A new configuration could not be applied; the old one is still in force.
    pub fn config_failed(&self) {
        self.config_ok.store(false, Ordering::SeqCst);
        let date = rfc3339_ms(self.now_ms());
        self.notifications.set(notifications::RELOAD_FAILED, date);
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        self.config
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn config_status(&self) -> (bool, i64) {
        (
            self.config_ok.load(Ordering::SeqCst),
            self.config_loaded_ms.load(Ordering::SeqCst),
        )
    }

    /// Store and scraper, once open and while not stopping.
    pub(crate) fn running(&self) -> Option<&Running> {
        self.running.get().filter(|_| !self.is_stopping())
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub(crate) fn now_ms(&self) -> i64 {
        self.options.clock.now_ms()
    }
}

impl std::fmt::Debug for ApiState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiState")
            .field("ready", &self.running().is_some())
            .finish_non_exhaustive()
    }
}
