//! The targets of one job: which there are, which loops run for them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::Instant;
use tsdb_config::{HttpClientConfig, ScrapeConfig};
use tsdb_model::Labels;
use tsdb_net::{Client, ClientOptions};

use crate::cycle::CycleRules;
use crate::fetch::FetchRequest;
use crate::file_discovery::FileDiscovery;
use crate::protocol;
use crate::sample::SampleRules;
use crate::schedule::{Schedule, target_hash};
use crate::scrape_loop::{LoopConfig, ScrapeLoop, Shared};
use crate::stats::{PoolStats, Reservoir};
use crate::target::{Resolved, Target, discover_static, resolve};

/// One job's targets.
pub(crate) struct Pool {
    pub(crate) job: Arc<ScrapeConfig>,
    /// The job is no longer configured; its loops are ending.
    pub(crate) removed: bool,
    pub(crate) loops: Vec<ScrapeLoop>,
    /// Loops of gone targets that have yet to mark their series.
    pub(crate) ending: Vec<ScrapeLoop>,
    /// Discovered labels of dropped targets, at most `keep_dropped_targets`.
    pub(crate) dropped: Vec<Labels>,
    pub(crate) dropped_count: usize,
    discovered: usize,
    syncs: u64,
    sync_failures: u64,
    sync_length: Reservoir,
    files: FileDiscovery,
    /// The client of a job with settings of its own, and the settings it was made for.
    client: Option<(HttpClientConfig, Client)>,
}

/// What a sync needs from the manager.
pub(crate) struct SyncContext<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) runtime: &'a Handle,
    /// See [`crate::schedule::server_seed`].
    pub(crate) server_seed: u64,
    /// Body limit of jobs without one.
    pub(crate) max_body_bytes: u64,
    pub(crate) user_agent: &'a str,
}

impl Pool {
    pub(crate) fn new(job: Arc<ScrapeConfig>) -> Self {
        Self {
            job,
            removed: false,
            loops: Vec::new(),
            ending: Vec::new(),
            dropped: Vec::new(),
            dropped_count: 0,
            discovered: 0,
            syncs: 0,
            sync_failures: 0,
            sync_length: Reservoir::default(),
            files: FileDiscovery::default(),
            client: None,
        }
    }

    /// Works out the targets and brings the loops in line with them.
    pub(crate) fn sync(&mut self, context: &SyncContext<'_>) {
        let started = Instant::now();
        let targets = self.targets();
        self.renew_client(context.user_agent);
        let configs = self.loop_configs(targets, context);
        self.assign(configs, context);
        self.syncs += 1;
        self.sync_length.observe(started.elapsed().as_secs_f64());
    }

    /// Makes the client that the job asks for. One whose settings stay keeps its connections.
    fn renew_client(&mut self, user_agent: &str) {
        let wanted = &self.job.http_client;
        if *wanted == HttpClientConfig::default() {
            self.client = None;
        } else if self.client.as_ref().is_none_or(|(had, _)| had != wanted) {
            let client = Client::new(ClientOptions {
                user_agent: user_agent.to_string(),
                http: wanted.clone(),
                ..ClientOptions::default()
            });
            self.client = Some((wanted.clone(), client));
        }
    }

    /// The job is gone from the configuration: its series end.
    pub(crate) fn remove(&mut self) {
        self.removed = true;
        for gone in self.loops.drain(..) {
            gone.end();
            self.ending.push(gone);
        }
        self.dropped.clear();
        self.dropped_count = 0;
        self.prune();
    }

    /// True when the job's targets may change without a reload.
    pub(crate) fn watches_files(&self) -> bool {
        !self.removed && !self.job.file_sd_configs.is_empty()
    }

    /// Looks at the files with targets, and follows them when they changed.
    pub(crate) fn look_at_files(&mut self, context: &SyncContext<'_>) {
        if self.watches_files() && self.files.look(&self.job.file_sd_configs) {
            self.sync(context);
        }
    }

    /// Forgets loops that have finished.
    pub(crate) fn prune(&mut self) {
        self.ending.retain(|l| !l.is_finished());
    }

    /// Discovered, relabelled, checked, each once.
    fn targets(&mut self) -> Vec<Target> {
        let mut found = discover_static(&self.job);
        self.files.look(&self.job.file_sd_configs);
        found.extend(self.files.labels());
        self.discovered = found.len();
        self.dropped = Vec::new();
        self.dropped_count = 0;
        let mut targets = Vec::new();
        let mut known = HashSet::new();
        for (i, labels) in found.iter().enumerate() {
            match resolve(&self.job, labels) {
                Ok(Resolved::Target(target)) => {
                    if known.insert((target.labels.clone(), target.url.clone())) {
                        targets.push(*target);
                    }
                }
                Ok(Resolved::Dropped(labels)) => {
                    self.dropped_count += 1;
                    let keep = self.job.keep_dropped_targets;
                    if keep == 0 || (self.dropped.len() as u64) < keep {
                        self.dropped.push(labels);
                    }
                }
                Err(error) => {
                    self.sync_failures += 1;
                    let pool = &self.job.job_name;
                    tracing::error!(scrape_pool = pool, instance = i, error, "not a target");
                }
            }
        }
        targets
    }

    fn loop_configs(&self, targets: Vec<Target>, context: &SyncContext<'_>) -> Vec<LoopConfig> {
        let job = &self.job;
        let count = targets.len();
        let limit = job.target_limit;
        let refused = (limit > 0 && count as u64 > limit).then(|| {
            let counters = &context.shared.counters;
            counters
                .exceeded_target_limit
                .fetch_add(1, Ordering::Relaxed);
            format!("target_limit exceeded (number of targets: {count}, limit: {limit})")
        });
        let max_body_bytes = match job.body_size_limit {
            0 => context.max_body_bytes,
            limit => limit,
        };
        let accept = protocol::accept_header(job);
        let fallback = protocol::fallback(job);
        let encoding = if job.enable_compression {
            "gzip"
        } else {
            "identity"
        };
        targets
            .into_iter()
            .map(|target| {
                let timeout_ms = target.timeout_ms;
                let timeout = Duration::from_millis(timeout_ms as u64);
                let hash = target_hash(&target.labels, &target.url);
                LoopConfig {
                    pool: job.job_name.clone(),
                    request: FetchRequest {
                        url: target.url.clone(),
                        headers: vec![
                            ("Accept", accept.clone()),
                            ("Accept-Encoding", encoding.to_string()),
                            (
                                "X-Prometheus-Scrape-Timeout-Seconds",
                                timeout.as_secs_f64().to_string(),
                            ),
                        ],
                        timeout,
                        max_body_bytes,
                        client: self.client.as_ref().map(|(_, client)| client.clone()),
                    },
                    fallback,
                    schedule: Schedule::new(target.interval_ms, hash, context.server_seed),
                    rules: Arc::new(self.rules(&target)),
                    refused: refused.clone(),
                    target,
                }
            })
            .collect()
    }

    fn rules(&self, target: &Target) -> CycleRules {
        let job = &self.job;
        CycleRules {
            sample: SampleRules {
                target: target.labels.clone(),
                honor_labels: job.honor_labels,
                relabel: job.metric_relabel_configs.clone(),
                legacy_names: protocol::legacy_names(job),
                label_limit: job.label_limit,
                label_name_length_limit: job.label_name_length_limit,
                label_value_length_limit: job.label_value_length_limit,
            },
            honor_timestamps: job.honor_timestamps,
            track_timestamps_staleness: job.track_timestamps_staleness,
            sample_limit: job.sample_limit,
        }
    }

    /// Keeps the loops of targets that stay, gives the loop of a target with the same labels to
    /// one whose URL changed or that comes back (so its series go on), starts and ends the rest.
    fn assign(&mut self, configs: Vec<LoopConfig>, context: &SyncContext<'_>) {
        self.prune();
        let mut before = by_labels(std::mem::take(&mut self.loops));
        let kept: Vec<_> = configs
            .into_iter()
            .map(|config| {
                let same = |l: &ScrapeLoop| l.config.target.url == config.target.url;
                let found = take(&mut before, &config, same);
                (Arc::new(config), found)
            })
            .collect();
        let mut ending = by_labels(std::mem::take(&mut self.ending));
        for (config, found) in kept {
            let found = found
                .or_else(|| take(&mut before, &config, |_| true))
                .or_else(|| take(&mut ending, &config, |_| true));
            let heir = found.and_then(|mut l| l.reconfigure(config.clone()).then_some(l));
            let running =
                heir.unwrap_or_else(|| ScrapeLoop::start(context.shared, context.runtime, config));
            self.loops.push(running);
        }
        self.ending = ending.into_values().flatten().collect();
        for gone in before.into_values().flatten() {
            gone.end();
            self.ending.push(gone);
        }
    }

    pub(crate) fn stats(&self) -> PoolStats {
        let (mut entries, mut bytes) = (0, 0);
        for running in &self.loops {
            let (e, b) = running.metadata().size();
            entries += e;
            bytes += b;
        }
        PoolStats {
            targets: self.loops.len() as u64,
            target_limit: self.job.target_limit,
            syncs: self.syncs,
            sync_failures: self.sync_failures,
            sync_length: self.sync_length.summary(),
            metadata_entries: entries,
            metadata_bytes: bytes,
            discovered: self.discovered as u64,
        }
    }
}

/// Loops by the labels of their targets; few have the same.
fn by_labels(loops: Vec<ScrapeLoop>) -> HashMap<Labels, Vec<ScrapeLoop>> {
    let mut map: HashMap<Labels, Vec<ScrapeLoop>> = HashMap::with_capacity(loops.len());
    for running in loops {
        map.entry(running.labels().clone())
            .or_default()
            .push(running);
    }
    map
}

/// Takes out a loop with the labels of `config` that also is `wanted`.
fn take(
    loops: &mut HashMap<Labels, Vec<ScrapeLoop>>,
    config: &LoopConfig,
    wanted: impl Fn(&ScrapeLoop) -> bool,
) -> Option<ScrapeLoop> {
    let list = loops.get_mut(&config.target.labels)?;
    let i = list.iter().position(wanted)?;
    Some(list.swap_remove(i))
}
