//! The task of one target: waits for its ticks, fetches, stores, and ends its series when the
//! target goes away.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tsdb_model::{Appendable, Clock, Labels};
use tsdb_wire::negotiate::{ScrapeProtocol, page_format};

use crate::cycle::{Cycle, CycleRules};
use crate::fetch::{Fetch, FetchRequest};
use crate::metadata::MetadataCache;
use crate::page::Page;
use crate::schedule::Schedule;
use crate::stats::{Counters, add};
use crate::target::Target;
use crate::view::Health;

/// What all loops share.
pub(crate) struct Shared {
    pub(crate) appendable: Arc<dyn Appendable>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) fetch: Arc<dyn Fetch>,
    pub(crate) counters: Arc<Counters>,
    /// Bounds how many pages are parsed and stored at a time.
    pub(crate) ingests: Semaphore,
    /// The same for huge pages: they do not hold the others up.
    pub(crate) huge_ingests: Semaphore,
}

/// Pages of more bytes than this are huge.
const HUGE_PAGE_BYTES: usize = 16 << 20;

impl Shared {
    /// The turns that a page of so many bytes has to wait for.
    fn turns(&self, bytes: usize) -> &Semaphore {
        if bytes > HUGE_PAGE_BYTES {
            &self.huge_ingests
        } else {
            &self.ingests
        }
    }
}

/// How a loop works; replaced as a whole by a reload.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LoopConfig {
    pub(crate) pool: String,
    pub(crate) target: Target,
    pub(crate) request: FetchRequest,
    pub(crate) fallback: Option<ScrapeProtocol>,
    pub(crate) schedule: Schedule,
    pub(crate) rules: Arc<CycleRules>,
    /// Why the target is not asked at all but counts as down.
    pub(crate) refused: Option<String>,
}

/// What a loop is told.
#[derive(Debug, Clone)]
enum Control {
    /// Scrape.
    Run(Arc<LoopConfig>),
    /// The target is gone: mark its series as ended, in time, and finish.
    End,
    /// The server stops: finish at once, without markers.
    Stop,
}

/// What is known of the last scrape.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    pub(crate) health: Health,
    pub(crate) last_error: String,
    pub(crate) last_scrape_ms: Option<i64>,
    pub(crate) last_duration_seconds: f64,
    /// The series are marked as ended, the loop is no more.
    finished: bool,
}

/// Handle of a running loop. Dropping it stops the loop without markers.
pub(crate) struct ScrapeLoop {
    pub(crate) config: Arc<LoopConfig>,
    control: watch::Sender<Control>,
    status: Arc<Mutex<Status>>,
    metadata: Arc<Mutex<MetadataCache>>,
    task: JoinHandle<()>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ScrapeLoop {
    /// Starts a loop on the runtime of `handle`.
    pub(crate) fn start(
        shared: &Arc<Shared>,
        handle: &tokio::runtime::Handle,
        config: Arc<LoopConfig>,
    ) -> Self {
        let (sender, control) = watch::channel(Control::Run(config.clone()));
        let status = Arc::new(Mutex::new(Status::default()));
        let metadata = Arc::new(Mutex::new(MetadataCache::default()));
        let worker = Worker {
            shared: shared.clone(),
            control,
            status: status.clone(),
            metadata: metadata.clone(),
            cycle: None,
            last_start: None,
        };
        Self {
            task: handle.spawn(worker.run(config.clone())),
            config,
            control: sender,
            status,
            metadata,
        }
    }

    /// Goes on with another configuration; known series stay known. Also takes back
    /// [`ScrapeLoop::end`]. False when that has come into effect: the loop is no more.
    pub(crate) fn reconfigure(&mut self, config: Arc<LoopConfig>) -> bool {
        let status = lock(&self.status); // keeps the loop from finishing meanwhile
        if status.finished {
            return false;
        }
        self.config = config.clone();
        self.control.send_replace(Control::Run(config));
        true
    }

    /// Tells the loop that its target is gone.
    pub(crate) fn end(&self) {
        self.control.send_replace(Control::End);
    }

    /// Tells the loop to finish at once.
    pub(crate) fn stop(&self) {
        self.control.send_replace(Control::Stop);
    }

    /// Waits until the loop has finished.
    pub(crate) async fn finished(self) {
        let _ = self.task.await; // a panic has been logged by the runtime's hook
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    pub(crate) fn labels(&self) -> &Labels {
        &self.config.target.labels
    }

    pub(crate) fn status(&self) -> Status {
        lock(&self.status).clone()
    }

    pub(crate) fn metadata(&self) -> MutexGuard<'_, MetadataCache> {
        lock(&self.metadata)
    }
}

struct Worker {
    shared: Arc<Shared>,
    control: watch::Receiver<Control>,
    status: Arc<Mutex<Status>>,
    metadata: Arc<Mutex<MetadataCache>>,
    /// `None` before the first scrape, and while one is being stored.
    cycle: Option<Cycle>,
    last_start: Option<Instant>,
}

impl Worker {
    async fn run(mut self, mut config: Arc<LoopConfig>) {
        let mut due_ms = config.schedule.first(self.shared.clock.now_ms());
        loop {
            let tick = self.sleep_until(due_ms);
            tokio::select! {
                biased;
                changed = self.control.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let control = self.control.borrow_and_update().clone();
                    let next = match control {
                        Control::Run(next) => Some(next),
                        Control::End => {
                            let back = self.end(due_ms, config.schedule).await;
                            back.or_else(|| self.finish())
                        }
                        Control::Stop => None,
                    };
                    let Some(next) = next else { return };
                    if next.schedule != config.schedule {
                        due_ms = next.schedule.first(self.shared.clock.now_ms());
                    }
                    config = next;
                }
                () = tick => {
                    if !self.scrape(&config, due_ms).await {
                        continue; // told to end or stop
                    }
                    due_ms = config.schedule.next(due_ms, self.shared.clock.now_ms());
                }
            }
        }
    }

    fn sleep_until(&self, t_ms: i64) -> impl Future<Output = ()> + use<> {
        let wait = t_ms.saturating_sub(self.shared.clock.now_ms()).max(0);
        tokio::time::sleep(Duration::from_millis(wait as u64))
    }

    /// Fetches and stores. False when told to end or stop meanwhile: nothing was stored.
    async fn scrape(&mut self, config: &Arc<LoopConfig>, due_ms: i64) -> bool {
        let started = Instant::now();
        let t_ms = config
            .schedule
            .timestamp(due_ms, self.shared.clock.now_ms());
        if let Some(last) = self.last_start.replace(started) {
            let seconds = started.duration_since(last).as_secs_f64();
            let counters = &self.shared.counters;
            counters.observe_interval(config.target.interval_ms, seconds);
        }
        let mut control = self.control.clone();
        let page = tokio::select! {
            page = self.fetch(config) => page,
            _ = control.wait_for(|c| !matches!(c, Control::Run(_))) => return false,
        };
        let outcome = self.store(config, page, t_ms, started).await;
        self.note(config, outcome, t_ms, started);
        true
    }

    async fn fetch(&self, config: &LoopConfig) -> Result<Page, String> {
        if let Some(reason) = &config.refused {
            return Err(reason.clone());
        }
        let response = self.shared.fetch.fetch(&config.request).await;
        let response = response.map_err(|error| {
            if error == tsdb_net::FetchError::TooLarge {
                add(&self.shared.counters.exceeded_body_size_limit, 1);
            }
            error.to_string()
        })?;
        let format = page_format(response.content_type.as_deref(), config.fallback)?;
        Ok(Page {
            body: response.body,
            format,
        })
    }

    /// Parsing and appending may block, so they get a thread of their own.
    async fn store(
        &mut self,
        config: &Arc<LoopConfig>,
        page: Result<Page, String>,
        t_ms: i64,
        started: Instant,
    ) -> Result<(), String> {
        let shared = self.shared.clone();
        let bytes = page.as_ref().map_or(0, |page| page.body.len());
        let permit = shared.turns(bytes).acquire().await;
        let _permit = permit.expect("invariant: the semaphore is never closed");
        let mut cycle = self.take_cycle(&config.rules);
        let stored = tokio::task::spawn_blocking(move || {
            let outcome = cycle.run(page, t_ms, started);
            (cycle, outcome)
        });
        match stored.await {
            Ok((cycle, outcome)) => {
                self.cycle = Some(cycle);
                outcome
            }
            Err(error) => Err(format!("internal error while storing the scrape: {error}")),
        }
    }

    fn take_cycle(&mut self, rules: &Arc<CycleRules>) -> Cycle {
        let mut cycle = self.cycle.take().unwrap_or_else(|| {
            Cycle::new(
                self.shared.appendable.clone(),
                self.shared.counters.clone(),
                self.metadata.clone(),
                rules.clone(),
            )
        });
        cycle.set_rules(rules);
        cycle
    }

    /// Remembers the outcome; logs it when it is another than last time.
    fn note(&self, config: &LoopConfig, outcome: Result<(), String>, t_ms: i64, started: Instant) {
        let mut status = lock(&self.status);
        let (health, error) = match outcome {
            Ok(()) => (Health::Up, String::new()),
            Err(error) => (Health::Down, error),
        };
        if error != status.last_error {
            let (pool, url) = (&config.pool, &config.target.url);
            if error.is_empty() {
                tracing::info!(scrape_pool = pool, target_url = url, "scrape works again");
            } else {
                tracing::warn!(scrape_pool = pool, target_url = url, error, "scrape failed");
            }
        }
        *status = Status {
            health,
            last_error: error,
            last_scrape_ms: Some(t_ms),
            last_duration_seconds: started.elapsed().as_secs_f64(),
            finished: false,
        };
    }

    /// Says that the loop is no more, unless the target came back while its series were marked.
    fn finish(&mut self) -> Option<Arc<LoopConfig>> {
        let mut status = lock(&self.status);
        if let Control::Run(config) = self.control.borrow_and_update().clone() {
            return Some(config);
        }
        status.finished = true;
        None
    }

    /// The target is gone. Its series are marked as ended at the next tick, but only after one
    /// more interval and a tenth: by then a new owner of the same series has had its turn, and
    /// its samples are newer than the markers. Gives back a configuration when the target
    /// returns meanwhile.
    async fn end(&mut self, due_ms: i64, schedule: Schedule) -> Option<Arc<LoopConfig>> {
        self.cycle.as_ref()?; // never scraped: there is nothing to end
        let marker_ms = due_ms.max(self.shared.clock.now_ms());
        let write_ms = marker_ms + schedule.interval_ms() + schedule.interval_ms() / 10;
        let time_to_write = self.sleep_until(write_ms);
        tokio::select! {
            biased;
            _ = self.control.changed() => {
                return match self.control.borrow_and_update().clone() {
                    Control::Run(config) => Some(config),
                    Control::End | Control::Stop => None,
                };
            }
            () = time_to_write => {}
        }
        let mut cycle = self.cycle.take()?;
        let permit = self.shared.ingests.acquire().await;
        let _permit = permit.expect("invariant: the semaphore is never closed");
        let ended = tokio::task::spawn_blocking(move || cycle.end(marker_ms)).await;
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "cannot mark the series of a gone target"),
            Err(error) => tracing::error!(%error, "cannot mark the series of a gone target"),
        }
        None
    }
}

#[cfg(test)]
mod tests;
