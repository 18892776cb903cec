//! All scrape pools: starts, changes and stops them as the configuration says, and shows them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tsdb_config::Config;
use tsdb_model::{Appendable, Labels, Metadata, format_duration_ms};
use tsdb_net::{Client, ClientOptions};

use crate::fetch::Fetch;
use crate::options::ScrapeOptions;
use crate::pool::{Pool, SyncContext};
use crate::schedule::server_seed;
use crate::scrape_loop::{ScrapeLoop, Shared};
use crate::stats::{Counters, ScrapeStats, add};
use crate::target::global_url;
use crate::view::{ActiveTarget, DroppedTarget, Targets};

/// Scrapes the targets of a configuration into a store.
pub struct ScrapeManager {
    shared: Arc<Shared>,
    options: ScrapeOptions,
    runtime: Handle,
    state: Mutex<State>,
    me: Weak<Self>,
}

/// How often files with targets are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

struct State {
    pools: BTreeMap<String, Pool>,
    server_seed: u64,
    stopped: bool,
    /// The task that looks at files with targets runs.
    looking: bool,
}

impl ScrapeManager {
    /// A manager without targets.
    ///
    /// # Panics
    /// Outside a tokio runtime; the scrape loops run on the one that is current here.
    pub fn new(appendable: Arc<dyn Appendable>, options: ScrapeOptions) -> Arc<Self> {
        let client = Client::new(ClientOptions {
            user_agent: options.user_agent.clone(),
            ..ClientOptions::default()
        });
        Self::with_fetch(appendable, options, Arc::new(client))
    }

    pub(crate) fn with_fetch(
        appendable: Arc<dyn Appendable>,
        options: ScrapeOptions,
        fetch: Arc<dyn Fetch>,
    ) -> Arc<Self> {
        let ingests = match options.max_concurrent_ingests {
            0 => std::thread::available_parallelism().map_or(2, usize::from),
            n => n.min(Semaphore::MAX_PERMITS),
        };
        let shared = Shared {
            appendable,
            clock: options.clock.clone(),
            fetch,
            counters: Arc::new(Counters::default()),
            ingests: Semaphore::new(ingests),
            huge_ingests: Semaphore::new(1),
        };
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            shared: Arc::new(shared),
            options,
            runtime: Handle::current(),
            state: Mutex::new(State {
                pools: BTreeMap::new(),
                server_seed: 0,
                stopped: false,
                looking: false,
            }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Brings the pools in line with a configuration: jobs that did not change keep running as
    /// they are, changed ones keep what they know of their targets' series, the series of
    /// removed targets and jobs are marked as ended. Does nothing after [`ScrapeManager::stop`].
    pub fn apply(&self, config: &Config) {
        let mut state = self.state();
        if state.stopped {
            return;
        }
        let external = &config.global.external_labels;
        let external = external.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let server_seed = server_seed(&self.options.hostname, external);
        let seed_changed = server_seed != state.server_seed;
        state.server_seed = server_seed;
        let context = self.context(server_seed);
        for pool in state.pools.values_mut() {
            let configured = config.scrape_configs.iter();
            if !configured.clone().any(|j| j.job_name == pool.job.job_name) && !pool.removed {
                pool.remove();
            }
        }
        for job in &config.scrape_configs {
            let job = Arc::new(job.clone());
            match state.pools.get_mut(&job.job_name) {
                Some(pool) => {
                    let changed = pool.removed || *pool.job != *job;
                    if changed {
                        add(&self.shared.counters.pool_reloads, 1);
                    }
                    if changed || seed_changed {
                        pool.removed = false;
                        pool.job = job;
                        pool.sync(&context);
                    }
                }
                None => {
                    add(&self.shared.counters.pools_created, 1);
                    let mut pool = Pool::new(job.clone());
                    pool.sync(&context);
                    state.pools.insert(job.job_name.clone(), pool);
                }
            }
        }
        state.prune();
        let watches = state.pools.values().any(Pool::watches_files);
        if watches && !state.looking {
            state.looking = true;
            self.runtime.spawn(look_at_files(self.me.clone()));
        }
    }

    fn context(&self, server_seed: u64) -> SyncContext<'_> {
        SyncContext {
            shared: &self.shared,
            runtime: &self.runtime,
            server_seed,
            max_body_bytes: self.options.max_body_bytes,
            user_agent: &self.options.user_agent,
        }
    }

    /// Follows files with targets that changed. False when there are none to look at any more.
    fn follow_files(&self) -> bool {
        let mut state = self.state();
        let context = self.context(state.server_seed);
        for pool in state.pools.values_mut() {
            pool.look_at_files(&context);
        }
        state.looking = !state.stopped && state.pools.values().any(Pool::watches_files);
        state.looking
    }

    /// All targets.
    pub fn targets(&self) -> Targets {
        let state = self.state();
        let mut all = Targets::default();
        for (name, pool) in state.pools.iter().filter(|(_, p)| !p.removed) {
            all.active
                .extend(pool.loops.iter().map(|l| self.view(name, l)));
            let dropped = pool.dropped.iter().map(|labels| DroppedTarget {
                discovered_labels: labels.clone(),
                scrape_pool: name.clone(),
            });
            all.dropped.extend(dropped);
            all.dropped_counts.insert(name.clone(), pool.dropped_count);
        }
        all
    }

    fn view(&self, pool: &str, running: &ScrapeLoop) -> ActiveTarget {
        let target = &running.config.target;
        let status = running.status();
        ActiveTarget {
            discovered_labels: target.discovered.clone(),
            labels: target.labels.clone(),
            scrape_pool: pool.to_string(),
            scrape_url: target.url.clone(),
            global_url: global_url(
                &target.url,
                &self.options.external_url,
                self.options.listen_port,
            ),
            last_error: status.last_error,
            last_scrape_ms: status.last_scrape_ms,
            last_scrape_duration_seconds: status.last_duration_seconds,
            health: status.health,
            scrape_interval: format_duration_ms(target.interval_ms),
            scrape_timeout: format_duration_ms(target.timeout_ms),
        }
    }

    /// Names of the pools, sorted.
    pub fn scrape_pools(&self) -> Vec<String> {
        let state = self.state();
        let names = state.pools.iter().filter(|(_, p)| !p.removed);
        names.map(|(name, _)| name.clone()).collect()
    }

    /// What each active target says about its metric families: the target's labels, and family
    /// names with their metadata, sorted.
    pub fn metadata(&self) -> Vec<(Labels, Vec<(String, Metadata)>)> {
        let state = self.state();
        let loops = state.pools.values().flat_map(|pool| &pool.loops);
        loops
            .map(|l| (l.labels().clone(), l.metadata().list()))
            .collect()
    }

    /// Counters since the start.
    pub fn stats(&self) -> ScrapeStats {
        let state = self.state();
        let pools = state.pools.iter().filter(|(_, p)| !p.removed);
        let pools = pools.map(|(name, pool)| (name.clone(), pool.stats()));
        self.shared.counters.snapshot(pools.collect())
    }

    /// Stops all loops and waits for them: requests under way are given up, a page being stored
    /// is stored. No staleness markers are written, so that a restart leaves no gap.
    pub async fn stop(&self) {
        let pools = {
            let mut state = self.state();
            state.stopped = true;
            std::mem::take(&mut state.pools)
        };
        let loops: Vec<ScrapeLoop> = pools
            .into_values()
            .flat_map(|pool| pool.loops.into_iter().chain(pool.ending))
            .collect();
        for running in &loops {
            running.stop();
        }
        for running in loops {
            running.finished().await;
        }
    }
}

async fn look_at_files(manager: Weak<ScrapeManager>) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let Some(manager) = manager.upgrade() else {
            return;
        };
        // Reading files blocks.
        let follow = tokio::task::spawn_blocking(move || manager.follow_files());
        if !follow.await.unwrap_or(false) {
            return;
        }
    }
}

impl State {
    /// Forgets loops that have finished and removed pools without any left.
    fn prune(&mut self) {
        self.pools.retain(|_, pool| {
            pool.prune();
            !pool.removed || !pool.ending.is_empty()
        });
    }
}

impl std::fmt::Debug for ScrapeManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScrapeManager")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
